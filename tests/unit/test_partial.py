"""What is not known of a label map counts nowhere: voxels to be ignored, and labels that were not drawn."""

from dataclasses import dataclass, field, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from builders import write_dataset
from dlfbench.datasets.cases import LabelSet
from dlfbench.datasets.decathlon import read_decathlon
from dlfbench.errors import InputError
from dlfbench.fusion.partial import with_classes_for_open_votes, with_open_votes, without_their_classes
from dlfbench.fusion.posterior import Posterior
from dlfbench.images import UNKNOWN, Grid
from dlfbench.metrics.scores import score_labels
from dlfbench.segmenters.interface import Context, Training
from dlfbench.segmenters.registry import check_learning, make_method
from dlfbench.volumes import AtlasSet, Segmentation, Target
from dlfbench_baselines.corrected import Corrected
from dlfbench_baselines.mv import MajorityVoting
from dlfbench_baselines.simple import Simple
from dlfbench_baselines.staple import Staple

LABELS = LabelSet((0, 1, 2), ("background", "front", "back"))
Array = npt.NDArray[Any]


def scores(prediction: Array, reference: Array, **more: Any) -> list[Any]:
    return score_labels(prediction, reference, labels=LABELS, spacing_mm=(1.0, 1.0, 1.0), **more)


def test_voxels_to_be_ignored_count_in_no_metric() -> None:
    reference = np.zeros((6, 6, 6), np.int32)
    reference[1:3, 1:3, 1:3], reference[3:5, 1:3, 1:3] = 1, 2
    perfect = reference.copy()
    reference[:, 3:] = UNKNOWN
    wrong_where_ignored = perfect.copy()
    wrong_where_ignored[:, 3:] = 2
    for score in scores(wrong_where_ignored, reference):
        assert (score.dice, score.hd95_mm, score.surface_dice, score.volume_error) == (1, 0, 1, 0)
        assert score.prediction_volume_mm3 == score.reference_volume_mm3 == 8


def test_a_label_that_was_not_drawn_has_no_number_and_is_in_neither_mean_nor_sum() -> None:
    reference = np.zeros((4, 4, 4), np.int32)
    reference[1:3, 1:3, 1:3] = 1
    front, back = scores(reference + (reference == 0) * 2, reference, undrawn=(2,))
    assert front.dice == 1
    assert np.isnan([back.dice, back.hd95_mm, back.reference_volume_mm3, back.prediction_volume_mm3]).all()


def candidates(*rows: list[int]) -> AtlasSet:
    labels = np.array(rows, np.int16)[:, :, None, None]
    names = tuple(f"a{i}" for i in range(len(rows)))
    return AtlasSet(names, np.zeros((len(rows), 1, *labels.shape[1:]), np.float32), labels, LABELS.values)


def fused(atlases: AtlasSet) -> tuple[list[int], Array]:
    target = Target("t", np.zeros((1, *atlases.labels.shape[1:]), np.float32), Grid.of((1, 1, 1), np.eye(4)))
    found = MajorityVoting().segment(target, atlases, Context(Path()))
    assert found.posterior is not None
    return found.labels.ravel().tolist(), found.posterior[..., 0, 0]


def test_whoever_did_not_draw_a_label_abstains_between_it_and_background() -> None:
    # of three atlases the last two have no label 2: their background may be it
    atlases = with_open_votes(candidates([2, 0, 2, 1], [0, 0, 1, 0], [0, 0, 1, 1]), [(), (2,), (2,)])
    assert atlases.labels[:, :, 0, 0].tolist() == [[2, 0, 2, 1], [2, 0, 1, 0], [2, 0, 1, 1]]
    labels, posterior = fused(atlases)
    assert labels == [2, 0, 1, 1]
    np.testing.assert_allclose(posterior[:, 0], [0, 0, 1])  # who knows says 2
    np.testing.assert_allclose(posterior[:, 2], [0, 2 / 3, 1 / 3])  # label 1 was drawn in all
    np.testing.assert_allclose(posterior[:, 3], [1 / 3, 2 / 3, 0], atol=1e-6)  # nobody says 2: background
    np.testing.assert_allclose(posterior.sum(axis=0), 1)


def shared_out(posterior: Array, choices: tuple[tuple[int, ...], ...]) -> Array:
    """Plainly: what open classes got goes to the known labels that they may be, else to the background."""
    shared = posterior[:3].copy()
    for mass, values in zip(posterior[3:], choices, strict=True):
        total = posterior[list(values)].sum(axis=0)
        for value in values:
            shared[value] += np.divide(mass * posterior[value], total, out=np.zeros_like(mass), where=total > 0)
        shared[0] += np.where(total > 0, 0, mass)
    return shared


