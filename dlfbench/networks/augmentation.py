"""Random changes of training samples. Parameters are drawn from the generator that is passed; MONAI applies them."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

Array = npt.NDArray[Any]

_SMOOTHING_VOX = (4.0, 7.0)  # of the random displacement
_CONTROL_POINTS = (5, 12)


@dataclass(frozen=True)
class Augmentation:
    """How far a sample is changed.

    Attributes:
        mirror_axis: Axis along which half of the samples are mirrored; None for none.
        bent: Share of the samples that are turned, scaled and bent: nearest-voxel labels lose some precision by it.
        rotation: Largest angle about each axis, radians.
        scaling: Largest relative change of size.
        elastic_vox: Standard deviation of the largest random displacement, voxels.
        noise: Largest standard deviation of added noise, in standard deviations of the image.
        histogram_shift: Share of the images that get a random histogram shift, each by itself, so that contrasts
            differ.
        modaug: Probability that one modality becomes white noise, in target and atlases alike.
    """

    mirror_axis: int | None = None
    bent: float = 0.3
    rotation: float = 0.15
    scaling: float = 0.1
    elastic_vox: float = 1.5
    noise: float = 0.1
    histogram_shift: float = 0.5
    modaug: float = 0.0


def deform(
    images: Array, labels: Array, augmentation: Augmentation, rng: np.random.Generator
) -> tuple[npt.NDArray[np.float32], Array]:
    """Mirrors, turns, scales and bends everything alike.

    Args:
        images: (image, x, y, z): target, atlases and coordinate maps; interpolated linearly.
        labels: (map, x, y, z): label indices; the nearest voxel's.
        augmentation: How far.
        rng: Source of all parameters.
    """
    from monai.transforms.spatial.dictionary import Rand3DElasticd

    if augmentation.mirror_axis is not None and rng.random() < 0.5:
        images, labels = (np.flip(array, 1 + augmentation.mirror_axis) for array in (images, labels))
    if rng.random() >= augmentation.bent:
        return np.ascontiguousarray(images, np.float32), np.ascontiguousarray(labels)
    transform: Any = Rand3DElasticd(
        keys=["images", "labels"],
        sigma_range=_SMOOTHING_VOX,
        magnitude_range=(0.0, augmentation.elastic_vox * _smoothed_to_one(_SMOOTHING_VOX[0])),
        prob=1.0,
        rotate_range=[augmentation.rotation] * 3,
        scale_range=[augmentation.scaling] * 3,
        mode=["bilinear", "nearest"],
        padding_mode="border",
    )
    transform.set_random_state(seed=int(rng.integers(2**31)))
    content = {"images": _tensor(images, np.float32), "labels": _tensor(labels, np.float32)}
    changed = transform(content)
    return np.asarray(changed["images"], np.float32), np.rint(np.asarray(changed["labels"])).astype(labels.dtype)


def change_contrast(
    images: npt.NDArray[np.float32], augmentation: Augmentation, rng: np.random.Generator
) -> npt.NDArray[np.float32]:
    """A random histogram shift and noise for every image (image, x, y, z) by itself."""
    from monai.transforms.intensity.array import RandHistogramShift

    changed = images.copy()
    for index, image in enumerate(images):
        if rng.random() < augmentation.histogram_shift:
            shift: Any = RandHistogramShift(num_control_points=_CONTROL_POINTS, prob=1.0)
            shift.set_random_state(seed=int(rng.integers(2**31)))
            changed[index] = np.asarray(shift(torch.from_numpy(image.copy())))
        sd = rng.uniform(0, augmentation.noise)
        changed[index] += sd * rng.standard_normal(image.shape, dtype=np.float32)
    return changed


def white_noise(shape: tuple[int, ...], rng: np.random.Generator) -> npt.NDArray[np.float32]:
    """What stands in for a modality that is missing: noise with mean 0 and standard deviation 1."""
    return rng.standard_normal(shape, dtype=np.float32)


def _tensor(array: Array, dtype: Any) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(array, dtype=dtype))


def _smoothed_to_one(sigma_vox: float) -> float:
    """What uniform noise in -1..1 is multiplied by, after a 3D Gaussian, to have a standard deviation of 1."""
    return float(np.sqrt(3) * (2 * np.sqrt(np.pi) * sigma_vox) ** 1.5)
