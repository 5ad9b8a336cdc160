"""Corrective learning: what it learns, what it keeps, and what it refuses."""

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from sklearn.ensemble import HistGradientBoostingClassifier

from dlfbench.errors import InputError
from dlfbench.fusion.boosted_trees import BoostedTrees, read_trees, write_trees
from dlfbench.fusion.corrective_regions import make_region
from dlfbench.fusion.corrective_trees import draw
from dlfbench.fusion.posterior import Posterior
from dlfbench.images import Grid, LabelArray
from dlfbench.segmenters.interface import Context, Training, TrainingCase
from dlfbench.segmenters.registry import make_method
from dlfbench.volumes import AtlasSet, Target
from dlfbench_baselines.corrected import Corrected

VALUES = (0, 4, 9)
SHAPE = (14, 12, 11)
GRID = Grid.of(SHAPE, np.diag([1.0, 1.0, 2.0, 1.0]))


@dataclass(frozen=True)
class FakeCase(TrainingCase):
    """A case in memory."""

    name: str
    target: Target
    reference: LabelArray
    atlases: AtlasSet

    def read_target(self) -> Target:
        return self.target

    def read_reference(self) -> LabelArray:
        return self.reference

    def read_atlases(self) -> AtlasSet:
        return self.atlases


def make_case(seed: int, *, values: tuple[int, ...] = VALUES) -> FakeCase:
    """Two touching blocks that the image shows well. Candidates are all one voxel too far along x."""
    generator = np.random.default_rng(seed)
    truth = np.zeros(SHAPE, np.int16)
    x, y = generator.integers(3, 5, 2)
    truth[x : x + 3, y : y + 5, 3:8] = values[1]
    truth[x + 3 : x + 6, y : y + 5, 3:8] = values[2]
    image = np.searchsorted(values, truth) * 50.0 + generator.normal(0, 5, SHAPE)
    labels = np.stack([np.roll(truth, 1, axis=0)] * 3)
    atlases = AtlasSet(("a", "b", "c"), np.stack([image[None]] * 3).astype(np.float32), labels, values)
    return FakeCase(f"case{seed}", Target(f"case{seed}", image[None].astype(np.float32), GRID), truth, atlases)


def training(*cases: FakeCase, values: tuple[int, ...] = VALUES) -> Training:
    return Training(cases or tuple(make_case(seed) for seed in range(4)), values, ("MRI",))


QUICK = Corrected(host="mv", rounds=20, patch_radius=1)


@pytest.fixture(scope="module")
def fitted(tmp_path_factory: pytest.TempPathFactory) -> Context:
    context = Context(tmp_path_factory.mktemp("model"), seed=3)
    QUICK.fit(training(), context)
    return context


def test_a_systematic_error_is_learnt_in_all_labels(fitted: Context) -> None:
    case = make_case(99)
    host = case.atlases.labels[0]
    found = QUICK.segment(case.target, case.atlases, fitted)
    assert (host != case.reference).sum() > 70
    assert (found.labels != case.reference).sum() <= 5


def test_the_posterior_sums_to_one_and_is_the_host_s_far_away(fitted: Context) -> None:
    case = make_case(99)
    posterior = QUICK.fuse(case.target, case.atlases, fitted).dense()
    assert np.abs(posterior.sum(axis=0) - 1).max() < 1e-6
    assert (posterior[0, :2] == 1).all()


def test_a_target_without_foreground_stays_so(fitted: Context) -> None:
    case = make_case(99)
    empty = AtlasSet(case.atlases.names, case.atlases.images, np.zeros_like(case.atlases.labels), VALUES)
    assert (QUICK.fuse(case.target, empty, fitted).dense()[0] == 1).all()


def test_the_same_seed_gives_the_same_bits(fitted: Context, tmp_path: Path) -> None:
    few = Corrected(host="mv", rounds=5, patch_radius=1, samples=200)
    case = make_case(99)
    posteriors = []
    for name, seed in (("one", 3), ("two", 3), ("three", 4)):
        (tmp_path / name).mkdir()
        context = Context(tmp_path / name, seed=seed)
        few.fit(training(), context)
        posteriors.append(few.fuse(case.target, case.atlases, context).dense())
    assert np.array_equal(posteriors[0], posteriors[1])
    assert not np.array_equal(posteriors[0], posteriors[2])


def test_an_interrupted_fit_goes_on_with_the_labels_that_are_missing(tmp_path: Path) -> None:
    model = Corrected(host="mv", rounds=3, patch_radius=1)
    told: list[str] = []
    context = Context(tmp_path, progress=lambda share, text: told.append(text))
    model.fit(training(), context)
    assert told == ["host on case0", "host on case1", "host on case2", "host on case3", "label 0", "label 4", "label 9"]
    files = {path.name: path.read_bytes() for path in tmp_path.glob("*.npz")}
    assert set(files) == {"label0.npz", "label4.npz", "label9.npz"}
    (tmp_path / "label4.npz").write_bytes(files["label4.npz"][:-1])  # damaged
    (tmp_path / "label9.npz").unlink()
    told.clear()
    model.fit(training(), context)
    assert told[4:] == ["label 4", "label 9"]
    assert {path.name: path.read_bytes() for path in tmp_path.glob("*.npz")} == files
    told.clear()
    model.fit(training(), context)
    assert told == []


