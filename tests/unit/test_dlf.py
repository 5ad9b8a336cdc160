"""Deep label fusion: the network's parts by hand, and the method on a toy."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from dlfbench.dlf.explain import explain
from dlfbench.dlf.model import DeepLabelFusion, Parts, label_mask, one_hot
from dlfbench.dlf.segmenter import DeepLabelFusionMethod
from dlfbench.dlf.similarity import local_correlation
from dlfbench.errors import InputError
from dlfbench.fusion.posterior import Posterior
from dlfbench.networks.learning import scores_to_posterior
from dlfbench.networks.samples import Geometry, Sample, make_sample, to_tensors
from dlfbench.networks.unet import Architecture, level_strides
from dlfbench.segmenters.interface import Context, Training
from dlfbench.segmenters.registry import make_method
from dlfbench.volumes import AtlasSet
from scenes import Case, scene

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::UserWarning")
SMALL = Geometry((2, 2, 2), (8, 8, 8), (72, 72, 72))
STRIDES = level_strides((1, 1, 1), 4)


def model(parts: Parts | None = None) -> DeepLabelFusion:
    torch.manual_seed(0)
    # no voting by similarity: its network does not start at 0, so that everything counts
    return DeepLabelFusion(1, 3, Architecture(4, STRIDES), parts or Parts(similarity=False)).eval()


def scores(network: DeepLabelFusion, sample: Sample, *, at_a_time: int) -> np.ndarray:
    with torch.no_grad():
        return network.predict(sample, atlases_at_a_time=at_a_time)[0].numpy()


@pytest.mark.parametrize(("features", "parameters"), [(32, 9_470_383), (16, 2_371_295)])
def test_the_paper_s_layers_have_the_paper_s_number_of_parameters(features: int, parameters: int) -> None:
    parts = Parts(combine="residual", similarity=False, coarse_weights=False)
    network = DeepLabelFusion(1, 3, Architecture(features, STRIDES, "batch", "learned"), parts)
    assert sum(p.numel() for p in network.parameters()) == parameters


def test_without_its_networks_it_is_majority_voting() -> None:
    target, atlases, _ = scene(1)
    sample = make_sample(target, atlases, SMALL)
    network = model(Parts(voting=False, fine_tuning=False, mask=False))
    shares = np.stack([(sample.classes == k).mean(axis=0) for k in range(3)])
    assert np.allclose(scores(network, sample, at_a_time=3), shares, atol=1e-6)


@pytest.mark.parametrize("voting", [True, False])
def test_odds_of_the_vote_and_of_the_image_s_network_are_multiplied(voting: bool) -> None:
    sample = make_sample(*scene(5)[:2], SMALL)
    network, seen = model(Parts(voting=voting, mask=False, similarity=False)), to_tensors(sample)
    with torch.no_grad():
        consensus = network.vote(seen) / len(sample.atlases)
        share = (consensus / consensus.sum(dim=1, keepdim=True)).clamp(0.01, 0.99).numpy()[0]
        own = network.opinions(consensus, seen)[0].sigmoid().numpy()[0]
    odds = share / (1 - share) * own / (1 - own)
    assert np.abs(scores(network, sample, at_a_time=2) - odds / (1 + odds)).max() < 1e-5


def test_the_image_s_network_learns_whatever_the_atlases_say() -> None:
    sample = make_sample(*scene(5)[:2], SMALL)
    network = model(Parts()).train()
    result, votes, *levels = network(to_tensors(sample))
    assert [output.weight for output in (result, votes, *levels)] == [1, 1, 1, 0.5, 0.2, 0.1]
    others = replace(sample, atlases=sample.atlases + 1, classes=np.zeros_like(sample.classes))
    for one, other in zip(levels, network(to_tensors(others))[2:], strict=True):
        assert torch.equal(one.scores, other.scores)


def test_local_correlation_by_hand_and_whatever_the_contrast() -> None:
    target = torch.randn(1, 1, 9, 9, 9)
    atlases = torch.stack([3 * target + 5, -target, torch.randn(1, 1, 9, 9, 9)], dim=1)
    found = local_correlation(target, atlases)[0, :, 0]
    assert torch.allclose(found[0], torch.ones(9, 9, 9), atol=0.01)
    assert torch.allclose(found[1], -torch.ones(9, 9, 9), atol=0.01)
    a, b = (volume[0, 0, 2:7, 2:7, 2:7].ravel() for volume in (target, atlases[:, 2]))
    assert found[2, 4, 4, 4].item() == pytest.approx(np.corrcoef(a, b)[0, 1], abs=0.01)
    assert local_correlation(torch.zeros_like(target), atlases).abs().max() < 1e-6


@pytest.mark.parametrize("at_a_time", [1, 3, 7])
def test_atlases_in_chunks_give_the_same(at_a_time: int) -> None:
    sample = make_sample(*scene(2, atlases=7)[:2], SMALL)
    whole, parts = (scores(model(), sample, at_a_time=n) for n in (7, at_a_time))
    assert np.abs(whole - parts).max() < 1e-5


def test_the_order_of_atlases_does_not_matter() -> None:
    sample = make_sample(*scene(3)[:2], SMALL)
    turned = replace(sample, atlases=sample.atlases[::-1].copy(), classes=sample.classes[::-1].copy())
    one, other = (scores(model(), s, at_a_time=4) for s in (sample, turned))
    assert np.abs(one - other).max() < 1e-5


def test_votes_are_weights_where_the_candidate_has_the_label() -> None:
    sample = make_sample(*scene(4)[:2], SMALL)
    seen = to_tensors(sample)
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


def test_no_tensor_is_made_on_a_device_of_its_own() -> None:
    sample = make_sample(*scene(6)[:2], SMALL)
    seen = type(to_tensors(sample))(*(part.to("meta") for part in to_tensors(sample)))
    for network in (model(), model().train()):
        assert all(found.scores.device.type == "meta" for found in network.to("meta")(seen))


def test_a_large_image_goes_window_by_window() -> None:
    sample = make_sample(*scene(8)[:2], Geometry(None, (8, 8, 8), (72, 72, 72)))
    network = model()
    whole = scores(network, sample, at_a_time=4)
    network.window_vox = (16, 16, 16)
    parts = scores(network, sample, at_a_time=4)
    assert parts.shape == whole.shape
    assert 0 < np.abs(parts - whole).max() < 0.5


def test_the_name_of_a_preset_gives_sizes_that_parameters_override() -> None:
    assert DeepLabelFusionMethod(preset="paper").sizes.features == 32
    assert DeepLabelFusionMethod(preset="paper", features=4, atlases=3).sizes == replace(
        DeepLabelFusionMethod.presets["paper"], features=4, atlases=3
    )


@pytest.mark.parametrize(
    "settings",
    [{}, {"voting": False}, {"fine_tuning": False}, {"mask": False}, {"combine": "residual"}],
)
def test_one_step_and_a_segmentation_with_every_ablation(tmp_path: Path, settings: dict[str, Any]) -> None:
    method = DeepLabelFusionMethod(preset="quick", features=2, steps=1, atlases=2, margin_vox=1, **settings)
    context = Context(tmp_path, seed=1)
    torch.manual_seed(3)
    before = torch.random.get_rng_state()
    method.fit(Training([Case(seed) for seed in range(2)], (0, 3, 5), ("m",)), context)
    target, atlases, _ = scene(9)
    found = method.segment(target, atlases, context)
    assert found.posterior is not None
    assert np.allclose(found.posterior.sum(axis=0), 1, atol=1e-5)
    assert torch.equal(before, torch.random.get_rng_state())


@pytest.mark.parametrize("values", [(0, 3), (0, 3, 5, 7)])
def test_a_model_of_other_labels_is_refused(tmp_path: Path, values: tuple[int, ...]) -> None:
    method, context = DeepLabelFusionMethod(features=2, steps=1, atlases=2, margin_vox=1), Context(tmp_path)
    method.fit(Training([Case(seed) for seed in range(2)], (0, 3, 5), ("m",)), context)
    target, atlases, _ = scene(9)
    others = AtlasSet(atlases.names, atlases.images, np.minimum(atlases.labels, 3), values)
    with pytest.raises(ValueError, match="trained for"):
        method.segment(target, others, context)


def test_training_cases_without_any_label_are_refused(tmp_path: Path) -> None:
    cases = [Case(seed) for seed in range(2)]
    for case in cases:
        case.reference = np.zeros_like(case.reference)
    with pytest.raises(ValueError, match=r"none of the labels \[3, 5\]"):
        DeepLabelFusionMethod(steps=1).fit(Training(cases, (0, 3, 5), ("m",)), Context(tmp_path))


def dice(labels: np.ndarray, reference: np.ndarray) -> float:
    """Of the foreground."""
    return float(2 * ((labels > 0) & (reference > 0)).sum() / ((labels > 0).sum() + (reference > 0).sum()))


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[DeepLabelFusionMethod, Context]:
    method = DeepLabelFusionMethod(preset="quick", features=2, steps=2, atlases=2, margin_vox=2)
    context = Context(tmp_path_factory.mktemp("model"), seed=1, threads=1)
    method.fit(Training([Case(seed) for seed in range(3)], (0, 3, 5), ("m",)), context)
    return method, context


@pytest.mark.slow
def test_it_learns_a_toy(tmp_path: Path) -> None:
    method = DeepLabelFusionMethod(preset="quick", features=4, steps=200, atlases=3, margin_vox=2)
    context = Context(tmp_path, seed=1, threads=2)
    method.fit(Training([Case(seed) for seed in range(6)], (0, 3, 5), ("m",)), context)
    learned, voted = [], []
    for seed in range(20, 24):
        target, atlases, reference = scene(seed, atlases=9)
        learned.append(dice(method.segment(target, atlases, context).labels, reference))
        voted.append(dice(Posterior.of_votes(atlases.labels, (0, 3, 5)).labels(), reference))
    assert np.mean(learned) > np.mean(voted) + 0.05
    curves = pd.read_csv(tmp_path / "curves.csv")
    assert curves["loss"].tail(60).mean() < curves["loss"].head(60).mean()


def test_what_it_says_of_a_target_can_be_looked_at(trained: tuple[DeepLabelFusionMethod, Context]) -> None:
    method, context = trained
    target, atlases, _ = scene(23)
    found = explain(method, target, atlases, context)
    assert found.weights.shape == (4, 3, *target.grid.shape)
    assert np.allclose(found.consensus.sum(axis=0).max(), 1, atol=1e-5)
    box = found.posterior.sum(axis=0) > 0
    assert np.allclose(found.posterior[:, box], method.segment(target, atlases, context).posterior[:, box], atol=1e-5)


def test_empty_candidates_give_background(trained: tuple[DeepLabelFusionMethod, Context]) -> None:
    method, context = trained
    target, atlases, _ = scene(21)
    empty = AtlasSet(atlases.names, atlases.images, np.zeros_like(atlases.labels), atlases.label_values)
    assert not method.segment(target, empty, context).labels.any()


def test_other_modalities_are_refused(trained: tuple[DeepLabelFusionMethod, Context]) -> None:
    method, context = trained
    target, atlases, _ = scene(22, modalities=2)
    with pytest.raises(ValueError, match=r"t22: expected 1 modalities \(m\), found 2"):
        method.segment(target, atlases, context)


@pytest.mark.parametrize(
    ("settings", "said"),
    [({"voting": False, "fine_tuning": False}, "use mv"), ({"modaug": 2.0}, "modaug"), ({"features": 0}, "features")],
)
def test_parameters_are_checked(settings: dict[str, object], said: str) -> None:
    with pytest.raises(InputError, match=said):
        make_method("dlf", "dlf", settings)
