"""Cases to look at: which ones, and their slices with contours of reference and predictions."""

import io
import logging
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from PIL import Image

from dlfbench.errors import InputError
from dlfbench.files import file_name
from dlfbench.images import Grid, read_labels
from dlfbench.records.record import Record
from dlfbench.report.basis.analysis import Analysis
from dlfbench.report.basis.scores import Scores
from dlfbench.report.shown import format as say
from dlfbench.report.shown.figure_style import Picture, in_lines

log = logging.getLogger(__name__)

REFERENCE_COLOUR, PREDICTION_COLOUR = "#56B4E9", "#E69F00"
_FEW_METHODS = 6
_MOST_COLUMNS = 8
_MARGIN_MM = 8.0
_PANEL_IN = 1.55
_GAP_MM = 1.5
_TITLE_IN = 0.32
_PLANES = ((0, 1, 2), (0, 2, 1), (1, 2, 0))  # axial, coronal, sagittal: axes across, up, through


@dataclass(frozen=True)
class Choice:
    """A case to show.

    Attributes:
        test_set: Where it was tested.
        case: Its name.
        why: Such as `worst of jlf`.
        dice: Mean Dice over labels by method; NaN where there is no result.
    """

    test_set: str
    case: str
    why: str
    dice: Mapping[str, float]


@dataclass(frozen=True)
class CasePicture:
    """A case as shown.

    Attributes:
        choice: The case and why it is shown.
        picture: Its slices.
        links: (what, path relative to the report's folder) of the NIfTI files in the run folder.
    """

    choice: Choice
    picture: Picture
    links: tuple[tuple[str, str], ...]


