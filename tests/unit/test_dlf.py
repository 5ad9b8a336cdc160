"""Deep label fusion: the network's parts by hand, and the method on a toy."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from dlfbench.dlf.model import DeepLabelFusion, FusionInput, Parts, label_mask, one_hot, scores_to_posterior
from dlfbench.dlf.samples import Geometry, augment, cut_patch, make_sample, predict
from dlfbench.dlf.segmenter import DeepLabelFusionMethod
from dlfbench.images import Grid
from dlfbench.networks.augmentation import Augmentation
from dlfbench.networks.unet import Architecture, level_strides
from dlfbench.segmenters.interface import Context, Training, TrainingCase
from dlfbench.volumes import AtlasSet, Target

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::UserWarning")
SHAPE = (18, 16, 14)
SMALL = Geometry((2, 2, 2), (8, 8, 8), (72, 72, 72))
STRIDES = level_strides((1, 1, 1), 4)


def scene(seed: int, atlases: int = 4, modalities: int = 1) -> tuple[Target, AtlasSet, np.ndarray]:
    """A bright ball in two halves; atlases are balls a little elsewhere."""
    rng = np.random.default_rng(seed)
    points = np.stack(np.meshgrid(*(np.arange(n) for n in SHAPE), indexing="ij"))

    def ball(away: np.ndarray) -> np.ndarray:
        off = points - (np.array(SHAPE) / 2 + away).reshape(3, 1, 1, 1)
        return np.where((off**2).sum(axis=0) < 20, np.where(off[0] < 0, 3, 5), 0).astype(np.int16)

    labels = np.stack([ball(rng.normal(0, 0.8, 3)) for _ in range(atlases + 1)])
    images = np.repeat(20.0 * labels[:, None] + rng.normal(0, 3, (atlases + 1, 1, *SHAPE)), modalities, axis=1)
    images = images.astype(np.float32)
    target = Target(f"t{seed}", images[0], Grid.of(SHAPE, np.eye(4)))
    return target, AtlasSet(tuple(map(str, range(atlases))), images[1:], labels[1:], (0, 3, 5)), labels[0]


class Case(TrainingCase):
    def __init__(self, seed: int) -> None:
        self.target, self.atlas_set, self.reference = scene(seed)
        self.name = self.target.name

    def read_target(self) -> Target:
        return self.target

    def read_reference(self) -> np.ndarray:
        return self.reference

    def read_atlases(self) -> AtlasSet:
        return self.atlas_set


def model(parts: Parts | None = None) -> DeepLabelFusion:
    torch.manual_seed(0)
    return DeepLabelFusion(1, 3, Architecture(4, STRIDES), parts).eval()


@pytest.mark.parametrize(("features", "parameters"), [(32, 9_470_383), (16, 2_371_295)])
def test_the_paper_s_layers_have_the_paper_s_number_of_parameters(features: int, parameters: int) -> None:
    network = DeepLabelFusion(1, 3, Architecture(features, STRIDES, "batch", "learned"))
    assert sum(p.numel() for p in network.parameters()) == parameters


def test_without_its_networks_it_is_majority_voting() -> None:
    target, atlases, _ = scene(1)
    sample = make_sample(target, atlases, SMALL)
    network = model(Parts(voting=False, fine_tuning=False, mask=False))
    shares = np.stack([(sample.classes == k).mean(axis=0) for k in range(3)])
    assert np.allclose(predict(network, sample, atlases_at_a_time=3), sample.region.inner(shares), atol=1e-6)


@pytest.mark.parametrize("at_a_time", [1, 3, 7])
def test_atlases_in_chunks_give_the_same(at_a_time: int) -> None:
    sample = make_sample(*scene(2, atlases=7)[:2], SMALL)
    with torch.no_grad():
        whole, parts = (predict(model(), sample, atlases_at_a_time=n) for n in (7, at_a_time))
    assert np.abs(whole - parts).max() < 1e-5


def test_the_order_of_atlases_does_not_matter() -> None:
    sample = make_sample(*scene(3)[:2], SMALL)
    turned = replace(sample, atlases=sample.atlases[::-1].copy(), classes=sample.classes[::-1].copy())
    with torch.no_grad():
        one, other = (predict(model(), s, atlases_at_a_time=4) for s in (sample, turned))
    assert np.abs(one - other).max() < 1e-5


def test_votes_are_weights_where_the_candidate_has_the_label() -> None:
    sample = make_sample(*scene(4)[:2], SMALL)
    arrays = sample.target, sample.atlases, sample.classes.astype(np.int64), sample.coordinates
    seen = FusionInput(*(torch.from_numpy(np.ascontiguousarray(array))[None] for array in arrays))
    with torch.no_grad():
        weights, votes = model().weights(seen)[0].numpy(), model().vote(seen)[0].numpy()
    by_hand = np.zeros_like(votes)
    for atlas, classes in enumerate(sample.classes):
        for k in range(3):
            by_hand[k] += weights[atlas, k] * (classes == k)
    assert np.abs(votes - by_hand).max() < 1e-5
    assert weights.min() >= 0
    assert weights.max() <= 1


def test_the_mask_grows_a_label_by_about_a_voxel_and_leaves_background_everywhere() -> None:
    classes = torch.zeros(1, 2, 9, 9, 9, dtype=torch.int64)
    classes[0, 0, 3:6, 3:6, 3:6] = 1
    mask = label_mask(classes, 3)[0]
    assert mask[0].all()
    assert mask[1, 2, 4, 4] == 1  # 9 of 27 voxels
    assert mask[1, 2, 2, 4] == 0  # 3 of 27
    assert mask[2].sum() == 0
    assert one_hot(classes, 3).sum(dim=2).eq(1).all()


def test_posteriors_sum_to_one_and_nothing_is_background() -> None:
    scores = torch.tensor([0.2, 0.0, 0.6, 0.0, -0.1, 0.0]).reshape(1, 3, 2, 1, 1)
    assert torch.allclose(scores_to_posterior(scores).sum(dim=1), torch.ones(1, 2, 1, 1))
    assert scores_to_posterior(scores)[0, :, 1, 0, 0].tolist() == [1, 0, 0]


def test_augmentation_moves_everything_alike_and_is_seeded() -> None:
    target, atlases, reference = scene(5)
    same = AtlasSet(atlases.names, np.stack([target.images] * 4), np.stack([reference] * 4), atlases.label_values)
    sample = make_sample(target, same, SMALL, reference)
    calm = Augmentation(mirror_axis=0, noise=0, histogram_shift=False)
    one, again, other = (augment(sample, calm, np.random.default_rng(seed)) for seed in (0, 0, 1))
    assert np.array_equal(one.target, again.target)
    assert not np.array_equal(one.target, other.target)
    assert all(np.array_equal(image, one.target) for image in one.atlases)
    assert all(np.array_equal(classes, one.reference) for classes in one.classes)
    assert set(np.unique(one.reference)) <= {0, 1, 2}


def test_contrast_differs_between_target_and_atlases() -> None:
    target, atlases, reference = scene(5)
    same = AtlasSet(atlases.names, np.stack([target.images] * 4), atlases.labels, atlases.label_values)
    changed = augment(make_sample(target, same, SMALL, reference), Augmentation(noise=0), np.random.default_rng(0))
    assert all(not np.allclose(image, changed.target) for image in changed.atlases)


def test_modaug_replaces_one_modality_everywhere() -> None:
    target, atlases, reference = scene(6, modalities=2)
    sample = make_sample(target, atlases, SMALL, reference)
    still = Augmentation(rotation=0, scaling=0, elastic_vox=0, noise=0, histogram_shift=False, modaug=1.0)
    found = augment(sample, still, np.random.default_rng(0))
    kept = [np.corrcoef(found.target[c].ravel(), sample.target[c].ravel())[0, 1] > 0.9 for c in (0, 1)]
    assert sorted(kept) == [False, True]
    gone = kept.index(False)
    for image, before in zip(found.atlases, sample.atlases, strict=True):
        assert abs(np.corrcoef(image[gone].ravel(), before[gone].ravel())[0, 1]) < 0.2


def test_a_patch_holds_foreground() -> None:
    target, atlases, reference = scene(7)
    sample = make_sample(target, atlases, SMALL, reference)
    small = cut_patch(sample, Geometry((2, 2, 2), (8, 8, 8), (8, 8, 8)), np.random.default_rng(0))
    assert small.target.shape == (1, 8, 8, 8)
    assert small.reference is not None
    assert small.reference.any()


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[DeepLabelFusionMethod, Context]:
    method = DeepLabelFusionMethod(preset="quick", features=4, steps=25, atlases=3, margin_vox=2)
    context = Context(tmp_path_factory.mktemp("model"), seed=1, threads=1)
    method.fit(Training([Case(seed) for seed in range(4)], (0, 3, 5), ("m",)), context)
    return method, context


def test_it_segments_a_toy(trained: tuple[DeepLabelFusionMethod, Context]) -> None:
    method, context = trained
    target, atlases, reference = scene(20, atlases=9)
    found = method.segment(target, atlases, context)
    assert found.posterior is not None
    assert np.allclose(found.posterior.sum(axis=0), 1, atol=1e-5)
    assert set(np.unique(found.labels)) <= {0, 3, 5}
    shared = ((found.labels > 0) & (reference > 0)).sum()
    assert 2 * shared / ((found.labels > 0).sum() + (reference > 0).sum()) > 0.7
    assert (context.folder / "curves.csv").is_file()


def test_empty_candidates_give_background(trained: tuple[DeepLabelFusionMethod, Context]) -> None:
    method, context = trained
    target, atlases, _ = scene(21)
    empty = AtlasSet(atlases.names, atlases.images, np.zeros_like(atlases.labels), atlases.label_values)
    assert not method.segment(target, empty, context).labels.any()


def test_other_modalities_are_refused(trained: tuple[DeepLabelFusionMethod, Context]) -> None:
    method, context = trained
    target, atlases, _ = scene(22, modalities=2)
    with pytest.raises(ValueError, match="t22: expected 1 modalities, found 2"):
        method.segment(target, atlases, context)


@pytest.mark.parametrize(
    ("settings", "said"),
    [({"voting": False, "fine_tuning": False}, "use mv"), ({"modaug": 2.0}, "modaug"), ({"features": 0}, "features")],
)
def test_parameters_are_checked(settings: dict[str, object], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        DeepLabelFusionMethod(**settings)  # type: ignore[arg-type]
