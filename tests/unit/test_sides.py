"""Whether labels tell left from right, and what mirrors images asks that."""

from dataclasses import replace

import numpy as np
import pytest

from dlfbench.datasets.phantom import open_phantom
from dlfbench.images import Grid
from dlfbench.networks.learning import _mirror_axes
from dlfbench.segmenters.interface import Training, TrainingCase
from dlfbench.segmenters.sides import labels_have_sides
from dlfbench.volumes import Target

SHAPE = (20, 12, 10)


class Drawn(TrainingCase):
    """A label map, along whose axis there are two structures, and one in the middle."""

    def __init__(self, name: str, *, swapped: bool = False, axis: int = 0) -> None:
        self.name, self.axis = name, axis
        labels = np.zeros(SHAPE, np.int16)
        labels[3:7, 4:8, 3:7], labels[8:12, 4:8, 3:7], labels[13:17, 4:8, 3:7] = (2, 1, 3) if swapped else (3, 1, 2)
        self.reference = np.moveaxis(labels, 0, axis)

    def read_target(self) -> Target:
        affine = np.eye(4)[[self.axis, *({0, 1, 2} - {self.axis}), 3]]
        return Target(self.name, self.reference[None].astype(np.float32), Grid.of(self.reference.shape, affine))

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
