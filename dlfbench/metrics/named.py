"""Metrics of single files, named by `--metrics FILE.py:NAME`, for this process and those that it starts.

A metric is a column of the results and a place in every table: it must be known before anything of these is imported.
So the name stands in the environment, from where `known` reads it.
"""

import os
import sys
from collections.abc import Sequence
from pathlib import Path

from dlfbench.errors import InputError
from dlfbench.plugin_files import absolute, consent, is_file

_VARIABLE = "DLFBENCH_METRICS"


def name_metrics(uses: Sequence[str]) -> None:
    """Makes metrics of files known to this process and those that it starts.

    Raises:
        InputError: It is too late, or one is no `FILE.py:NAME`.
    """
    odd = [use for use in uses if not is_file(use)]
    if odd:
        raise InputError(f"--metrics: expected FILE.py:NAME, found {odd[0]!r}; installed metrics need no flag")
    full = tuple(absolute(use, Path.cwd()) for use in uses)
    if full == named_metrics():
        return
    if "dlfbench.metrics.known" in sys.modules:
        raise InputError(f"--metrics: must be named before dlfbench is used; start a new process with {_VARIABLE} set")
    consent(*full)
    os.environ[_VARIABLE] = "\n".join(full)


def named_metrics() -> tuple[str, ...]:
    """Those that are named, as FILE.py:NAME."""
    return tuple(os.environ.get(_VARIABLE, "").splitlines())