@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_trees_as_arrays_answer_as_the_classifier_does(kind: type, tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    features = generator.normal(size=(300, 7)).astype(kind)
    classifier = HistGradientBoostingClassifier(max_iter=20, max_leaf_nodes=8, early_stopping=False)
    classifier.fit(features, features[:, 0] * features[:, 1] > 0.1)
    write_trees(tmp_path / "x.npz", BoostedTrees.of(classifier))
    trees = read_trees(tmp_path / "x.npz")
    assert trees is not None
    new = generator.normal(size=(500, 7)).astype(kind)
    assert np.array_equal(trees.probability(new), classifier.predict_proba(new)[:, 1])
    write_trees(tmp_path / "none.npz", None)
    assert read_trees(tmp_path / "none.npz") is None


def test_a_label_that_no_training_case_has_is_left_to_the_host(tmp_path: Path) -> None:
    values = (0, 4, 7, 9)
    cases = [make_case(seed) for seed in range(3)]
    cases = [FakeCase(c.name, c.target, c.reference, _declare(c.atlases, values)) for c in cases]
    context = Context(tmp_path)
    QUICK.fit(training(*cases, values=values), context)
    labels = cases[0].atlases.labels.copy()
    labels[:, 1:3, 1:3, 1:3] = 7
    atlases = AtlasSet(cases[0].atlases.names, cases[0].atlases.images, labels, values)
    assert (QUICK.segment(cases[0].target, atlases, context).labels == 7).sum() > 0


def _declare(atlases: AtlasSet, values: tuple[int, ...]) -> AtlasSet:
    return AtlasSet(atlases.names, atlases.images, atlases.labels, values)


def test_nothing_to_learn_from_is_an_error(tmp_path: Path) -> None:
    case = make_case(0)
    empty = AtlasSet(case.atlases.names, case.atlases.images, np.zeros_like(case.atlases.labels), VALUES)
    with pytest.raises(ValueError, match="no foreground in any of 1 training cases"):
        QUICK.fit(training(FakeCase("c", case.target, case.reference, empty)), Context(tmp_path))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("host", "message"),
    [
        ("nonsense", "unknown label fusion method 'nonsense'; known: jlf, mv, simple, staple, svwv"),
        ("corrected", "unknown label fusion method 'corrected'; known: jlf, mv, simple, staple, svwv"),
        ("jlf[beta=-1]", "alpha and beta: expected more than 0"),
        ("jlf[gamma=1]", "unknown parameter 'gamma'"),
        ("mv,jlf", "unknown label fusion method 'mv,jlf'"),
        ("jlf[beta=4", "cannot read 'jlf[beta=4'"),
    ],
)
def test_a_host_that_cannot_be_is_refused(host: str, message: str) -> None:
    with pytest.raises(InputError) as caught:
        make_method("m", "corrected", {"host": host})
    assert message in str(caught.value)


@pytest.mark.parametrize("settings", [{"rounds": 0}, {"dilation": 0}, {"leaves": 1}, {"learning_rate": 0.0}])
def test_impossible_settings_are_refused(settings: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=f"{next(iter(settings))}: expected"):
        Corrected(host="mv", **settings)  # type: ignore[arg-type]


def test_the_host_keeps_its_own_parameters() -> None:
    assert Corrected(host="jlf[beta=4,top=7]").host_method.top == 7
    assert Corrected(host="jlf[beta=4,top=7]").parts[0] != Corrected(host="jlf").parts[0]


def test_regions_hold_the_voxels_near_the_host_s_labels_and_their_patches() -> None:
    image = np.arange(np.prod(SHAPE), dtype=np.float32).reshape(1, *SHAPE)
    posterior = np.zeros((2, *SHAPE), np.float32)
    posterior[0] = 1
    posterior[:, 5, 6, 0] = [0.25, 0.75]
    host = Posterior.of_dense(posterior, (0, 4))
    region = make_region(image, GRID.spacing_mm, host, patch=(1, 1, 1), dilation=(1, 1, 1))
    assert region is not None
    assert region.box == (slice(4, 7), slice(5, 8), slice(0, 2))
    assert len(region.voxels[1]) == 3 * 3 * 2
    middle = np.ravel_multi_index((5, 6, 0), SHAPE)
    features: npt.NDArray[np.float32] = region.features(1, np.array([middle, middle + 1]))
    assert features.shape == (2, 3 + 2 + 27 + 27)
    assert features[0, :5].tolist() == [0, 0, 0, 0.25, 0.75]
    assert features[1, :3].tolist() == [0, 0, 2]
    # the patch of the voxel above holds that of the voxel at the border, one place further
    assert features[1, 5:32].reshape(3, 3, 3)[..., 0].tolist() == features[0, 5:32].reshape(3, 3, 3)[..., 1].tolist()
    # beyond the image, its nearest voxel
    assert features[0, 32:].tolist() == [0.0] * 12 + [0.75, 0.75] + [0.0] * 13


def test_samples_are_drawn_from_all_cases_together() -> None:
    generator = np.random.default_rng(0)
    assert [part.tolist() for part in draw([2, 0, 3], 10, generator)] == [[0, 1], [], [0, 1, 2]]
    parts = draw([1000, 10, 3000], 400, generator)
    assert sum(map(len, parts)) == 400
    assert abs(len(parts[0]) - 100) < 30
    assert all(len(set(part.tolist())) == len(part) for part in parts)
    assert parts[2].max() < 3000


class Code:
    """Runs something when it is read back."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.marker,)


def test_a_foreign_folder_s_trees_run_no_code(tmp_path: Path) -> None:
    code = np.array([Code(tmp_path / "marker")], dtype=object)
    np.savez(tmp_path / "label0.npz", **{f.name: code for f in fields(BoostedTrees)})
    with pytest.raises(ValueError, match="allow_pickle"):
        read_trees(tmp_path / "label0.npz")
    assert not (tmp_path / "marker").exists()
