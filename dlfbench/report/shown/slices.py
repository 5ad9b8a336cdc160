"""A case as a picture: the slice with most errors, labels in colours, and beneath them a map of the errors."""

import io
import logging
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure
from PIL import Image

from dlfbench.errors import InputError
from dlfbench.files import file_name
from dlfbench.report.basis.basis import Basis
from dlfbench.report.basis.chosen import Choice
from dlfbench.report.shown import format as say
from dlfbench.report.shown.figure_style import FULL_IN, PALETTE, Picture, in_lines
from dlfbench.report.shown.views import View, Voxels, read_view

log = logging.getLogger(__name__)

MISSED, ADDED, WRONG = "#D55E00", "#56B4E9", "#F0E442"
"""Colours of errors: not found, found where there is none, found as another label."""
_PLANES = {"axial": (0, 1, 2), "coronal": (0, 2, 1), "sagittal": (1, 2, 0)}  # axes across, up, through
_COLUMNS = 6
_DPI = 170
_TITLE_IN = 0.42
_GAP = 0.03  # of a panel's width


@dataclass(frozen=True)
class CasePicture:
    """A case as shown.

    Attributes:
        choice: The case and why it is shown.
        picture: Its slice.
        links: (method, path) of the NIfTI files in the run folder.
    """

    choice: Choice
    picture: Picture
    links: tuple[tuple[str, str], ...]


def label_colours(labels: Sequence[str]) -> dict[str, str]:
    """One colour per label, by its place."""
    return {label: PALETTE[(place + 2) % len(PALETTE)] for place, label in enumerate(labels)}


def draw_case(basis: Basis, choice: Choice) -> CasePicture | None:
    """Draws a case; None, with a line in the log, where its files cannot be read or may not be shown."""
    record = basis.record
    paths = record.segmentations(choice.test_set, choice.case) if basis.with_images else {}
    known = record.data.cases.get(choice.case)
    if known is None or not known.images or not paths:
        return None  # label maps that were scored without their images
    shown = _shown_methods(choice, [method for method in choice.dice if method in paths])
    try:
        view = read_view(record, choice.case, {method: paths[method] for method in shown})
    except (InputError, OSError, ValueError) as error:
        log.warning("report: no picture of case %s: %s", choice.case, error)
        return None
    links = [(method, str(path)) for method, path in paths.items() if basis.with_links]
    values = record.results[["label", "label_name"]].drop_duplicates().itertuples(index=False, name=None)
    by_name = label_colours(record.labels)
    colour = {int(value): by_name[name] for value, name in values if name in by_name}
    return CasePicture(choice, _picture(choice, view, colour), tuple(links))


def _shown_methods(choice: Choice, methods: list[str]) -> list[str]:
    """As many as there is room for: the best methods of the study, and the worst one in this case."""
    room = _COLUMNS - 1
    if len(methods) <= room:
        return methods
    worst = min(methods, key=lambda method: np.nan_to_num(choice.dice[method], nan=2.0))
    kept = [method for method in methods if method != worst][: room - 1]
    return [*kept, worst]


def _picture(choice: Choice, view: View, colour: dict[int, str]) -> Picture:
    plane, at = _most_errors(view)
    listed = ", ".join(f"{method} {say.number(value, 'dice')}" for method, value in choice.dice.items())
    alt = (
        f"Case {choice.case} of test set {choice.test_set} in the {plane} slice with most errors: labels in colours, "
        f"and the errors of each method. Dice: {listed}."
    )
    drawn, bitmap = _draw(choice, view, colour, plane, at)
    name = file_name("case", choice.test_set, choice.case)
    return Picture(name, f"{choice.case}, {choice.test_set}, {plane}", alt, drawn, "webp", bitmap)


def _most_errors(view: View) -> tuple[str, int]:
    """The plane and place where the predictions differ most from the reference, in area."""
    errors = np.sum([labels != view.reference for labels in view.predictions.values()], axis=0)
    most = {}
    for plane, (across, up, _) in _PLANES.items():
        area = errors.sum(axis=(across, up)) * view.spacing_mm[across] * view.spacing_mm[up]
        most[plane] = (float(area.max()), int(area.argmax()))
    best = max(most, key=lambda plane: most[plane][0])
    return best, most[best][1]


