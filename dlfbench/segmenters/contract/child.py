"""The process in which checks run: `python -m dlfbench.segmenters.contract.child FOLDER FIRST`.

Reads FOLDER/job, makes the method, runs the checks from number FIRST on, and writes one line of JSON for each.
"""

import json
import os
import pickle
import sys
import traceback
from pathlib import Path
from typing import Any
from unittest import SkipTest

from dlfbench.plugin_files import adopt_files
from dlfbench.segmenters.contract import watch
from dlfbench.segmenters.contract.bench import Bench, Broken
from dlfbench.segmenters.contract.checks import CHECKS, Check, where


def main(folder: Path, first: int) -> None:
    """Runs the checks; what the method prints goes to FOLDER/log."""
    reply = os.fdopen(os.dup(1), "w")
    log = os.open(folder / "log", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(log, 1)
    os.dup2(log, 2)
    watch.adopt_orphans()
    bench = Bench(_segmenter(folder, reply), folder / "box")
    for check in CHECKS[first:]:
        _say(reply, *_outcome(check, bench))


def _segmenter(folder: Path, reply: Any) -> Any:
    """The method; where it cannot be made, says why and ends."""
    from dlfbench.errors import InputError
    from dlfbench.segmenters.registry import make_method

    job = pickle.loads((folder / "job").read_bytes())
    sys.path += [entry for entry in job["path"] if entry not in sys.path]
    try:
        if "content" in job:
            adopt_files(job["files"])
            return pickle.loads(job["content"])
        return make_method(job["name"], job["use"], job["settings"], preset="quick").segmenter
    except InputError as error:
        _say(reply, "unmade", "; ".join(error.problems))
    except Exception as error:
        _say(reply, "unmade", f"{type(error).__name__}: {error}")
    sys.exit(0)


def _outcome(check: Check, bench: Bench) -> tuple[str, str]:
    try:
        check.run(bench)
    except SkipTest as reason:
        return "skipped", str(reason)
    except Broken as error:
        return "failed", str(error)
    except (Exception, SystemExit) as error:  # a method may raise anything
        traceback.print_exc()
        return "failed", f"{type(error).__name__}: {error}{where(error)}"
    return "passed", ""


def _say(reply: Any, status: str, found: str) -> None:
    reply.write(json.dumps([status, found]) + "\n")
    reply.flush()


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
