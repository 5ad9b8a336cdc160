"""Controlled shifts: test images changed in a known way, to a known degree, to see what a method withstands.

Severities go from 1 to 5. All randomness derives from the case's name and the shift, so that every method meets the
same image. Labels stay as they are: no shift moves anything. Images are in nearest RAS, so that an axis is the same
anatomical direction in all of them.
"""

import hashlib
import inspect
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from dlfbench.plugins import unknown

Image = npt.NDArray[np.float32]
Apply = Callable[[Image, float, np.random.Generator], Image]

MISSING = "missing"
_WRITTEN = re.compile(r"(?P<kind>[\w-]+):(?P<value>\S(?:.*?\S)??)(?: of (?P<source>[\w.-]+))?")


@dataclass(frozen=True)
class Kind:
    """A kind of shift.

    Attributes:
        what: What the amount is, for people.
        amounts: By severity, 1 to 5.
        apply: (image (x, y, z) with values from 0 to 1, amount, generator) to the changed image.
    """

    what: str
    amounts: tuple[float, float, float, float, float]
    apply: Apply


def _contrast(image: Image, gamma: float, rng: np.random.Generator) -> Image:
    return image**gamma


def _noise(image: Image, share: float, rng: np.random.Generator) -> Image:
    return image + share * image.std() * rng.standard_normal(image.shape, dtype=np.float32)


def _bias(image: Image, coefficient: float, rng: np.random.Generator) -> Image:
    from monai.transforms.intensity.array import RandBiasField

    field = RandBiasField(degree=3, coeff_range=(-coefficient, coefficient), prob=1.0)
    field.set_random_state(seed=int(rng.integers(2**31)))
    return np.asarray(field(image[None]))[0]


def _blur(image: Image, sigma_vox: float, rng: np.random.Generator) -> Image:
    from scipy.ndimage import gaussian_filter

    return gaussian_filter(image, sigma_vox, mode="nearest")


def _resolution(image: Image, factor: float, rng: np.random.Generator) -> Image:
    from scipy.ndimage import gaussian_filter1d, map_coordinates

    # what a slice so many times as thick would hold, read back on the old grid
    thick = gaussian_filter1d(image, factor / np.sqrt(12), axis=2, mode="nearest")
    coarse = thick[:, :, np.round(np.arange(0, image.shape[2], factor)).astype(int).clip(max=image.shape[2] - 1)]
    grid = np.indices(image.shape, dtype=np.float32)
    grid[2] /= factor
    return map_coordinates(coarse, grid, order=1, mode="nearest")


def _between_slices(image: Image, factor: float, rng: np.random.Generator) -> Image:
    from scipy.ndimage import gaussian_filter1d, map_coordinates

    # the same where slices so many times as thick lie between the old ones
    thick = gaussian_filter1d(image, factor / np.sqrt(12), axis=2, mode="nearest")
    places = np.arange(0, image.shape[2], factor)
    below = places.astype(int)
    above, share = (below + 1).clip(max=image.shape[2] - 1), (places - below).astype(np.float32)
    coarse = (1 - share) * thick[:, :, below] + share * thick[:, :, above]
    grid = np.indices(image.shape, dtype=np.float32)
    grid[2] /= factor
    return map_coordinates(coarse, grid, order=1, mode="nearest")


def _thicker(image: Image, factor: float, rng: np.random.Generator) -> Image:
    return _thick_by(factor)(image, factor, rng)


def _thick_by(factor: float) -> Apply:
    return _resolution if factor.is_integer() else _between_slices


def _inversion(image: Image, share: float, rng: np.random.Generator) -> Image:
    # not a mixture with the inverted image: that is a linear map, which methods that standardise do not notice
    return np.abs(image - np.quantile(image, share)).astype(np.float32)


def _ghosting(image: Image, share: float, rng: np.random.Generator) -> Image:
    lines = np.fft.fft(image, axis=1)
    lines[:, 1::2] *= 1 - share  # every second line of k-space is weaker: a ghost half a field of view away
    return np.abs(np.fft.ifft(lines, axis=1)).astype(np.float32)