def test_lists_of_labels_and_arrays_share_out_open_votes_alike() -> None:
    rows = np.random.default_rng(0).integers(0, 3, (6, 200)).tolist()
    atlases = with_open_votes(candidates(*rows), [(), (2,), (1, 2), (), (2,), (1,)])
    assert atlases.open is not None
    opened = with_classes_for_open_votes(atlases)
    votes = Posterior.of_votes(opened.labels, opened.label_values)
    # weights of joint label fusion may be negative
    for found in (votes, replace(votes, shares=(votes.shares * 1.5 - 0.1).astype(np.float32))):
        by_list = without_their_classes(Segmentation(found.labels(), found), atlases)
        assert isinstance(by_list.found, Posterior)
        expected = shared_out(found.dense(), atlases.open.choices)
        np.testing.assert_allclose(by_list.posterior, expected, atol=1e-6)
        np.testing.assert_array_equal(by_list.labels, expected.argmax(axis=0))
    by_array = without_their_classes(Segmentation(votes.labels(), votes.dense()), atlases)
    np.testing.assert_allclose(by_array.posterior, shared_out(votes.dense(), atlases.open.choices), atol=1e-6)


def test_where_all_is_known_nothing_changes() -> None:
    atlases = candidates([2, 0], [0, 1])
    assert with_open_votes(atlases, [(), ()]) is atlases
    assert with_classes_for_open_votes(atlases) is atlases


def test_atlases_that_are_chosen_keep_their_open_votes() -> None:
    atlases = with_open_votes(candidates([2, 0], [0, 0], [1, 1]), [(), (2,), (1,)]).some(np.array([0, 1]))
    assert atlases.open is not None
    assert atlases.open.where[:, :, 0, 0].tolist() == [[0, 0], [1, 1]]
    assert atlases.open.choices == ((0, 2), (0, 1))


def test_far_from_every_dispute_no_vote_is_open() -> None:
    atlases = with_open_votes(candidates([2] + 29 * [0], 30 * [0], [1] + 29 * [0]), [(), (2,), ()])
    opened = with_classes_for_open_votes(atlases)
    assert opened.label_values == (0, 1, 2, 3)
    assert (opened.labels[1, :, 0, 0] == 3).tolist() == 11 * [True] + 19 * [False]


@dataclass(frozen=True)
class Case:
    """A training case of corrective learning."""

    name: str
    reference: Array
    undrawn: tuple[int, ...] = ()
    atlases: AtlasSet = field(default_factory=lambda: candidates([0]))

    def read_target(self) -> Target:
        image = np.random.default_rng(0).normal(size=(1, *self.reference.shape)).astype(np.float32)
        return Target(self.name, image, Grid.of(self.reference.shape, np.eye(4)))

    def read_reference(self) -> Array:
        return self.reference

    def read_atlases(self) -> AtlasSet:
        host = np.zeros(self.reference.shape, np.int16)
        host[3:6, 3:6, 3:6], host[6:8, 3:6, 3:6] = 1, 2
        return AtlasSet(("a",), self.read_target().images[None], host[None], LABELS.values)


@pytest.mark.parametrize("undrawn", [(), (2,)])
def test_corrective_learning_sees_no_voxel_that_is_not_known(undrawn: tuple[int, ...]) -> None:
    reference = np.zeros((10, 10, 10), np.int32)
    reference[3:6, 3:6, 3:6] = 1
    reference[:, :, 5:] = UNKNOWN
    method = Corrected(host="mv", patch_radius=0)
    ((region, truth),) = method._see(Case("c", reference, undrawn), LABELS.values, Context(Path()))  # type: ignore[arg-type]
    for label in range(3):
        voxels = region.voxels[label]
        seen, answer = reference.ravel()[voxels], truth.of(label, voxels)
        known = answer >= 0
        expected = seen != UNKNOWN
        if undrawn and label in (0, 2):  # background may be label 2
            expected = expected & (seen == 1)
        assert (known == expected).all()
        assert ((answer == 1) == (seen == label))[known].all()


