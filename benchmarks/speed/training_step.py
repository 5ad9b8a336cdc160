"""One training step of deep label fusion: ours against the same network on the whole crop as PyTorch takes it."""

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import nn

from benchmarks.speed.measure import Row, compare, peak_mib
from dlfbench.dlf.model import DeepLabelFusion, Parts
from dlfbench.dlf.segmenter import DeepLabelFusionMethod
from dlfbench.networks.losses import total_loss
from dlfbench.networks.samples import Sample, Seen
from dlfbench.networks.training import autocast
from dlfbench.networks.unet import Architecture, Convolution, level_strides
from dlfbench.networks.volumes import Region, coordinate_maps

FEATURES, ATLASES, CLASSES, STEPS = 16, 10, 3, 5
WHOLE_VOX = (40, 56, 40)
LARGE_VOX, MANY_ATLASES = (48, 72, 64), 20


def training_rows(patch_vox: int, threads: int) -> Iterable[Row]:
    """Forward, loss and gradient with 16 features and 10 atlases, as preset `cpu` has."""
    torch.set_num_threads(threads)
    network = Architecture(FEATURES, level_strides((1, 1, 1), 4))
    plain = _without_our_layout(DeepLabelFusion(1, CLASSES, network))
    rival = ("whole crop, default layout", lambda seed: _step(plain, _sample(WHOLE_VOX, ATLASES, seed)))
    ours = _ours(network)
    yield compare(
        "DLF training step, 16 features, 10 atlases",
        range(STEPS),
        ("whole crop", lambda seed: _step(ours, _sample(WHOLE_VOX, ATLASES, seed))),
        rival,
        f"peak memory on {'x'.join(map(str, LARGE_VOX))} voxels with {MANY_ATLASES} atlases beyond network and images: "
        f"a step {peak_mib(_large_step):.0f} MiB, segmenting {peak_mib(_large_segmentation):.0f} MiB",
    )
    patch = (patch_vox,) * 3
    yield compare(
        "the same on a patch",
        range(STEPS),
        (f"patch of {patch_vox} voxels", lambda seed: _step(ours, _sample(patch, ATLASES, seed))),
        rival,
    )
    paper = Parts(combine="residual", similarity=False, coarse_weights=False)
    layers = _without_our_layout(DeepLabelFusion(1, CLASSES, replace(network, supervision="learned"), paper))
    yield compare(
        "against the paper's layers",
        range(STEPS),
        (f"patch of {patch_vox} voxels", lambda seed: _step(ours, _sample(patch, ATLASES, seed))),
        ("paper's layers, whole crop", lambda seed: _step(layers, _sample(WHOLE_VOX, ATLASES, seed))),
        "ours gives weights at half the resolution",
    )


def _ours(architecture: Architecture) -> nn.Module:
    return DeepLabelFusion(1, CLASSES, architecture).to(memory_format=torch.channels_last_3d)  # type: ignore[call-overload]


def _without_our_layout(model: nn.Module) -> nn.Module:
    """The network with PyTorch's own convolutions on contiguous volumes, in float32."""
    for module in model.modules():
        if isinstance(module, Convolution):
            module.forward = lambda volume, module=module: nn.Conv3d.forward(module, volume.contiguous())  # type: ignore[method-assign]
    return model


def _sample(size: tuple[int, int, int], atlases: int, seed: int) -> Seen:
    rng = np.random.default_rng(seed)

    def noise(*shape: int) -> torch.Tensor:
        return torch.from_numpy(rng.standard_normal((1, *shape, *size), dtype=np.float32))

    def labels(*shape: int) -> torch.Tensor:
        return torch.from_numpy(rng.integers(0, CLASSES, (1, *shape, *size)))

    return Seen(noise(1), noise(atlases, 1), labels(atlases), noise(3), labels())


def _large_step() -> Callable[[], None]:
    """A training step as preset `cpu` would take it, were its patches as large; for `peak_mib`."""
    model, seen = _ours(Architecture(FEATURES, level_strides((1, 1, 1), 4))), _sample(LARGE_VOX, MANY_ATLASES, 0)
    return lambda: _step(model, seen)


def _large_segmentation() -> Callable[[], None]:
    """The scores of preset `cpu`; for `peak_mib`."""
    rng = np.random.default_rng(0)
    x, y, z = LARGE_VOX
    region = Region((slice(0, x), slice(0, y), slice(0, z)), (0, 0, 0))
    images = rng.standard_normal((MANY_ATLASES + 1, 1, *LARGE_VOX), dtype=np.float32)
    labels = rng.integers(0, CLASSES, (MANY_ATLASES, *LARGE_VOX), dtype=np.int16)
    sample = Sample(region, images[0], images[1:], labels, coordinate_maps(region))
    method, model = DeepLabelFusionMethod(), _ours(Architecture(FEATURES, level_strides((1, 1, 1), 4))).eval()

    def segment() -> None:
        with torch.no_grad(), autocast("cpu"):
            method.scores(model, sample)

    return segment


def _step(model: Any, seen: Seen) -> None:
    with autocast("cpu"):
        loss = total_loss(model(seen), seen.reference)
    loss.backward()