KINDS = {
    "contrast": Kind("gamma", (1.25, 1.5, 2.0, 2.5, 3.0), _contrast),
    "noise": Kind("Gaussian noise, in standard deviations of the image", (0.1, 0.2, 0.3, 0.5, 0.8), _noise),
    "bias": Kind("largest coefficient of a bias field of degree 3", (0.1, 0.2, 0.3, 0.5, 0.8), _bias),
    "blur": Kind("standard deviation of a Gaussian, voxels", (0.5, 0.75, 1.0, 1.5, 2.0), _blur),
    "resolution": Kind("slices, from bottom to top, so many times as thick", (1.5, 2.0, 3.0, 4.0, 5.0), _thicker),
    "inversion": Kind("share of the voxels, from the darkest, that is inverted", (0.2, 0.4, 0.6, 0.8, 1.0), _inversion),
    "ghosting": Kind(
        "share by which every second line of k-space, from back to front, is weaker",
        (0.1, 0.2, 0.3, 0.4, 0.5),
        _ghosting,
    ),
}


@dataclass(frozen=True)
class Shift:
    """A change of test images: `contrast:3`, or `contrast:3 of older`; `missing:t1` puts white noise for a modality.

    >>> shift = Shift("noise:2 of older")
    >>> shift.kind, shift.value, shift.source
    ('noise', '2', 'older')

    Attributes:
        text: As written in a study.
    """

    text: str

    def __post_init__(self) -> None:
        if self.kind != MISSING and self.kind not in KINDS:
            raise ValueError(unknown("shift", self.kind, [*KINDS, MISSING]))
        if self.kind != MISSING and self.value not in ("1", "2", "3", "4", "5"):
            raise ValueError(f"shift {self.text!r}: expected a severity from 1 to 5, found {self.value!r}")

    @property
    def kind(self) -> str:
        return self._written["kind"]

    @property
    def value(self) -> str:
        """The severity; of `missing` the modality's name."""
        return self._written["value"]

    @property
    def source(self) -> str | None:
        """The test set that is changed; None for the cases held out of the training group."""
        return self._written["source"]

    @cached_property
    def _written(self) -> dict[str, Any]:
        written = _WRITTEN.fullmatch(self.text)
        if written is None:
            raise ValueError(f"expected KIND:SEVERITY or KIND:SEVERITY of TESTSET, found {self.text!r}")
        return written.groupdict()

    @property
    def recipe(self) -> tuple[str, ...]:
        """What makes the change, as text: what other kinds do is no part of it."""
        kind = KINDS.get(self.kind)
        amount, change = (kind.amounts[int(self.value) - 1], kind.apply) if kind else (self.value, _without)
        change = _thick_by(float(amount)) if change is _thicker else change
        code = (inspect.getsource(part) for part in (change, Shift.apply, Shift._changed))
        return (f"{self.kind}:{self.value}", str(amount), *code)

    def apply(self, images: Image, modalities: Sequence[str], case: str) -> Image:
        """The images (modality, x, y, z) of a case, changed."""
        seed = hashlib.sha256(f"{case} {self.kind}:{self.value}".encode()).digest()
        rng = np.random.default_rng(list(seed))
        if self.kind == MISSING:
            return _without(images, modalities, self.value, rng)
        return np.stack([self._changed(image, rng) for image in images])

    def _changed(self, image: Image, rng: np.random.Generator) -> Image:
        """One image (x, y, z), changed on the scale of 0 to 1 and brought back to its own."""
        low, high = float(image.min()), float(image.max())
        kind = KINDS[self.kind]
        scaled = (image - low) / ((high - low) or 1.0)
        changed = kind.apply(scaled.astype(np.float32), kind.amounts[int(self.value) - 1], rng)
        return (changed * (high - low) + low).astype(np.float32)


def _without(images: Image, modalities: Sequence[str], name: str, rng: np.random.Generator) -> Image:
    changed, place = images.copy(), list(modalities).index(name)
    noise = rng.standard_normal(images[place].shape, dtype=np.float32)
    changed[place] = images[place].mean() + images[place].std() * noise
    return changed