def test_nnunet_gets_its_own_ignore_label(tmp_path: Path) -> None:
    pytest.importorskip("nnunetv2")
    import json

    import nibabel as nib

    from dlfbench_baselines.nnunet.dataset import write_dataset as write_raw

    data = write_dataset(tmp_path / "data", people=2, sides="L")
    header = json.loads((data / "dataset.json").read_text())
    header["labels"] = {"background": 0, "front": 1, "back": 7, "ignore": 9}
    (data / "dataset.json").write_text(json.dumps(header))
    for name, undrawn in (("p00L", False), ("p01L", True)):
        file = nib.load(data / f"labelsTr/{name}.nii.gz")
        labels = np.asarray(file.dataobj)
        labels = np.where(labels == 2, 0 if undrawn else 7, labels)
        labels[0] = 9
        nib.save(nib.Nifti1Image(labels, file.affine), data / f"labelsTr/{name}.nii.gz")
    (data / "cases.tsv").write_text("case\tlabels\np01L\tfront\n")
    dataset = read_decathlon(data)
    cases = [
        SimpleNamespace(
            name=case.name,
            undrawn=case.undrawn,
            reference_path=case.reference,
            image_paths=case.images,
            read_reference=lambda case=case: case.read_reference()[0],
            read_target=case.read_target,
        )
        for case in dataset.cases
    ]
    training = Training(cases, dataset.labels.values, dataset.modalities, dataset.labels.names)  # type: ignore[arg-type]
    write_raw(training, tmp_path / "raw")
    assert json.loads((tmp_path / "raw/dataset.json").read_text())["labels"] == {
        "background": 0,
        "front": 1,
        "back": 2,
        "ignore": 3,
    }
    assert [path.name for path in (tmp_path / "raw/labelsTr").iterdir()] == ["p00L.nii.gz"]  # p01L lacks a label
    for case in dataset.cases[:1]:
        reference = case.read_reference()[0]
        written = np.asarray(nib.load(tmp_path / f"raw/labelsTr/{case.name}.nii.gz").dataobj)
        assert (written == np.where(reference == UNKNOWN, 3, np.searchsorted((0, 1, 7), reference))).all()


def test_methods_that_need_whole_label_maps_are_refused(tmp_path: Path) -> None:
    data = write_dataset(tmp_path / "data", people=2, sides="L")
    (data / "cases.tsv").write_text("case\tlabels\np01L\tfront\n")
    own = tmp_path / "mine.py"
    own.write_text(
        "from dataclasses import dataclass\nfrom dlfbench import Segmenter\n\n@dataclass(frozen=True)\n"
        "class Mine(Segmenter):\n    def fit(self, training, context): ...\n"
        "    def segment(self, target, atlases, context): ...\n"
    )
    methods = [make_method("mv", "mv", {}), make_method("mine", f"{own}:Mine", {})]
    with pytest.raises(InputError, match="'mine': learns from whole label maps only, and that of case p01L") as caught:
        check_learning(methods, read_decathlon(data))
    assert len(caught.value.problems) == 1


def test_who_judges_atlases_does_not_hold_against_them_what_nobody_drew() -> None:
    """Three good atlases in which label 2 was not drawn among seven that are off: SIMPLE dropped the good ones."""
    rng, shape = np.random.default_rng(0), (20, 20, 20)
    places = np.indices(shape)

    def drawn(spread: float) -> np.ndarray:
        middle = 9.5 + rng.normal(0, spread, 3)
        away = np.sqrt(((places - middle.reshape(3, 1, 1, 1)) ** 2).sum(axis=0))
        return np.where(away < 4, 1, np.where(away < 7, 2, 0)).astype(np.int16)

    reference = drawn(0.0)
    whole = np.stack([*(drawn(0.3) for _ in range(3)), *(drawn(1.2) for _ in range(7))])
    partly = whole.copy()
    partly[:3][partly[:3] == 2] = 0
    names, images = tuple("abcdefghij"), np.zeros((10, 1, *shape), np.float32)
    target = Target("t", images[0], Grid.of(shape, np.eye(4)))
    undrawn: list[tuple[int, ...]] = [(2,)] * 3 + [()] * 7
    atlases = with_open_votes(AtlasSet(names, images, partly, (0, 1, 2)), undrawn)
    known = AtlasSet(names, images, whole, (0, 1, 2))
    for method in (Simple(), Staple()):
        found, best = (method.segment(target, one, Context(Path())).labels for one in (atlases, known))
        dice, wanted = (
            2 * ((map_ == 1) & (reference == 1)).sum() / ((map_ == 1).sum() + (reference == 1).sum())
            for map_ in (found, best)
        )
        assert dice > wanted - 0.03, type(method).__name__
