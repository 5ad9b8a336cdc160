"""Random changes of training samples, drawn from the generator that is passed, made by PyTorch on the CPU.

A sample is resampled once, by `resample` on the positions that `draw_positions` draws: they are patch, turn, scale and
bend in one. Contrast is changed for each image by itself.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

Triple = tuple[int, int, int]

_CONTROL_EVERY_VOX = 10  # of the random displacement
_SHIFT_VOX = 2.0
_BIAS_CONTROL = (3, 3, 3)
_BIAS_SD = 0.3  # of the field's logarithm
_GAMMA = 0.5  # largest logarithm of the exponent
_BLUR_VOX = (0.4, 1.0)
_CONTROL_POINTS = (5, 12)  # of a histogram shift


@dataclass(frozen=True)
class Augmentation:
    """How far a sample is changed.

    Attributes:
        mirror_axis: Axis along which half of the samples are mirrored; None for none.
        spacing_mm: Voxel size along (x, y, z): turns are turns in millimetres.
        bent: Share of the samples that are turned, scaled and bent.
        rotation: Largest angle about each axis, radians.
        scaling: Largest relative change of size along each axis.
        elastic_vox: Standard deviation of the random displacement, voxels.
        bias: Share of the images that are multiplied by a smooth random field.
        gamma: Share of the images whose intensities are raised to a random power.
        blur: Share of the images that are smoothed.
        noise: Largest standard deviation of added noise, in standard deviations of the image.
        histogram_shift: Share of the images that get a random histogram shift.
        modaug: Probability that one of several modalities becomes white noise, in target and atlases alike.
    """

    mirror_axis: int | None = None
    spacing_mm: tuple[float, ...] = (1.0, 1.0, 1.0)
    bent: float = 0.8
    rotation: float = 0.25
    scaling: float = 0.15
    elastic_vox: float = 1.5
    bias: float = 0.5
    gamma: float = 0.5
    blur: float = 0.3
    noise: float = 0.15
    histogram_shift: float = 0.0
    modaug: float = 0.0


def draw_positions(
    shape: Sequence[int], size: Triple, centre: Sequence[int], augmentation: Augmentation, rng: np.random.Generator
) -> Tensor:
    """From where the voxels of a changed patch are taken.

    Args:
        shape: Of the volume along (x, y, z).
        size: Of the patch, which may be larger than the volume.
        centre: Voxel in the middle of the patch, as far as the patch stays in the volume.
        augmentation: How far.
        rng: Source of all parameters.

    Returns:
        Place in the volume (3, x, y, z), -1 at its first voxel and 1 at its last along each axis.
    """
    places = torch.stack(torch.meshgrid(*[torch.arange(n) - (n - 1) / 2 for n in size], indexing="ij"))
    middle = np.array(patch_start(shape, size, centre)) + (np.array(size) - 1) / 2
    if rng.random() < augmentation.bent:
        turn = torch.from_numpy(_turn(augmentation, rng).astype(np.float32))
        places = (turn @ places.flatten(1)).view_as(places)
        places = places + augmentation.elastic_vox * _smooth(3, _controls(size), size, rng)
        middle = middle + rng.uniform(-_SHIFT_VOX, _SHIFT_VOX, 3)
    return _relative(places, middle, shape)


def patch_start(shape: Sequence[int], size: Triple, centre: Sequence[int]) -> Triple:
    """First voxel of a patch that is not changed; arguments as of `draw_positions`. Below 0 where it is the larger."""
    x, y, z = (
        int(np.clip(middle - part // 2, 0, whole - part)) if whole > part else -((part - whole) // 2)
        for whole, part, middle in zip(shape, size, centre, strict=True)
    )
    return x, y, z


def _relative(places: Tensor, middle: np.ndarray, shape: Sequence[int]) -> Tensor:
    """Places around a middle, in voxels, as positions of which -1 and 1 are the volume's first and last voxel."""
    last = torch.from_numpy(np.maximum(np.array(shape) - 1, 1).astype(np.float32))
    return 2 * (places + torch.from_numpy(middle.astype(np.float32)).view(3, 1, 1, 1)) / last.view(3, 1, 1, 1) - 1


def part_around(positions: Tensor, shape: Sequence[int]) -> tuple[tuple[slice, slice, slice], Tensor]:
    """The part of a volume that positions are taken from, and the same positions in it.

    Args:
        positions: (3, x, y, z), -1 at the volume's first voxel and 1 at its last along each axis.
        shape: Of the volume along (x, y, z).

    Returns:
        Slices along (x, y, z), and positions of which -1 and 1 are the part's first and last voxel.
    """
    last = torch.tensor([float(n - 1) for n in shape])
    places = (positions + 1) / 2 * last.view(3, 1, 1, 1)
    # a voxel more than rounding may want; beyond the volume there is 0
    low = (places.amin(dim=(1, 2, 3)).floor() - 1).clamp_min(0).minimum(last)
    high = (places.amax(dim=(1, 2, 3)).ceil() + 1).clamp_min(0).minimum(last)
    x, y, z = (slice(int(a), int(b) + 1) for a, b in zip(low, high, strict=True))
    if (low == 0).all() and (high == last).all():
        return (x, y, z), positions
    within = 2 * (places - low.view(3, 1, 1, 1)) / (high - low).clamp_min(1).view(3, 1, 1, 1) - 1
    return (x, y, z), within


