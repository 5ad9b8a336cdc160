"""The contract: every registered method keeps it, every way of breaking it is found and named."""

from collections.abc import Callable
from pathlib import Path

import bad_plugins
import pytest

from dlfbench import plugins
from dlfbench.segmenters.contract.suite import Verdict, check_plugin

Cli = Callable[..., tuple[int, str]]
BAD = Path(__file__).with_name("bad_plugins.py")

OURS = sorted(
    name
    for name, plugin in plugins.plugins(plugins.SEGMENTERS).items()
    if name == "dlf" or "dlfbench_baselines" in plugin.source
)


SHORTER = {
    "nnunet": "nnunet[epochs=1,iterations=3]",
    "ensemble": 'ensemble[of="mv;unet[steps=2]"]',
    "cv_ensemble": 'cv_ensemble[host="unet[steps=2]",folds=2]',
}
"""Trainings that would take minutes: the contract asks nothing of how good a method is."""


def failures(verdict: Verdict) -> dict[str, str]:
    return {result.title: result.found for result in verdict.failures}


@pytest.mark.parametrize("name", ["mv"])
def test_our_simplest_method_keeps_the_contract(name: str) -> None:
    verdict = check_plugin(name)
    assert verdict.passed, str(verdict)


@pytest.mark.slow
@pytest.mark.parametrize("name", OURS)
def test_every_registered_method_keeps_the_contract(name: str) -> None:
    verdict = check_plugin(SHORTER.get(name, name), limit_s=300)
    assert verdict.passed, str(verdict)


def test_a_method_that_trains_keeps_it_too_and_objects_can_be_checked() -> None:
    verdict = check_plugin(bad_plugins.GoodTrained(power=2.0))
    assert verdict.passed, str(verdict)
    assert sum(result.status == "passed" for result in verdict.results) >= 15


GRID, REFERENCE = "answers on the target's grid, with declared labels", "never sees the target's reference"
BREACHES = {
    "WrongGrid": {GRID: "label map"},
    "OtherLabels": {GRID: "values [2] outside the declared [0, 1, 4]"},
    "ChangesInput": {"leaves its inputs alone": "changed target.images (4032 values)"},
    "GlobalRandom": {
        "repeatable under a seed": "voxels differ",
        "leaves global random numbers alone": "changed the global random state of numpy",
    },
    "SeedsGlobalRandom": {"leaves global random numbers alone": "changed the global random state of random"},
    "ReadsReference": {REFERENCE: "opened the reference of the target, target.nii.gz in labelsTr"},
    "RaisesOnOne": {"works with 30 atlases": "RuntimeError: the matrix is singular (bad_plugins.py, line "},
    "Hangs": {GRID: "still running after 3 s"},
    "LeaksProcess": {"leaves no process behind": "time.sleep(300)"},
    "NaNPosterior": {GRID: "values that are not finite"},
    "NegativeShares": {GRID: "shares below 0, down to -0.5"},
    "WritesAround": {"writes in its folder only": "debug.txt"},
    "TrustsParameters": {"refuses bad parameters": "share=-1 was accepted, and then: IndexError: no such share"},
    "NeedsTwoAtlases": {"works with 1 atlas": "IndexError: index 1 is out of bounds"},
    "Crashes": {GRID: "the process died (SIGABRT)"},
}
QUICK = ("ChangesInput", "ReadsReference", "Hangs")


@pytest.mark.parametrize("name", [n if n in QUICK else pytest.param(n, marks=pytest.mark.slow) for n in BREACHES])
def test_each_breach_is_found_and_named(name: str) -> None:
    found = failures(check_plugin(f"{BAD}:{name}", limit_s=3 if name == "Hangs" else 60))
    for title, said in BREACHES[name].items():
        assert said in found.get(title, ""), found
    if GRID not in BREACHES[name] and name != "GlobalRandom":  # the answer of that one differs in every check
        assert set(found) == set(BREACHES[name])


def test_a_method_for_which_everything_was_skipped_fails() -> None:
    verdict = check_plugin(f"{BAD}:SkipsAll")
    assert not verdict.failures
    assert not verdict.passed


def test_the_command_says_what_failed_and_how_to_mend_it(dlfbench: Cli) -> None:
    code, text = dlfbench("check-plugin", f"{BAD}:WrongGrid")
    assert code == 1
    assert "does not keep the contract" in text
    assert text.count("\n- ") == 1
    assert f"- {GRID}: return labels (x, y, z)" in text
    code, text = dlfbench("check-plugin", BAD.with_name("broken_import.py"))
    assert code == 1
    assert "a_library_that_nobody_has is not installed" in text


@pytest.mark.parametrize(
    ("name", "found", "advice"),
    [
        ("Doubled", "posterior sums to 2 over classes, expected 1", "divide by the sum over classes"),
        # another sum in every check, since the number of atlases differs
        pytest.param("Counts", "posterior sums to 5 over classes, expected 1", "divide by", marks=pytest.mark.slow),
        pytest.param(
            "Raises", "LinAlgError: Singular matrix (bad_plugins.py, line ", "see the line", marks=pytest.mark.slow
        ),
        pytest.param("Hangs", "still running after 3 s", "--limit-s", marks=pytest.mark.slow),
        pytest.param("Crashes", "the process died (SIGABRT)", "last words", marks=pytest.mark.slow),
    ],
)
def test_one_fault_gets_one_advice(name: str, found: str, advice: str) -> None:
    verdict = check_plugin(f"{BAD}:{name}", limit_s=3 if name == "Hangs" else 60)
    assert len(verdict.failures) > 5
    (told,) = [result for result in verdict.failures if result.mend]
    assert told.title == GRID
    assert found in told.found
    assert advice in told.mend
