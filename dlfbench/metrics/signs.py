"""Signs of how good a segmentation is that need no reference: agreement with the atlases, certainty, similarity."""

from typing import Any

import numpy as np
import numpy.typing as npt

from dlfbench.fusion.votes import class_indices
from dlfbench.images import UNKNOWN
from dlfbench.volumes import AtlasSet, Segmentation, Target

SIGNS: dict[str, str] = {
    "agreement": "mean over atlases of the Dice of an atlas's candidate with the segmentation",
    "best_agreement": "the same of the atlas that agrees most",
    "certainty": "Dice of the segmentation that its own posterior leads to expect",
    "similarity": "mean over atlases of the correlation of their intensities with the image's around the structure",
}
"""Each sign and what it is; `similarity` is of the case, the others of a label. NaN where a method has none."""

SIGN_COLUMNS: dict[str, str] = {
    "method": "name of the method",
    "fold": "index of the fold",
    "test_set": "name of the test set",
    "case": "name of the case",
    "person": "whose image it is",
    "label": "value of the label",
    "label_name": "name of the label",
    **SIGNS,
    "dice": "Dice with the reference",
}
"""Columns of signs.parquet, one row per method x fold x test set x case x label that was scored."""

_MARGIN_VOX = 3


def signs(outcome: Segmentation, target: Target, atlases: AtlasSet, labels: tuple[int, ...]) -> list[dict[str, Any]]:
    """Signs of each foreground label: `label` and the keys of `SIGNS`.

    Args:
        outcome: The segmentation.
        target: The image.
        atlases: Those that the method got, maybe none.
        labels: The declared labels.
    """
    found = class_indices(outcome.labels, labels).clip(min=0)
    agreement = _agreement(found, atlases, labels)
    certainty = _certainty(outcome, found, labels)
    similarity = _similarity(target, atlases, found > 0)
    rows = []
    for index, value in enumerate(labels[1:], start=1):
        mine = agreement[:, index]
        of_label = [mine.mean(), mine.max(), certainty[index], similarity] if len(mine) else _without(certainty[index])
        rows.append({"label": value, **dict(zip(SIGNS, map(float, of_label), strict=True))})
    return rows


def _without(certainty: float) -> list[float]:
    """Signs of a method without atlases."""
    return [float("nan"), float("nan"), certainty, float("nan")]


def _agreement(
    found: npt.NDArray[np.integer[Any]], atlases: AtlasSet, labels: tuple[int, ...]
) -> npt.NDArray[np.float64]:
    """Dice (atlas, class) of each candidate with the segmentation, given as class indices; 1 where both are empty."""
    classes, dice = len(labels), []
    mine = np.bincount(found.ravel(), minlength=classes)
    for candidate in atlases.labels:
        indices = class_indices(candidate, labels)
        theirs = np.bincount(indices.ravel() - UNKNOWN, minlength=classes + 1)[1:]
        both = np.bincount(found[indices == found], minlength=classes)
        sizes = mine + theirs
        dice.append(np.where(sizes > 0, 2 * both / np.maximum(sizes, 1), 1.0))
    return np.reshape(dice, (len(atlases), classes))


def _certainty(
    outcome: Segmentation, found: npt.NDArray[np.integer[Any]], labels: tuple[int, ...]
) -> npt.NDArray[np.float64]:
    """Of each class, twice the share inside of its segmentation over the sizes of share and segmentation."""
    if outcome.found is None:
        return np.full(len(labels), np.nan)
    posterior, classes = outcome.shares(labels), len(labels)
    of_entry = found.ravel()[posterior.entry_voxels] == posterior.classes
    alone = posterior.alone.ravel().copy()
    alone[posterior.voxels] = 0  # disputed voxels are counted by their shares
    total = np.bincount(alone, minlength=classes) + np.bincount(posterior.classes, posterior.shares, classes)
    right = alone == found.ravel()
    right[posterior.voxels] = False
    inside = np.bincount(alone[right], minlength=classes)
    inside = inside + np.bincount(posterior.classes[of_entry], posterior.shares[of_entry], classes)
    sizes = total + np.bincount(found.ravel(), minlength=classes)
    return np.asarray(np.where(sizes > 0, 2 * inside / np.maximum(sizes, 1e-9), 1.0))


def _similarity(target: Target, atlases: AtlasSet, structure: npt.NDArray[np.bool_]) -> float:
    """Mean correlation over atlases and modalities in the box around the structure; the whole image without one."""
    box: list[slice] = []
    for axis in range(3):
        at = np.flatnonzero(structure.any(axis=tuple(other for other in range(3) if other != axis)))
        box.append(slice(max(at[0] - _MARGIN_VOX, 0), at[-1] + 1 + _MARGIN_VOX) if at.size else slice(None))
    own = _standardised(target.images[(slice(None), *box)])
    found = [float((own * _standardised(images[(slice(None), *box)])).mean()) for images in atlases.images]
    return float(np.mean(found)) if found else float("nan")


def _standardised(images: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Each modality (modality, voxel) less its mean, over its standard deviation; 0 where it is constant."""
    flat = images.reshape(len(images), -1)
    away = flat - flat.mean(axis=1, keepdims=True)
    spread = away.std(axis=1, keepdims=True)
    result: npt.NDArray[np.float32] = away / np.where(spread > 0, spread, 1)
    return result
