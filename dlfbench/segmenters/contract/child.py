"""What a check does in the process that runs it."""

import pickle
import sys
import traceback
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any
from unittest import SkipTest

from dlfbench.errors import InputError
from dlfbench.plugin_files import adopt_files
from dlfbench.segmenters.contract import watch
from dlfbench.segmenters.contract.bench import BadAnswer, Bench, Broken
from dlfbench.segmenters.contract.checks import CHECKS, Check, where


def run_check(folder: Path, number: int, say: Callable[..., None]) -> tuple[str, str]:
    """Runs one check on the method that FOLDER/job describes: what came of it, and what was found.

    `passed` or `skipped`; `broken`: this part of the contract; `bad answer` or `raised`: may have nothing to do with
    what is checked; `unmade`: there is no method.
    """
    try:
        bench = _bench(folder)
    except InputError as error:
        return "unmade", "; ".join(error.problems)
    except Exception as error:  # anything may go wrong in a stranger's module
        return "unmade", f"{type(error).__name__}: {error}"
    say("started")
    return _outcome(CHECKS[number], bench)


@cache
def _bench(folder: Path) -> Bench:
    """The method and its folder; models that one check trained are there for the next."""
    watch.adopt_orphans()
    job = pickle.loads((folder / "job").read_bytes())
    sys.path += [entry for entry in job["path"] if entry not in sys.path]
    return Bench(_segmenter(job), folder / "box")


def _segmenter(job: dict[str, Any]) -> Any:
    from dlfbench.segmenters.registry import make_method

    if "content" in job:
        adopt_files(job["files"])
        return pickle.loads(job["content"])
    return make_method(job["name"], job["use"], job["settings"], preset="quick").segmenter


def _outcome(check: Check, bench: Bench) -> tuple[str, str]:
    try:
        check.run(bench)
    except SkipTest as reason:
        return "skipped", str(reason)
    except BadAnswer as error:
        return "bad answer", str(error)
    except Broken as error:
        return "broken", str(error)
    except (Exception, SystemExit) as error:  # a method may raise anything
        traceback.print_exc()
        place = where(error)  # nowhere in its code: it gave something that cannot be taken for an answer
        return "raised" if place else "bad answer", f"{type(error).__name__}: {error}{place}"
    return "passed", ""
