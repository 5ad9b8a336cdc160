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
from dlfbench.segmenters.contract.registrations import REGISTRATION_CHECKS, RegistrationBench


def run_check(folder: Path, number: int, say: Callable[..., None]) -> tuple[str, str]:
    """Runs one check on the method or registration that FOLDER/job describes: what came of it, and what was found.

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
    checks = REGISTRATION_CHECKS if isinstance(bench, RegistrationBench) else CHECKS
    return _outcome(checks[number], bench)


@cache
def _bench(folder: Path) -> Bench | RegistrationBench:
    """The plugin and its folder; models that one check trained are there for the next."""
    watch.adopt_orphans()
    job = pickle.loads((folder / "job").read_bytes())
    sys.path += [entry for entry in job["path"] if entry not in sys.path]
    if job["registration"]:
        return RegistrationBench(_registration(job), folder / "box")
    return Bench(_segmenter(job), folder / "box")


def _segmenter(job: dict[str, Any]) -> Any:
    from dlfbench.segmenters.registry import make_method

    if "content" in job:
        return _given(job)
    return make_method(job["name"], job["use"], job["settings"], preset="quick").segmenter


def _registration(job: dict[str, Any]) -> Any:
    from dlfbench.registration import make_registration

    return _given(job) if "content" in job else make_registration(job["use"], job["settings"])


def _given(job: dict[str, Any]) -> Any:
    adopt_files(job["files"])
    return pickle.loads(job["content"])


def _outcome(check: Check, bench: Bench | RegistrationBench) -> tuple[str, str]:
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
