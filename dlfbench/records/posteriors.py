"""Posteriors as files: one compressed `.npz` a case, as large as the dispute, in steps of 1/255."""

import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from dlfbench.errors import InputError
from dlfbench.files import write_whole
from dlfbench.fusion.posterior import Posterior
from dlfbench.records.folder import Product, RunFolder

Numbers = npt.NDArray[np.integer[Any]]

_STEPS = 255
_PARTS_OF_BOX = ("shares", "classes", "start", "shape")  # until November 2026
_PARTS = ("labels", "alone", "voxels", "lengths", "classes", "shares")


def write_posterior(path: Path, posterior: Posterior) -> None:
    """Writes a posterior.

    Args:
        path: The file, whose name ends on `.npz`; its folder is made.
        posterior: On the image's whole grid.
    """
    steps = np.rint(_shares(posterior) * _STEPS).astype(np.uint8)
    kept = steps > 0
    voxels, lengths = np.unique(posterior.entry_voxels[kept], return_counts=True)
    alone = posterior.alone.copy()
    alone.ravel()[posterior.voxels] = 0  # so many labels that each is rounded to nothing
    number = np.min_scalar_type(len(posterior.label_values))
    parts = {
        "labels": np.asarray(posterior.label_values, np.int64),
        "alone": alone.astype(number),
        "voxels": np.diff(voxels, prepend=0),  # from one to the next, which compresses well
        "lengths": lengths.astype(np.uint16),
        "classes": posterior.classes[kept].astype(number),
        "shares": steps[kept],
    }
    write_whole(path, lambda part: _write(part, parts))


def _shares(posterior: Posterior) -> npt.NDArray[np.float32]:
    """What is below 0 counts as 0, so that nothing is above 1: weights of joint label fusion may be negative."""
    positive = np.maximum(posterior.shares, 0)
    if not len(positive):
        return positive
    return positive / np.repeat(np.maximum(np.add.reduceat(positive, posterior.starts[:-1]), 1), posterior.lengths)


def _write(path: str, parts: Mapping[str, npt.NDArray[Any]]) -> None:
    with open(path, "wb") as file:  # given a name, numpy would add an ending to it
        np.savez_compressed(file, allow_pickle=False, **parts)  # type: ignore[arg-type]


def read_posterior(path: str | Path) -> npt.NDArray[np.float32]:
    """Reads a posterior that `dlfbench run --posteriors` left, as an array; four bytes per class and voxel.

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
    return read_shares(path).dense()


def read_shares(path: str | Path) -> Posterior:
    """Reads what `read_posterior` reads, as large as the dispute."""
    try:
        # opened here, since numpy leaves what it cannot read open
        with open(path, "rb") as content, np.load(content, allow_pickle=False) as file:
            if "start" in file:
                return _of_box(*(file[part] for part in _PARTS_OF_BOX))
            return _of_lists(*(file[part] for part in _PARTS))
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise InputError(f"{path}: expected a posterior as `dlfbench run --posteriors` writes it ({error})") from None


def _of_lists(
    labels: Numbers, alone: Numbers, voxels: Numbers, lengths: Numbers, classes: Numbers, steps: Numbers
) -> Posterior:
    starts = np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)])
    sums = np.add.reduceat(steps, starts[:-1], dtype=np.float32) if len(steps) else np.empty(0, np.float32)
    shares = (steps / np.repeat(sums, lengths)).astype(np.float32)
    values = tuple(int(value) for value in labels)
    return Posterior(values, alone.astype(np.int32), np.cumsum(voxels), starts, classes.astype(np.int32), shares)


def _of_box(steps: Numbers, classes: Numbers, start: Numbers, shape: Numbers) -> Posterior:
    """A posterior of which all that is kept is a box around the foreground, of classes that are there."""
    whole = np.zeros(shape, np.float32)
    whole[0] = 1
    if steps.size:
        x, y, z = (slice(low, low + size) for low, size in zip(start, steps.shape[1:], strict=True))
        sums = steps.sum(axis=0, dtype=np.float32)
        whole[0, x, y, z] = sums == 0
        whole[classes, x, y, z] += steps / np.maximum(sums, 1)
    return Posterior.of_dense(whole, tuple(range(len(whole))))


def read_listed(folder: RunFolder, product: Product, names: Mapping[str, Any]) -> Posterior | None:
    """The posterior that a segmentation's product lists; None where it left none.

    Args:
        folder: The run.
        product: Of the segmentation.
        names: What it was about: method, fold, case.
    """
    path = folder.posterior_path(names["method"], names["fold"], names["case"])
    return read_shares(path) if str(path.relative_to(folder.root)) in product.files else None