def resample(volumes: Tensor, positions: Tensor) -> Tensor:
    """Volumes (channel, x, y, z) at positions (3, x, y, z), linearly; beyond a volume there is 0.

    If its border went on there instead, streaks of it would fill a good part of a small volume's patch.
    """
    grid = positions.flip(0).permute(1, 2, 3, 0)[None]
    return functional.grid_sample(volumes[None], grid, padding_mode="zeros", align_corners=True)[0]


def change_contrast(image: Tensor, augmentation: Augmentation, rng: np.random.Generator) -> Tensor:
    """A modality (x, y, z) with another contrast, bias field, sharpness and noise; mean 0 and standard deviation 1."""
    low, high = image.min(), image.max()
    span = (high - low).clamp_min(1e-6)
    if rng.random() < augmentation.histogram_shift:
        image = _shift_histogram((image - low) / span, rng) * span + low
    if rng.random() < augmentation.bias:
        x, y, z = image.shape
        image = image * (_BIAS_SD * _smooth(1, _BIAS_CONTROL, (x, y, z), rng)[0]).exp()
    if rng.random() < augmentation.gamma:
        low, high = image.min(), image.max()
        span = (high - low).clamp_min(1e-6)
        image = ((image - low) / span) ** float(np.exp(rng.uniform(-_GAMMA, _GAMMA))) * span + low
    if rng.random() < augmentation.blur:
        image = _blurred(image, float(rng.uniform(*_BLUR_VOX)))
    image = image + float(rng.uniform(0, augmentation.noise)) * white_noise(image.shape, rng)
    return (image - image.mean()) / image.std(correction=0).clamp_min(1e-6)


def white_noise(shape: Sequence[int], rng: np.random.Generator) -> Tensor:
    """Noise with mean 0 and standard deviation 1: also what stands in for a modality that is missing."""
    return torch.from_numpy(rng.standard_normal(tuple(shape), dtype=np.float32))


def _turn(augmentation: Augmentation, rng: np.random.Generator) -> np.ndarray:
    """A random rotation and scaling in millimetres, as a matrix (3, 3) on voxels."""
    turn = np.eye(3)
    for axis, angle in enumerate(rng.uniform(-augmentation.rotation, augmentation.rotation, 3)):
        one, other = (i for i in range(3) if i != axis)
        about = np.eye(3)
        about[one, one] = about[other, other] = np.cos(angle)
        about[one, other], about[other, one] = -np.sin(angle), np.sin(angle)
        turn = turn @ about
    spacing = np.array(augmentation.spacing_mm)
    scale = 1 + rng.uniform(-augmentation.scaling, augmentation.scaling, 3)
    return (turn * scale) * spacing / spacing[:, None]


def _controls(size: Triple) -> Triple:
    x, y, z = (max(2, round(n / _CONTROL_EVERY_VOX) + 1) for n in size)
    return x, y, z


def _smooth(channels: int, controls: Triple, size: Triple, rng: np.random.Generator) -> Tensor:
    """A smooth random field (channel, x, y, z): white noise on a few control points, interpolated."""
    points = white_noise((1, channels, *controls), rng)
    return functional.interpolate(points, size=size, mode="trilinear", align_corners=True)[0]


def _blurred(image: Tensor, sd_vox: float) -> Tensor:
    """After a Gaussian of five voxels a side."""
    taps = torch.exp(-((torch.arange(5) - 2.0) ** 2) / (2 * sd_vox**2))
    taps = taps / taps.sum()
    flat = functional.pad(image[None, None], (2,) * 6, mode="replicate")
    for axis in range(3):
        kernel = [1, 1, 1]
        kernel[axis] = 5
        flat = functional.conv3d(flat, taps.view(1, 1, *kernel))
    return flat[0, 0]


def _shift_histogram(image: Tensor, rng: np.random.Generator) -> Tensor:
    """Intensities from 0 to 1 through a random piecewise linear curve that never falls (random histogram shift)."""
    before = np.linspace(0, 1, int(rng.integers(_CONTROL_POINTS[0], _CONTROL_POINTS[1] + 1)))
    after = before.copy()
    for i in range(1, len(after) - 1):
        after[i] = rng.uniform(after[i - 1], after[i + 1])
    return torch.from_numpy(np.interp(image.numpy(), before, after).astype(np.float32))
