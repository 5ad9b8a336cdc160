"""What a method's answer must satisfy before it is written."""

import numpy as np

from dlfbench.fusion.posterior import Posterior
from dlfbench.images import Grid
from dlfbench.volumes import Segmentation

POSTERIOR_TOLERANCE = 1e-3


def check_outcome(outcome: Segmentation, grid: Grid, label_values: tuple[int, ...]) -> None:
    """Checks a segmentation against the target's grid and the declared labels.

    Raises:
        ValueError: With every violation: expected against found.
    """
    if not isinstance(outcome, Segmentation):
        raise ValueError(f"expected a Segmentation, found {type(outcome).__name__}")
    problems = _label_problems(outcome, grid, label_values) + _posterior_problems(outcome, grid, label_values)
    if problems:
        raise ValueError("; ".join(problems))


def _label_problems(outcome: Segmentation, grid: Grid, label_values: tuple[int, ...]) -> list[str]:
    labels = outcome.labels
    if not isinstance(labels, np.ndarray):
        return [f"label map is of type {type(labels).__name__}, expected a NumPy array"]
    if labels.shape != grid.shape:
        return [f"label map has shape {labels.shape}, the target {grid.shape}"]
    if not np.issubdtype(labels.dtype, np.integer):
        return [f"label map has type {labels.dtype}, expected integers"]
    odd = np.setdiff1d(labels, label_values)
    return [f"label map has values {odd[:5].tolist()} outside the declared {list(label_values)}"] if odd.size else []


def _posterior_problems(outcome: Segmentation, grid: Grid, label_values: tuple[int, ...]) -> list[str]:
    found = outcome.found
    if found is None:
        return []
    if not isinstance(found, np.ndarray | Posterior):
        return [f"posterior is of type {type(found).__name__}, expected a NumPy array or a dlfbench.Posterior"]
    expected = (len(label_values), *grid.shape)
    if found.shape != expected:
        return [f"posterior has shape {found.shape}, expected {expected} (class, x, y, z)"]
    shares = found.shares if isinstance(found, Posterior) else found
    if shares.dtype.kind not in "fiub":
        return [f"posterior has type {shares.dtype}, expected floating-point numbers"]
    if not np.isfinite(shares).all():
        return [f"posterior has {int((~np.isfinite(shares)).sum())} values that are not finite"]
    # in a Posterior, weights may be negative, as those of joint label fusion
    if not isinstance(found, Posterior) and shares.min() < -POSTERIOR_TOLERANCE:
        many = int((shares < -POSTERIOR_TOLERANCE).sum())
        return [f"posterior has {many} shares below 0, down to {shares.min():.2g}; clip, then divide by the sum"]
    if isinstance(found, Posterior):
        sums = np.add.reduceat(shares, found.starts[:-1], dtype=np.float64) if len(found.voxels) else np.ones(1)
    else:
        sums = found.sum(axis=0, dtype=np.float64)
    low, high = float(sums.min()), float(sums.max())
    if max(1 - low, high - 1) <= POSTERIOR_TOLERANCE:
        return []
    span = " to ".join(dict.fromkeys(f"{end:.4g}" for end in (low, high)))
    return [f"posterior sums to {span} over classes, expected 1; divide by the sum"]
