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

from dlfbench.engine.runfolder import RunFolder
from dlfbench.errors import InputError
from dlfbench.images import Grid, read_image, read_labels
from dlfbench.report import format as say
from dlfbench.report.analysis import Analysis
from dlfbench.report.figure_style import Picture, file_name
from dlfbench.report.record import Record
from dlfbench.report.scores import Scores

log = logging.getLogger(__name__)

REFERENCE_COLOUR, PREDICTION_COLOUR = "#56B4E9", "#E69F00"
_FEW_METHODS = 4
_MOST_COLUMNS = 8
_MARGIN_MM = 8.0
_PANEL_IN = 1.55
_PLANES = {"axial": (0, 1, 2), "coronal": (0, 2, 1), "sagittal": (1, 2, 0)}  # across, up, through


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


def draw_case(record: Record, choice: Choice) -> CasePicture | None:
    """Draws a case; None, with a line in the log, where its files cannot be read."""
    about = record.data.get("cases", {}).get(choice.case)
    fold = _fold_of(record, choice)
    if not about or fold is None:
        return None
    run = RunFolder(record.folder)
    paths = {method: run.segmentation_path(method, fold, choice.case) for method in choice.dice}
    paths = {method: path for method, path in paths.items() if path.is_file()}
    try:
        view = _read(about, {method: paths[method] for method in list(paths)[:_MOST_COLUMNS]}, record.folder)
    except (InputError, OSError, ValueError) as error:
        log.warning("report: no picture of case %s: %s", choice.case, error)
        return None
    links = tuple((method, os.path.relpath(path, record.folder / "report")) for method, path in paths.items())
    return CasePicture(choice, _picture(choice, view), links)


@dataclass(frozen=True)
class _View:
    """Arrays in RAS order and the spacing along their axes, cut to the box around all labels."""

    image: npt.NDArray[Any]
    reference: npt.NDArray[Any]
    predictions: Mapping[str, npt.NDArray[Any]]
    spacing_mm: tuple[float, ...]


def _fold_of(record: Record, choice: Choice) -> int | None:
    rows = record.results
    hit = (rows["case"] == choice.case) & (rows["test_set"] == choice.test_set) & (rows["status"] == "ok")
    folds = rows.loc[hit & (rows["kind"] == "method"), "fold"]
    return None if folds.empty else int(folds.min())


def _read(about: Mapping[str, Any], paths: Mapping[str, Path], root: Path) -> _View:
    image, grid = read_image(_located(about["images"][0], root))
    maps = {name: read_labels(path)[0] for name, path in paths.items()}
    reference = read_labels(_located(about["reference"], root))[0]
    if any(labels.shape != image.shape for labels in (reference, *maps.values())):
        raise ValueError("image, reference and predictions have different shapes")
    box = _box([reference, *maps.values()], grid)
    turned = [_to_ras(voxels[box], grid) for voxels in (image, reference, *maps.values())]
    order = _ras_order(grid)[0]
    return _View(
        turned[0], turned[1], dict(zip(maps, turned[2:], strict=True)), tuple(grid.spacing_mm[axis] for axis in order)
    )


def _located(path: str, root: Path) -> Path:
    """A path as recorded, or from the run folder where the run was recorded with relative paths."""
    return Path(path) if Path(path).is_file() else root / path


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
    return voxels.transpose(order)[flips]


def _picture(choice: Choice, view: _View) -> Picture:
    columns = ["image", *view.predictions]
    figure = Figure(figsize=(_PANEL_IN * len(columns), _PANEL_IN * 3 + 0.25), layout="constrained", facecolor="white")
    panels = figure.subplots(3, len(columns), squeeze=False, gridspec_kw={"wspace": 0.02, "hspace": 0.02})
    limits = tuple(np.percentile(view.image, [1, 99.5])) if view.image.size else (0, 1)
    for row, (across, up, through) in enumerate(_PLANES.values()):
        at = int((view.reference > 0).sum(axis=(across, up)).argmax())
        for column, name in enumerate(columns):
            maps = [(view.reference, REFERENCE_COLOUR)]
            maps += [(view.predictions[name], PREDICTION_COLOUR)] if name in view.predictions else []
            plane = (across, up, through)
            _slice(panels[row, column], view, maps if column else [], plane=plane, at=at, limits=limits)
            if row == 0:
                panels[row, column].set_title(name, fontsize=8, parse_math=False)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="webp", dpi=130, pil_kwargs={"quality": 82, "method": 4})
    listed = ", ".join(f"{method} {say.number(value, 'dice')}" for method, value in choice.dice.items())
    alt = (
        f"Case {choice.case} of test set {choice.test_set} in axial, coronal and sagittal slices, with contours of the "
        f"reference and of each prediction. Dice: {listed}."
    )
    name = file_name("case", choice.test_set, choice.case)
    return Picture(name, f"{choice.case}, {choice.test_set}", alt, buffer.getvalue(), "webp")


def _slice(
    axes: Axes,
    view: _View,
    maps: Sequence[tuple[npt.NDArray[Any], str]],
    *,
    plane: tuple[int, int, int],
    at: int,
    limits: Any,
) -> None:
    across, up, through = plane

    def cut(voxels: npt.NDArray[Any]) -> npt.NDArray[Any]:
        return np.take(voxels, at, axis=through).T

    background = cut(view.image)
    width_mm, height_mm = view.spacing_mm[across] * background.shape[1], view.spacing_mm[up] * background.shape[0]
    box = (0, width_mm, 0, height_mm)
    axes.imshow(background, cmap="gray", origin="lower", extent=box, vmin=limits[0], vmax=limits[1])
    for labels, colour in maps:
        found = cut(labels)
        for value in np.unique(found[found > 0]):
            axes.contour((found == value).astype(float), [0.5], colors=colour, linewidths=0.9, extent=box)
    # radiological convention: the patient's right is on the left of the picture
    axes.set_xlim((width_mm, 0) if across == 0 else (0, width_mm))
    axes.set_axis_off()
