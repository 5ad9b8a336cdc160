"""What a registration's answer must satisfy before it is stored."""

from typing import Any

import numpy as np

from dlfbench.images import UNKNOWN
from dlfbench.registration.interface import WarpedAtlas
from dlfbench.volumes import Atlas, Target


def check_warped(warped: Any, target: Target, atlas: Atlas) -> None:
    """Checks a warped atlas against the target's grid and the atlas's labels.

    Raises:
        RuntimeError: With every violation: expected against found.
    """
    if not isinstance(warped, WarpedAtlas):
        raise RuntimeError(f"warp returned {type(warped).__name__}, expected a dlfbench.WarpedAtlas")
    problems = [*_image_problems(warped.images, target), *_label_problems(warped.labels, target, atlas)]
    if not (isinstance(warped.flags, tuple | list) and all(isinstance(flag, str) for flag in warped.flags)):
        problems.append(f"flags are {warped.flags!r}, expected a tuple of texts")
    if problems:
        raise RuntimeError("; ".join(problems))


def _image_problems(images: Any, target: Target) -> list[str]:
    expected = (len(target.images), *target.grid.shape)
    if problem := _array_problem("images", images, expected):
        return [problem]
    if images.dtype != np.float32:
        return [f"images have type {images.dtype}, expected float32: images.astype(np.float32)"]
    odd = images.size - int(np.isfinite(images).sum())
    return [f"images have {odd} values that are not finite: beyond the atlas its border goes on"] if odd else []


def _label_problems(labels: Any, target: Target, atlas: Atlas) -> list[str]:
    if problem := _array_problem("labels", labels, target.grid.shape):
        return [problem]
    if not np.issubdtype(labels.dtype, np.integer):
        return [f"labels have type {labels.dtype}, expected integers: interpolate to the nearest label"]
    last = int(atlas.labels.max())  # labels of the atlas are numbered, and all numbers up to the last are in use
    low, high = int(labels.min()), int(labels.max())
    if low >= UNKNOWN and high <= last:
        return []
    return [f"labels go from {low} to {high}, those of the atlas from 0 to {last}, and {UNKNOWN} (UNKNOWN) beyond it"]


def _array_problem(what: str, array: Any, expected: tuple[int, ...]) -> str:
    if not isinstance(array, np.ndarray):
        return f"{what} are of type {type(array).__name__}, expected a NumPy array"
    return f"{what} have shape {array.shape}, expected {expected}" if array.shape != expected else ""
