"""Posteriors as files: one compressed `.npz` a case, as large as the structure, in steps of 1/255.

Only the smallest box is kept outside of which every foreground label has less than 1/255, and in it only labels that
reach 1/255 somewhere. Outside of it a voxel is background.
"""

import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from dlfbench.errors import InputError
from dlfbench.files import write_whole
from dlfbench.records.folder import Product, RunFolder

_STEPS = 255
_PARTS = ("shares", "classes", "start", "shape")


def write_posterior(path: Path, posterior: npt.NDArray[np.floating[Any]]) -> None:
    """Writes a posterior.

    Args:
        path: The file, whose name ends on `.npz`; its folder is made.
        posterior: (class, x, y, z), background first, sums to 1 over classes.
    """
    reaches = posterior >= 1 / _STEPS
    box = _box(np.asarray(reaches[1:].any(axis=0)))
    classes = np.flatnonzero(reaches[(slice(None), *box)].any(axis=(1, 2, 3)))
    parts = {
        "shares": np.rint(_shares(posterior[(slice(None), *box)])[classes] * _STEPS).astype(np.uint8),
        "classes": classes.astype(np.int32),
        "start": np.array([side.start for side in box], np.int32),
        "shape": np.array(posterior.shape, np.int32),
    }
    write_whole(path, lambda part: _write(part, parts))


def _shares(posterior: npt.NDArray[np.floating[Any]]) -> npt.NDArray[np.floating[Any]]:
    """What is below 0 counts as 0, so that nothing is above 1: weights of joint label fusion may be negative."""
    positive = np.maximum(posterior, 0)
    return positive / np.maximum(positive.sum(axis=0), 1)


def _write(path: str, parts: Mapping[str, npt.NDArray[Any]]) -> None:
    with open(path, "wb") as file:  # given a name, numpy would add an ending to it
        np.savez_compressed(file, allow_pickle=False, **parts)  # type: ignore[arg-type]


def _box(inside: npt.NDArray[np.bool_]) -> tuple[slice, slice, slice]:
    """The smallest box around what is inside; empty where nothing is."""
    sides = []
    for axis in range(3):
        occupied = np.flatnonzero(inside.any(axis=tuple(other for other in range(3) if other != axis)))
        sides.append(slice(int(occupied[0]), int(occupied[-1]) + 1) if occupied.size else slice(0, 0))
    return sides[0], sides[1], sides[2]


def read_posterior(path: str | Path) -> npt.NDArray[np.float32]:
    """Reads a posterior that `dlfbench run --posteriors` left, on the image's whole grid.

    It is that of the method but for rounding, by which a share is off by at most 1/510 times the number of labels; and
    where the method gives shares below 0 (`jlf` may), these are 0, and the others of the voxel sum to 1.

    Args:
        path: `RUN/posteriors/METHOD/foldN/CASE.npz`.

    Returns:
        (class, x, y, z), float32, in the order of the declared labels, background first; sums to 1 over classes.
        Axes are as in memory: x to the right, y to the front, z up.

    Raises:
        InputError: The file is missing or is no posterior.
    """
    try:
        # opened here, since numpy leaves what it cannot read open
        with open(path, "rb") as content, np.load(content, allow_pickle=False) as file:
            shares, classes, start, shape = (file[part] for part in _PARTS)
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise InputError(f"{path}: expected a posterior as `dlfbench run --posteriors` writes it ({error})") from None
    whole = np.zeros(shape, np.float32)
    whole[0] = 1
    if shares.size:
        x, y, z = (slice(low, low + size) for low, size in zip(start, shares.shape[1:], strict=True))
        sums = shares.sum(axis=0, dtype=np.float32)
        whole[0, x, y, z] = sums == 0  # so many labels that each is rounded to nothing
        whole[classes, x, y, z] += shares / np.maximum(sums, 1)
    return whole


def read_listed(folder: RunFolder, product: Product, names: Mapping[str, Any]) -> npt.NDArray[np.float32] | None:
    """The posterior that a segmentation's product lists; None where it left none.

    Args:
        folder: The run.
        product: Of the segmentation.
        names: What it was about: method, fold, case.
    """
    path = folder.posterior_path(names["method"], names["fold"], names["case"])
    return read_posterior(path) if str(path.relative_to(folder.root)) in product.files else None
