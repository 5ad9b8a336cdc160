"""Whether labels tell left from right, and what mirrors images asks that."""

import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from dlfbench.datasets.phantom import open_phantom
from dlfbench.images import Grid
from dlfbench.networks.learning import _mirror_axes
from dlfbench.segmenters.interface import Context, Training, TrainingCase
from dlfbench.segmenters.sides import labels_have_sides
from dlfbench.volumes import Target
from dlfbench_baselines.nnunet import fitting
from dlfbench_baselines.nnunet.dataset import Workplace
from dlfbench_baselines.nnunet.settings import Budget, Plan

SHAPE = (20, 12, 10)


class Drawn(TrainingCase):
    """A label map, along whose axis there are two structures, and one in the middle."""

    def __init__(self, name: str, *, swapped: bool = False, axis: int = 0, side: str = "") -> None:
        self.name, self.axis, self.columns = name, axis, {"side": side} if side else {}
        labels = np.zeros(SHAPE, np.int16)
        labels[3:7, 4:8, 3:7], labels[8:12, 4:8, 3:7], labels[13:17, 4:8, 3:7] = (2, 1, 3) if swapped else (3, 1, 2)
        self.reference = np.moveaxis(labels, 0, axis)

    def read_target(self) -> Target:
        affine = np.eye(4)[[self.axis, *({0, 1, 2} - {self.axis}), 3]]
        grid = Grid.of(self.reference.shape, affine)
        return Target(self.name, self.reference[None].astype(np.float32), grid, self.columns)

    def read_reference(self) -> np.ndarray:
        return self.reference

    def read_atlases(self) -> None:  # type: ignore[override]
        raise NotImplementedError


def training(*cases: TrainingCase) -> Training:
    return Training(cases, (0, 1, 2, 3), ("T1",))


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_left_and_right_structures_with_labels_of_their_own_are_seen(axis: int) -> None:
    brains = training(Drawn("a", axis=axis), Drawn("b", axis=axis))
    assert labels_have_sides(brains)
    assert _mirror_axes(brains, brains.cases[0].read_target().grid) == ()


def test_where_cases_of_both_sides_are_together_labels_have_none() -> None:
    crops = training(Drawn("left"), Drawn("right", swapped=True))
    assert not labels_have_sides(crops)
    assert _mirror_axes(crops, crops.cases[0].read_target().grid) == (0,)


@pytest.mark.parametrize("side", ["L", "right"])
def test_nobody_mirrors_where_all_cases_are_of_one_side(
    side: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    crops, asked = training(Drawn("a", side=side), Drawn("b", side=side, swapped=True)), []
    assert _mirror_axes(crops, crops.cases[0].read_target().grid) == ()

    def make_trainer(*_: object, mirrors: bool) -> None:
        asked.append(mirrors)
        raise InterruptedError

    made_up = SimpleNamespace(make_trainer=make_trainer)
    monkeypatch.setitem(sys.modules, "dlfbench_baselines.nnunet.training", made_up)  # type: ignore[arg-type]
    there, plan = Workplace(tmp_path), Plan("3d_fullres", "default", Budget(1, 1, 1), True, None)
    there.preprocessed.mkdir(parents=True)
    for name in ("nnUNetPlans", "dataset"):
        (there.preprocessed / f"{name}.json").write_text("{}")
    for cases in (crops, training(Drawn("a", side=side), Drawn("b", swapped=True))):
        with pytest.raises(InterruptedError):
            fitting._train(cases, there, plan, Context(tmp_path))
    assert asked == [False, True]


def test_structures_one_behind_the_other_have_no_sides() -> None:
    case = Drawn("a", axis=1)
    turned = replace(case.read_target(), grid=Grid.of(case.reference.shape, np.eye(4)))
    case.read_target = lambda: turned  # type: ignore[method-assign]
    assert not labels_have_sides(training(case))


def test_a_structure_of_one_side_alone_in_whole_images_is_seen() -> None:
    brain = Drawn("a")
    brain.reference = np.where(brain.reference == 3, 3, 0).astype(np.int16)
    assert labels_have_sides(training(brain))
    crop = Drawn("b")
    crop.reference = np.roll(brain.reference, 5, axis=0)  # in the middle
    assert not labels_have_sides(training(crop))


def test_labels_that_nobody_has_and_empty_cases_change_nothing() -> None:
    empty = Drawn("empty")
    empty.reference = np.zeros(SHAPE, np.int16)
    assert labels_have_sides(Training((Drawn("a"), empty), (0, 1, 2, 3, 9), ("T1",)))
    assert not labels_have_sides(training(empty))


def test_the_phantom_has_no_sides() -> None:
    class OfPhantom(Drawn):
        def __init__(self, case) -> None:  # type: ignore[no-untyped-def]
            self.name, self.case = case.name, case

        def read_target(self) -> Target:
            return self.case.read_target()

        def read_reference(self) -> np.ndarray:
            return self.case.read_reference()[0]

    phantom = open_phantom()
    cases = [OfPhantom(case) for case in phantom.cases[:6]]
    assert not labels_have_sides(Training(cases, phantom.labels.values, phantom.modalities))