def _draw(choice: Choice, view: View, colour: dict[int, str], plane: str, at: int) -> tuple[bytes, bytes]:
    """As WebP and PNG: a column for the reference and one per method; labels above, errors below."""
    across, up, _ = _PLANES[plane]
    wide, tall = (size * view.spacing_mm[axis] for axis in (across, up) for size in [view.image.shape[axis]])
    columns = {"reference": view.reference, **view.predictions}
    gap = _GAP * wide
    width_mm = len(columns) * (wide + gap) - gap
    axes = _canvas(width_mm, 2 * tall + gap, width_in=FULL_IN * len(columns) / _COLUMNS)
    limits = tuple(np.percentile(view.image, [1, 99.5]))
    image, reference = (_cut(voxels, plane, at) for voxels in (view.image, view.reference))
    for place, (name, labels) in enumerate(columns.items()):
        left = place * (wide + gap)
        above, below = ((left, left + wide, bottom, bottom + tall) for bottom in (tall + gap, 0.0))
        dice = f"\n{say.number(choice.dice[name], 'dice')}" if name in choice.dice else "\n"
        axes.text(left + wide / 2, 2 * tall + gap, in_lines(name) + dice, ha="center", va="bottom", fontsize=9,
                  parse_math=False)  # fmt: skip
        for extent in (above, below):
            axes.imshow(image, cmap="gray", origin="lower", extent=extent, vmin=limits[0], vmax=limits[1])
        cut = _cut(labels, plane, at)
        _labels(axes, cut, colour, above)
        axes.imshow(_errors(cut, reference), origin="lower", extent=below, interpolation="nearest")
    axes.set(xlim=(0, width_mm), ylim=(0, 2 * tall + gap), aspect="auto")
    drawn, bitmap = io.BytesIO(), io.BytesIO()
    axes.figure.savefig(drawn, format="webp", dpi=_DPI, pil_kwargs={"quality": 70, "method": 4})  # type: ignore[union-attr]
    Image.open(drawn).save(bitmap, format="png")
    return drawn.getvalue(), bitmap.getvalue()


def _canvas(width_mm: float, height_mm: float, *, width_in: float) -> Axes:
    """Bare axes that fill a figure but for a line of titles: one set of axes draws much faster than one per panel."""
    height_in = width_in * height_mm / width_mm
    figure = Figure(figsize=(width_in, height_in + _TITLE_IN), facecolor="white")
    axes = figure.add_axes((0, 0, 1, height_in / (height_in + _TITLE_IN)))
    axes.set_axis_off()
    return axes


def _cut(voxels: Voxels, plane: str, at: int) -> Voxels:
    across, _, through = _PLANES[plane]
    found: Voxels = np.take(voxels, at, axis=through).T
    # radiological convention: the patient's right is on the left of the picture
    return found[:, ::-1] if across == 0 else found


def _labels(axes: Axes, labels: Voxels, colour: dict[int, str], extent: tuple[float, float, float, float]) -> None:
    """Each label filled thinly, with a line around it."""
    for value in np.unique(labels[labels > 0]):
        drawn, inside = colour.get(int(value), PALETTE[0]), labels == value
        mask = np.where(inside[:, :, None], to_rgba(drawn, 0.35), 0.0)
        axes.imshow(mask, origin="lower", extent=extent, interpolation="nearest")
        if not inside.all():
            axes.contour(inside, [0.5], colors=drawn, linewidths=1.3, extent=extent)


def _errors(labels: Voxels, reference: Voxels) -> Voxels:
    """(up, across, RGBA): what is missed, added, and of the wrong label."""
    kinds = {
        MISSED: (labels == 0) & (reference > 0),
        ADDED: (labels > 0) & (reference == 0),
        WRONG: (labels > 0) & (reference > 0) & (labels != reference),
    }
    colours = np.zeros((*labels.shape, 4))
    for colour, where in kinds.items():
        colours[where] = to_rgba(colour, 0.9)
    return colours
