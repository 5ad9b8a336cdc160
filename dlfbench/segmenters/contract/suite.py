"""Runs the checks on a method or a registration in a child process, and says what came of it."""

import pickle
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

from dlfbench.isolation.process import Call, Died, Process, TookTooLong
from dlfbench.plugin_files import absolute, loaded_files
from dlfbench.segmenters.contract.checks import CHECKS, Check
from dlfbench.segmenters.contract.child import run_check
from dlfbench.segmenters.contract.registrations import REGISTRATION_CHECKS
from dlfbench.segmenters.interface import Segmenter
from dlfbench.segmenters.registry import method_class
from dlfbench.segmenters.specs import parse_method

Status = Literal["passed", "failed", "skipped", "not run"]

_AVAILABLE = "can be found and made"
_METHOD = "see docs/add-a-method.md for what a method is; a registration is checked with --registration"
_REGISTRATION = "see docs/add-a-registration.md for what a registration is"
_ENDED = {
    "hung": "see what it waits for; where it is only slow, give it more time with --limit-s",
    "died": "see its last words: compiled code crashed, or something ended the whole process",
}
_RAISED_AT_ONCE = "see the line that is named: nothing is odd about these images but that they are small"
_MOST_LOSSES = 2  # crashes and hangs after which no further check is run


@dataclass(frozen=True)
class CheckResult:
    """What came of one check.

    Attributes:
        title: What the method must do.
        status: passed, failed, skipped or not run.
        found: What went wrong, or why it was skipped.
        mend: What to do about a failure; empty where that is said of an earlier check.
        runs: Whether the check runs the method.
    """

    title: str
    status: Status
    found: str = ""
    mend: str = ""
    runs: bool = True


@dataclass(frozen=True)
class Verdict:
    """What came of all checks.

    Attributes:
        name: The method.
        results: One per check, in order.
    """

    name: str
    results: tuple[CheckResult, ...]

    @property
    def passed(self) -> bool:
        """No check failed, and not all of those that run the method were skipped."""
        return not self.failures and any(result.status == "passed" and result.runs for result in self.results)

    @property
    def failures(self) -> tuple[CheckResult, ...]:
        return tuple(result for result in self.results if result.status in ("failed", "not run"))

    def __str__(self) -> str:
        lines = [f"{r.status:8} {r.title}{f': {r.found}' if r.found else ''}" for r in self.results]
        return "\n".join([f"{self.name}: {'keeps' if self.passed else 'does not keep'} the contract", *lines])


def check_plugin(plugin: Any, *, registration: bool = False, limit_s: float = 120.0) -> Verdict:
    """Checks a method, or a registration, against the contract that all of them keep.

    Args:
        plugin: Its name, `NAME[parameter=value]`, or `FILE.py:CLASS`; or an object, class or function.
        registration: Whether it is a registration.
        limit_s: Time for one check; what takes longer counts as hanging.

    Returns:
        The outcome of each check; `passed` tells whether all is well, `str` gives a table.
    """
    name, job = _job(plugin, registration)
    with tempfile.TemporaryDirectory(prefix="dlfbench-check-") as scratch:
        folder = Path(scratch).resolve()
        for part in ("box/tmp", "box/run/scratch", "box/data"):
            (folder / part).mkdir(parents=True)
        more = {"registration": registration, "path": [str(Path(p).resolve()) for p in sys.path]}
        (folder / "job").write_bytes(pickle.dumps(job | more))
        return Verdict(name, tuple(_results(folder, REGISTRATION_CHECKS if registration else CHECKS, limit_s)))


def _job(plugin: Any, registration: bool) -> tuple[str, dict[str, Any]]:
    import cloudpickle

    if isinstance(plugin, str):
        name, settings = parse_method(plugin)
        return name, {"name": name, "use": absolute(settings.pop("use"), Path.cwd()), "settings": settings}
    if registration:
        plugin = plugin() if isinstance(plugin, type) else plugin
    elif not isinstance(plugin, Segmenter):
        plugin = method_class(plugin, getattr(plugin, "__name__", repr(plugin)))()
    content = cloudpickle.dumps(plugin)
    files = {module: file for module, file in loaded_files().items() if module.encode() in content}
    return type(plugin).__name__, {"content": content, "files": files}


def _results(folder: Path, checks: Sequence[Check], limit_s: float) -> Iterator[CheckResult]:
    answers = _answers(folder, len(checks), limit_s)
    first = next(answers)
    if first[0] == "unmade":
        mend = _REGISTRATION if checks is REGISTRATION_CHECKS else _METHOD
        yield CheckResult(_AVAILABLE, "failed", first[1], mend)
        return
    yield CheckResult(_AVAILABLE, "passed", runs=False)
    outcomes = [first, *answers]
    told: set[str] = set()
    for number, check in enumerate(checks):
        came, found = outcomes[number] if number < len(outcomes) else ("not run", "the method hung or crashed above")
        status = came if came in get_args(Status) else "failed"
        # what goes wrong in the first check, the plainest, goes wrong in others and says nothing of what they are about
        again = found in told or (number > 0 and came == first[0] and check.runs_method)
        mend = "" if again or status != "failed" else _mend(check, came, plain=number == 0)
        told.add(found)
        yield CheckResult(check.title, status, found, mend, check.runs_method)  # type: ignore[arg-type]


def _mend(check: Check, came: str, *, plain: bool) -> str:
    return _RAISED_AT_ONCE if plain and came == "raised" else _ENDED.get(came, check.mend)


def _answers(folder: Path, checks: int, limit_s: float) -> Iterator[tuple[str, str]]:
    """What came of each check (as of `run_check`; or `hung`, `died`) and what was found.

    The process is started again after a crash or a hang.
    """
    process = Process({"TMPDIR": str(folder / "box" / "tmp"), "PYTHONDONTWRITEBYTECODE": "1"}, folder / "box")
    losses = 0
    try:
        for number in range(checks):
            try:
                answer = process.call(Call(run_check, (folder, number), folder / "log"), limit_s=limit_s)
            except TookTooLong:
                answer = "hung", f"still running after {limit_s:g} s"
                losses += 1
            except Died as death:
                answer = "died", f"the {death}"
                losses += 1
            yield answer
            if answer[0] == "unmade" or losses == _MOST_LOSSES:
                return
    finally:
        process.end()
