"""The contract of registrations: ours keep it, every way of breaking it is found and named."""

from collections.abc import Callable
from pathlib import Path

import bad_registrations
import pytest

from dlfbench.segmenters.contract.suite import Verdict, check_plugin

Cli = Callable[..., tuple[int, str]]
BAD = Path(bad_registrations.__file__)


def failures(verdict: Verdict) -> dict[str, str]:
    return {result.title: result.found for result in verdict.failures}


@pytest.mark.slow
@pytest.mark.parametrize("name", ["greedy", "greedy_roi", "simpleitk"])
def test_every_registration_of_ours_keeps_the_contract(name: str) -> None:
    verdict = check_plugin(name, registration=True)
    assert verdict.passed, str(verdict)


@pytest.mark.parametrize("given", [bad_registrations.AsTheyLie, bad_registrations.AsTheyLie(), f"{BAD}:AsTheyLie"])
def test_one_that_resamples_by_the_grids_keeps_it(given: object) -> None:
    verdict = check_plugin(given, registration=True)
    assert verdict.passed, str(verdict)
    assert len(verdict.results) == 14


GRIDS = "knows that grids lie in millimetres"
BREACHES = {
    "OwnGrid": {"gives an atlas on the target's grid": "images have shape (1, 31, 36, 30), expected (1, 32, 36, 30)"},
    "VoxelByVoxel": {GRIDS: "the same scene on grids of other axes: Dice 0."},
    "FromMassToMass": {"works with values around 0": "above and below a background of 0: Dice 0.00 and 0.00"},
    "BackgroundBeyond": {"gives no label beyond the atlas": "100% of the voxels more than 5 mm beyond"},
    "ChangesInput": {"leaves its inputs alone": "changed atlas.labels"},
    "Shaky": {"gives the same again": "labels differ"},
    "NewEveryTime": {"says its version": "and then"},
    "WritesAround": {"writes into scratch only": "debug.txt"},
    "LeaksProcess": {"leaves no process behind": "time.sleep(300)"},
}
QUICK = ("VoxelByVoxel", "FromMassToMass", "BackgroundBeyond")


@pytest.mark.parametrize("name", [n if n in QUICK else pytest.param(n, marks=pytest.mark.slow) for n in BREACHES])
def test_each_breach_is_found_and_named(name: str) -> None:
    found = failures(check_plugin(f"{BAD}:{name}", registration=True))
    for title, said in BREACHES[name].items():
        assert said in found.get(title, ""), found
    if name not in ("OwnGrid", "ChangesInput", "FromMassToMass"):  # which spoil other checks too
        assert set(found) == set(BREACHES[name])


def test_the_command_says_what_failed_and_how_to_mend_it(dlfbench: Cli) -> None:
    code, text = dlfbench("check-plugin", f"{BAD}:VoxelByVoxel", "--registration")
    assert code == 1
    assert f"- {GRIDS}: voxels of the target to mm by target.grid.affine" in text
    code, text = dlfbench("check-plugin", f"{BAD}:AsTheyLie")
    assert code == 1
    assert "a registration is checked with --registration" in text
