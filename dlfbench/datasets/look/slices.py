"""Middle slices of a case with the contours of its labels."""

import io
from collections.abc import Sequence

import nibabel as nib
import numpy as np
import numpy.typing as npt
from PIL import Image, ImageColor

from dlfbench.images import Grid, LabelArray

# distinguishable with any colour vision and on grey: Okabe and Ito 2008, without black
COLOURS = ("#E69F00", "#56B4E9", "#F0E442", "#D55E00", "#CC79A7", "#009E73", "#0072B2")
_PLANES = ((0, 1, 2), (0, 2, 1), (1, 2, 0))  # axial, coronal, sagittal: axes across, up, through
_WIDTH_PX, _MOST_HEIGHT_PX, _GAP_PX = 640, 260, 4
_MOST_MODALITIES = 3
_WINDOW = (1, 99.5)  # percentiles that are black and white


def colours_of(labels: int) -> list[str]:
    """A colour for each of so many labels, again from the first where there are more."""
    return [COLOURS[n % len(COLOURS)] for n in range(labels)]


def draw_slices(images: npt.NDArray[np.float32], labels: LabelArray, grid: Grid, values: Sequence[int]) -> bytes:
    """Axial, coronal and sagittal slice through the middle of the labels, a row a modality.

    Right of the person is left in the picture, as radiologists have it, up is up, and the nose is to the left.

    Args:
        images: (modality, x, y, z).
        labels: (x, y, z).
        grid: Their grid.
        values: The declared labels, background first: a colour each.

    Returns:
        WebP.
    """
    turn = nib.orientations.io_orientation(np.asarray(grid.affine))
    labels = nib.orientations.apply_orientation(labels, turn)
    spacing_mm = np.empty(3)
    spacing_mm[turn[:, 0].astype(int)] = grid.spacing_mm
    middle = _middle(labels)
    size_mm = np.asarray(labels.shape) * spacing_mm
    scale = min(
        (_WIDTH_PX - 2 * _GAP_PX) / sum(size_mm[across] for across, _, _ in _PLANES),
        _MOST_HEIGHT_PX / max(size_mm[up] for _, up, _ in _PLANES),
    )
    rows = []
    for image in images[:_MOST_MODALITIES]:
        shown = _grey(nib.orientations.apply_orientation(image, turn))
        rows.append(_row(shown, np.searchsorted(values, labels), middle, size_mm * scale))
    drawn = Image.fromarray(np.concatenate([np.pad(row, ((0, _GAP_PX), (0, 0), (0, 0))) for row in rows]))
    content = io.BytesIO()
    drawn.save(content, "webp", quality=80)
    return content.getvalue()


def _middle(labels: LabelArray) -> tuple[int, ...]:
    labelled = np.argwhere(labels > 0)
    return tuple(int(v) for v in (np.median(labelled, axis=0) if labelled.size else np.asarray(labels.shape) // 2))


def _grey(image: npt.NDArray[np.float32]) -> npt.NDArray[np.uint8]:
    inside = image[image != 0]
    low, high = np.percentile(inside if inside.size else image, _WINDOW)
    low = min(low, float(image.min())) if (image == 0).mean() > 0.1 else low
    grey: npt.NDArray[np.uint8] = (255 * np.clip((image - low) / max(high - low, 1e-12), 0, 1)).astype(np.uint8)
    return grey


def _row(
    grey: npt.NDArray[np.uint8],
    classes: npt.NDArray[np.intp],
    middle: tuple[int, ...],
    size_px: npt.NDArray[np.float64],
) -> npt.NDArray[np.uint8]:
    panels = []
    for across, up, through in _PLANES:
        size = (max(1, round(size_px[across])), max(1, round(size_px[up])))
        slices = [np.take(volume, middle[through], axis=through).T[::-1] for volume in (grey, classes.astype(np.uint8))]
        # x runs to the person's right side on the left of the picture; y, the nose, to the left as well
        image, labels = (np.ascontiguousarray(one[:, ::-1]) for one in slices)
        panels.append(_panel(image, labels, size))
    height = max(panel.shape[0] for panel in panels)
    parts = []
    for panel in panels:
        lacking = height - panel.shape[0]
        parts.append(np.pad(panel, ((lacking // 2, lacking - lacking // 2), (0, _GAP_PX), (0, 0))))
    return np.concatenate(parts, axis=1)


def _panel(grey: npt.NDArray[np.uint8], classes: npt.NDArray[np.uint8], size: tuple[int, int]) -> npt.NDArray[np.uint8]:
    """A slice in colours (y, x, 3), with the borders between labels drawn over it."""
    image = np.asarray(Image.fromarray(grey).resize(size, Image.Resampling.BILINEAR))
    labels = np.asarray(Image.fromarray(classes).resize(size, Image.Resampling.NEAREST))
    shown = np.stack([image] * 3, axis=2).copy()
    inner = np.pad(labels, 1, mode="edge")
    neighbours = (inner[:-2, 1:-1], inner[2:, 1:-1], inner[1:-1, :-2], inner[1:-1, 2:])
    edge = np.any([labels != other for other in neighbours], axis=0)
    edge[1:, 1:] |= edge[:-1, :-1]  # two pixels wide: the page shows pictures at about half their size
    edge &= labels > 0
    palette = np.array([ImageColor.getrgb(colour) for colour in COLOURS], np.uint8)
    shown[edge] = palette[(labels[edge] - 1) % len(palette)]
    return shown
