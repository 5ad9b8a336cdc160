"""Training steps of deep label fusion and of the U-Net against the same on voxels instead of blocks of them."""

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import torch
from torch import nn

from benchmarks.speed.measure import Row, compare, peak_mib
from dlfbench.dlf.model import VOTING_FEATURES
from dlfbench.dlf.paper import PaperNetwork
from dlfbench.dlf.segmenter import DeepLabelFusionMethod
from dlfbench.dlf.votes import Parts
from dlfbench.dlf.voting import VotingNetwork
from dlfbench.fusion.atlas_votes import AtlasVotes
from dlfbench.networks.cutting import Region, coordinate_maps
from dlfbench.networks.image_network import ImageNetwork
from dlfbench.networks.losses import total_loss
from dlfbench.networks.samples import NetworkInput, Sample
from dlfbench.networks.unet import Architecture, level_strides

CLASSES, STEPS = 3, 5
LARGE_VOX, MANY_ATLASES = (48, 72, 64), 20
STRIDES = level_strides((1, 1, 1), 4)
PLAIN_FEATURES, PLAIN_ATLASES = 16, 10
_METHOD = DeepLabelFusionMethod()


def training_rows(patch_vox: int, threads: int) -> Iterable[Row]:
    """Forward, loss and gradient; time of one target, where a step has several."""
    torch.set_num_threads(threads)
    sizes, size = _METHOD.sizes, (patch_vox,) * 3
    blocks = Architecture(sizes.features, STRIDES, blocks=True)
    plain = Architecture(PLAIN_FEATURES, STRIDES)
    paper = _laid_out(PaperNetwork(1, CLASSES, plain, Parts()))
    two = sizes.targets
    voting = _laid_out(VotingNetwork(1, CLASSES, Architecture(VOTING_FEATURES, STRIDES, blocks=True)))
    ours, theirs = (_laid_out(ImageNetwork(1, CLASSES, kind)) for kind in (blocks, plain))
    rival = (
        f"both subnets on voxels, {PLAIN_FEATURES} features, {PLAIN_ATLASES} atlases",
        lambda seed: _step(paper, _seen(size, PLAIN_ATLASES, 1, seed)),
    )
    yield compare(
        f"DLF, step of the image network, {two} targets of {patch_vox} voxels (rival: 1)",
        range(STEPS),
        ("blocks", lambda seed: _step(ours, _seen(size, 0, two, seed))),
        rival,
        f"peak memory on {'x'.join(map(str, LARGE_VOX))} voxels with {MANY_ATLASES} atlases beyond network and images: "
        f"a step {peak_mib(_large_step):.0f} MiB, segmenting {peak_mib(_large_segmentation):.0f} MiB",
    )
    yield compare(
        f"DLF, step of the voting subnet, 1 target, {sizes.atlases} atlases",
        range(STEPS),
        ("blocks", lambda seed: _step(voting, _seen(size, sizes.atlases, 1, seed))),
        rival,
    )
    yield compare(
        f"U-Net, step of {two} targets of {patch_vox} voxels (rival: 1)",
        range(STEPS),
        ("blocks", lambda seed: _step(ours, _seen(size, 0, two, seed))),
        (f"voxels, {PLAIN_FEATURES} features", lambda seed: _step(theirs, _seen(size, 0, 1, seed))),
    )


def _laid_out(model: nn.Module) -> nn.Module:
    return model.to(memory_format=torch.channels_last_3d)  # type: ignore[call-overload]


def _seen(size: tuple[int, int, int], atlases: int, targets: int, seed: int) -> NetworkInput:
    """Noise to learn from; without atlases, one vote."""
    rng = np.random.default_rng(seed)

    def noise(*shape: int) -> torch.Tensor:
        return torch.from_numpy(rng.standard_normal((targets, *shape, *size), dtype=np.float32))

    votes, truth = noise(max(1, atlases), CLASSES).softmax(dim=2), noise(CLASSES).softmax(dim=1)
    return NetworkInput(noise(1), noise(atlases, 1), votes, noise(3), truth, torch.zeros(targets, CLASSES))


def _large_step() -> Callable[[], None]:
    """A training step as preset `cpu` would take it, were its patches as large; for `peak_mib`."""
    model = _laid_out(ImageNetwork(1, CLASSES, Architecture(_METHOD.sizes.features, STRIDES, blocks=True)))
    seen = _seen(LARGE_VOX, 0, _METHOD.sizes.targets, 0)
    return lambda: _step(model, seen)


def _large_segmentation() -> Callable[[], None]:
    """The posterior of preset `cpu`; for `peak_mib`."""
    rng = np.random.default_rng(0)
    x, y, z = LARGE_VOX
    region = Region((slice(0, x), slice(0, y), slice(0, z)))
    images = rng.standard_normal((MANY_ATLASES + 1, 1, *LARGE_VOX), dtype=np.float32)
    votes = AtlasVotes.of(rng.random((MANY_ATLASES, CLASSES, *LARGE_VOX), dtype=np.float32))
    sample = Sample(region, images[0], images[1:], votes, coordinate_maps(region))
    architecture = Architecture(_METHOD.sizes.features, STRIDES, blocks=True)
    model = _laid_out(_METHOD.build(1, CLASSES, architecture)).eval()

    def segment() -> None:
        with torch.no_grad():
            _METHOD.posterior(model, sample)

    return segment


def _step(model: Any, seen: NetworkInput) -> None:
    total_loss(model(seen), seen.truth, entropy=_METHOD.sizes.entropy).backward()