def choose(analysis: Analysis, scores: Scores) -> list[Choice]:
    """Best, median and worst case of each method by mean Dice; with many methods, of the mean over methods."""
    places = [scores.methods.index(method) for method in analysis.methods]
    dice = scores.values["dice"][:, places, -1]
    reasons: dict[int, list[str]] = {}
    if len(places) <= _FEW_METHODS:
        columns = dict(zip(analysis.methods, dice.T, strict=True))
    else:
        columns = {"all methods": np.where(np.isnan(dice).any(axis=1), np.nan, dice.mean(axis=1))}
    for rank in ("worst", "median", "best"):
        for name, column in columns.items():
            found = np.flatnonzero(~np.isnan(column))
            if found.size:
                order = found[np.argsort(column[found], kind="stable")]
                place = {"worst": 0, "median": (order.size - 1) // 2, "best": order.size - 1}[rank]
                reasons.setdefault(int(order[place]), []).append(f"{rank} of {name}")
    return [
        Choice(scores.test_set, scores.cases[at], ", ".join(why), dict(zip(analysis.methods, dice[at], strict=True)))
        for at, why in reasons.items()
    ]


def draw_case(record: Record, choice: Choice, page_folder: Path) -> CasePicture | None:
    """Draws a case; None, with a line in the log, where its files cannot be read.

    Args:
        record: The run.
        choice: The case.
        page_folder: Where the page that links to the files will be.
    """
    paths = record.segmentations(choice.test_set, choice.case)
    if not record.data.get("cases", {}).get(choice.case, {}).get("images") or not paths:
        return None
    try:
        view = _read(record, choice.case, {method: paths[method] for method in list(paths)[:_MOST_COLUMNS]})
    except (InputError, OSError, ValueError) as error:
        log.warning("report: no picture of case %s: %s", choice.case, error)
        return None
    links = tuple((method, os.path.relpath(path, page_folder)) for method, path in paths.items())
    return CasePicture(choice, _picture(choice, view), links)


@dataclass(frozen=True)
class _View:
    """Arrays in RAS order and the spacing along their axes, cut to the box around all labels."""

    image: npt.NDArray[Any]
    reference: npt.NDArray[Any]
    predictions: Mapping[str, npt.NDArray[Any]]
    spacing_mm: tuple[float, ...]


def _read(record: Record, case: str, paths: Mapping[str, Path]) -> _View:
    image, grid = record.image(case)
    maps = {name: read_labels(path)[0] for name, path in paths.items()}
    reference = read_labels(record.files(case)[1])[0]
    if any(labels.shape != image.shape for labels in (reference, *maps.values())):
        raise ValueError("image, reference and predictions have different shapes")
    box = _box([reference, *maps.values()], grid)
    spacing_mm = tuple(grid.spacing_mm[axis] for axis in _ras_order(grid)[0])
    predictions = {name: _to_ras(labels[box], grid) for name, labels in maps.items()}
    return _View(_to_ras(image[box], grid), _to_ras(reference[box], grid), predictions, spacing_mm)


def _box(maps: Sequence[npt.NDArray[Any]], grid: Grid) -> tuple[slice, ...]:
    found = np.argwhere(np.any([labels > 0 for labels in maps], axis=0))
    if not found.size:
        return (slice(None),) * 3
    margin_vox = np.ceil(_MARGIN_MM / np.asarray(grid.spacing_mm)).astype(int)
    low, high = np.maximum(found.min(axis=0) - margin_vox, 0), found.max(axis=0) + margin_vox + 1
    return tuple(slice(a, b) for a, b in zip(low, high, strict=True))


def _ras_order(grid: Grid) -> tuple[tuple[int, ...], tuple[bool, ...]]:
    """Which voxel axis runs most along x, y and z of the world, and whether against it."""
    directions = np.asarray(grid.affine)[:3, :3] / np.asarray(grid.spacing_mm)
    order: list[int] = []
    for world in range(3):
        free = [axis for axis in range(3) if axis not in order]
        order.append(max(free, key=lambda axis: abs(directions[world, axis])))
    return tuple(order), tuple(bool(directions[world, axis] < 0) for world, axis in enumerate(order))


def _to_ras(voxels: npt.NDArray[Any], grid: Grid) -> npt.NDArray[Any]:
    order, against = _ras_order(grid)
    flips = tuple(slice(None, None, -1) if backward else slice(None) for backward in against)
    turned: npt.NDArray[Any] = voxels.transpose(order)[flips]
    return turned


def _picture(choice: Choice, view: _View) -> Picture:
    listed = ", ".join(f"{method} {say.number(value, 'dice')}" for method, value in choice.dice.items())
    alt = (
        f"Case {choice.case} of test set {choice.test_set} in axial, coronal and sagittal slices, with contours of the "
        f"reference and of each prediction. Dice: {listed}."
    )
    name = file_name("case", choice.test_set, choice.case)
    drawn, bitmap = _draw(view)
    return Picture(name, f"{choice.case}, {choice.test_set}", alt, drawn, "webp", bitmap)


def _draw(view: _View) -> tuple[bytes, bytes]:
    """As WebP and PNG: a column for the image and one per method, a row per plane, all of one scale in millimetres."""
    columns: dict[str, npt.NDArray[Any] | None] = {"image": None, **view.predictions}
    size_mm = np.multiply(view.image.shape, view.spacing_mm)
    width_mm = _GAP_MM + max(size_mm[across] for across, _, _ in _PLANES)
    rows_mm = [_GAP_MM + size_mm[up] for _, up, _ in _PLANES]
    axes = _canvas(width_mm * len(columns), sum(rows_mm), width_in=_PANEL_IN * len(columns))
    limits = np.percentile(view.image, [1, 99.5])
    for column, (name, labels) in enumerate(columns.items()):
        axes.text(
            (column + 0.5) * width_mm,
            sum(rows_mm),
            in_lines(name),
            ha="center",
            va="bottom",
            fontsize=7,
            parse_math=False,
        )
        top_mm = sum(rows_mm)
        for plane, height_mm in zip(_PLANES, rows_mm, strict=True):
            top_mm -= height_mm
            left_mm = column * width_mm + (width_mm - size_mm[plane[0]]) / 2
            box = (left_mm, left_mm + size_mm[plane[0]], top_mm, top_mm + size_mm[plane[1]])
            _slice(axes, view, labels, plane=plane, box=box, limits=limits)
    axes.set(xlim=(0, width_mm * len(columns)), ylim=(0, sum(rows_mm)), aspect="auto")
    drawn, bitmap = io.BytesIO(), io.BytesIO()
    axes.figure.savefig(drawn, format="webp", dpi=130, pil_kwargs={"quality": 82, "method": 4})  # type: ignore[union-attr]
    Image.open(drawn).save(bitmap, format="png")
    return drawn.getvalue(), bitmap.getvalue()


def _canvas(width_mm: float, height_mm: float, *, width_in: float) -> Axes:
    """Bare axes that fill a figure but for a line of titles: one set of axes draws much faster than one per panel."""
    height_in = width_in * height_mm / width_mm
    figure = Figure(figsize=(width_in, height_in + _TITLE_IN), facecolor="white")
    axes = figure.add_axes((0, 0, 1, height_in / (height_in + _TITLE_IN)))
    axes.set_axis_off()
    return axes


def _slice(
    axes: Axes,
    view: _View,
    labels: npt.NDArray[Any] | None,
    *,
    plane: tuple[int, int, int],
    box: tuple[float, float, float, float],
    limits: npt.NDArray[Any],
) -> None:
    """One panel: the image, and where there are labels their contours over those of the reference."""
    across, up, through = plane
    at = int((view.reference > 0).sum(axis=(across, up)).argmax())

    def cut(voxels: npt.NDArray[Any]) -> npt.NDArray[Any]:
        found: npt.NDArray[Any] = np.take(voxels, at, axis=through).T
        # radiological convention: the patient's right is on the left of the picture
        return found[:, ::-1] if across == 0 else found

    axes.imshow(cut(view.image), cmap="gray", origin="lower", extent=box, vmin=limits[0], vmax=limits[1])
    for voxels, colour in ((view.reference, REFERENCE_COLOUR), (labels, PREDICTION_COLOUR)):
        if voxels is None or labels is None:
            continue
        found = cut(voxels)
        for value in np.unique(found[found > 0]):
            axes.contour(found == value, [0.5], colors=colour, linewidths=0.9, extent=box)
