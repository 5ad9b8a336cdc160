"""The preset `paper` against an independent plain implementation of the forward pass that METHODS describes."""

from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional

from dlfbench.dlf.paper import PaperNetwork
from dlfbench.dlf.segmenter import DeepLabelFusionMethod
from dlfbench.dlf.votes import Parts
from dlfbench.networks.presets import PAPER_SAMPLES_PER_CASE
from dlfbench.networks.samples import NetworkInput
from dlfbench.networks.unet import Architecture, level_strides

pytestmark = pytest.mark.filterwarnings("ignore:norm='batch'")
Weights = dict[str, torch.Tensor]
BATCH, ATLASES, CLASSES, SIZE = 2, 3, 3, (16, 24, 16)


def network(features: int) -> PaperNetwork:
    torch.manual_seed(0)
    architecture = Architecture(features, level_strides((1, 1, 1), 4), "batch", "learned")
    return PaperNetwork(1, CLASSES, architecture, Parts())


def seen() -> NetworkInput:
    rng = np.random.default_rng(0)

    def noise(*shape: int) -> torch.Tensor:
        return torch.from_numpy(rng.standard_normal((BATCH, *shape, *SIZE), dtype=np.float32))

    labels = torch.from_numpy(rng.integers(0, CLASSES, (BATCH, ATLASES, *SIZE)))
    votes = functional.one_hot(labels, CLASSES).permute(0, 1, 5, 2, 3, 4).float()
    return NetworkInput(noise(1), noise(ATLASES, 1), votes, noise(3), torch.empty(0), torch.zeros(BATCH, CLASSES))


def plain_block(x: torch.Tensor, w: Weights, name: str) -> torch.Tensor:
    """Convolution, batch norm, ReLU, twice; one batch norm for both."""
    for part in ("first", "second"):
        x = functional.conv3d(x, w[f"{name}.{part}.weight"], w[f"{name}.{part}.bias"], padding=1)
        mean = x.mean(dim=(0, 2, 3, 4), keepdim=True)
        variance = ((x - mean) ** 2).mean(dim=(0, 2, 3, 4), keepdim=True)
        scale, shift = (w[f"{name}.after_first.{kind}"].view(1, -1, 1, 1, 1) for kind in ("weight", "bias"))
        x = (((x - mean) / torch.sqrt(variance + 1e-5)) * scale + shift).clamp(min=0)
    return x


def plain_rise(x: torch.Tensor, w: Weights, name: str) -> torch.Tensor:
    return functional.conv_transpose3d(x, w[f"{name}.weight"], w[f"{name}.bias"], stride=2, padding=1, output_padding=1)


def plain_unet(x: torch.Tensor, w: Weights, name: str, levels: int) -> list[torch.Tensor]:
    """Features of every level on the way up, the finest first."""
    features = [plain_block(x, w, f"{name}.down.0")]
    for level in range(1, levels):
        features.append(plain_block(functional.max_pool3d(features[-1], 2), w, f"{name}.down.{level}"))
    for level in range(levels - 2, -1, -1):
        risen = plain_rise(features[level + 1], w, f"{name}.up.{level}")
        features[level] = plain_block(torch.cat([features[level], risen], dim=1), w, f"{name}.merge.{level}")
    return features


def plain_head(x: torch.Tensor, w: Weights, name: str, level: int) -> torch.Tensor:
    """A chain of transposed convolutions with a ReLU between each two, then a convolution of one voxel."""
    for step in range(level):
        x = plain_rise(x.clamp(min=0) if step else x, w, f"{name}.rise.{2 * step}")
    return functional.conv3d(x, w[f"{name}.classify.weight"], w[f"{name}.classify.bias"])


def plain_weights(s: NetworkInput, w: Weights) -> torch.Tensor:
    pairs = [torch.cat([s.target[b], s.coordinates[b], s.atlases[b, i]]) for b in range(BATCH) for i in range(ATLASES)]
    features = plain_unet(torch.stack(pairs), w, "voting", 3)[0]
    return torch.sigmoid(plain_head(features, w, "voting.heads.0", 0)).view(BATCH, ATLASES, CLASSES, *SIZE)


def plain_scores(s: NetworkInput, consensus: torch.Tensor, w: Weights) -> list[torch.Tensor]:
    union = s.votes.max(dim=1).values
    kernel = torch.full((CLASSES, 1, 3, 3, 3), 1 / 27)
    mask = (functional.conv3d(union, kernel, padding=1, groups=CLASSES) > 0.2).float()
    mask[:, 0] = 1
    levels = plain_unet(torch.cat([consensus, s.coordinates], dim=1), w, "fine_tuning", 4)
    heads = [plain_head(found, w, f"fine_tuning.heads.{level}", level) for level, found in enumerate(levels)]
    return [torch.sigmoid(consensus + found) * mask for found in heads]


def test_weight_maps_consensus_and_scores_of_every_level_are_those_of_a_plain_implementation() -> None:
    model, s = network(4), seen()
    w: Weights = dict(model.state_dict())
    with torch.no_grad():
        weights, consensus = plain_weights(s, w), (plain_weights(s, w) * s.votes).mean(dim=1)
        assert (model.weights(s) - weights).abs().max() < 1e-5
        assert (model.vote(s) / ATLASES - consensus).abs().max() < 1e-5
        found, expected = model.train()(s), plain_scores(s, consensus, w)
    assert [output.weight for output in found] == [1.0, 0.5, 0.2, 0.1]
    for output, plain in zip(found, expected, strict=True):
        assert (output.scores - plain).abs().max() < 1e-5


@pytest.mark.parametrize(("features", "parameters"), [(32, 9_470_383), (16, 2_371_295)])
def test_the_layers_have_the_paper_s_number_of_parameters(features: int, parameters: int) -> None:
    assert sum(p.numel() for p in network(features).parameters()) == parameters


def test_the_preset_trains_as_the_authors_do() -> None:
    sizes = DeepLabelFusionMethod(preset="paper").sizes
    said: dict[str, Any] = {"features": 32, "patch_vox": 72, "atlases": 10, "targets": 3, "norm": "batch"}
    said |= {"learning_rate": 5e-4, "schedule": "steps", "average_decay": 0.0, "entropy": 0.0, "modaug": 0.5}
    assert {name: getattr(sizes, name) for name in said} == said
    assert sizes.empty == pytest.approx(2 / 12)
    assert PAPER_SAMPLES_PER_CASE == 35 * 12 * 5
