"""What is measured of each case: grid, volumes, intensities, and what stands out."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

import nibabel as nib
import numpy as np
import numpy.typing as npt

from dlfbench.datasets.cases import Case, Dataset, LabelSet
from dlfbench.datasets.look.slices import draw_slices
from dlfbench.images import LabelArray

PERCENTILES = (1, 25, 50, 75, 99)
MAX_Z = 3.5  # of a modified z-score: Iglewicz and Hoaglin 1993
_FEWEST = 5  # cases, to tell what is usual
_READERS = 4  # at a time


@dataclass(frozen=True)
class CaseFacts:
    """What a case looks like.

    Attributes:
        case: The case.
        shape: Voxels along the axes of the file.
        spacing_mm: Voxel size along them.
        orientation: Where they lead, such as RAS or LPI.
        volumes_mm3: Of every foreground label, in order; NaN of those that nobody drew in the case.
        intensities: Percentiles 1, 25, 50, 75, 99 of each modality, over the voxels that are not 0.
        slices: A picture of the middle slices with the labels' contours, WebP.
        marks: What stands out; empty where nothing does.
    """

    case: Case
    shape: tuple[int, ...]
    spacing_mm: tuple[float, ...]
    orientation: str
    volumes_mm3: tuple[float, ...]
    intensities: tuple[tuple[float, ...], ...]
    slices: bytes
    marks: tuple[str, ...] = ()

    @property
    def group(self) -> str:
        return self.case.columns.get("group", "")


def measure(dataset: Dataset, progress: Callable[[int, int], None] | None = None) -> tuple[CaseFacts, ...]:
    """Reads every case, and marks what stands out.

    Raises:
        InputError: An image or label map cannot be read.
    """
    measured = []
    with ThreadPoolExecutor(_READERS) as pool:
        for done, facts in enumerate(pool.map(lambda case: _measure_case(case, dataset.labels), dataset.cases), 1):
            measured.append(facts)
            if progress:
                progress(done, len(dataset.cases))
    marks = [
        own + of_volumes + of_grid
        for own, of_volumes, of_grid in zip(
            (facts.marks for facts in measured),
            _volume_marks(measured, dataset.labels),
            _grid_marks(measured),
            strict=True,
        )
    ]
    return tuple(replace(facts, marks=mark) for facts, mark in zip(measured, marks, strict=True))


def outliers(values: npt.NDArray[np.float64]) -> npt.NDArray[np.bool_]:
    """Which of these positive values are far from the others, by the modified z-score of their logarithms.

    Zeros are left out of what is usual, and are none of the outliers: a label that is absent is marked as such.
    """
    logs = np.log(np.where(values > 0, values, np.nan))
    if np.isfinite(logs).sum() < _FEWEST:
        return np.zeros(len(values), bool)
    away = np.abs(logs - np.nanmedian(logs))
    usual = np.nanmedian(away)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.nan_to_num(0.6745 * away / usual if usual > 0 else away * 0) > MAX_Z


def _measure_case(case: Case, labels: LabelSet) -> CaseFacts:
    target = case.read_target()
    reference, grid = case.read_reference()
    file = nib.load(case.images[0])  # type: ignore[attr-defined]
    affine, shape = file.affine, file.shape  # type: ignore[attr-defined]
    spacing_mm = tuple(float(s) for s in np.linalg.norm(affine[:3, :3], axis=0))
    volume_mm3 = float(np.prod(grid.spacing_mm))
    counts = [np.nan if v in case.undrawn else float((reference == v).sum()) for v, _ in labels.foreground]
    return CaseFacts(
        case,
        tuple(shape[:3]),
        spacing_mm,
        "".join(nib.orientations.aff2axcodes(affine)),
        tuple(n * volume_mm3 for n in counts),
        tuple(_percentiles(image) for image in target.images),
        draw_slices(target.images, reference, grid, labels.values),
        _own_marks(reference, counts, labels),
    )


def _percentiles(image: npt.NDArray[np.float32]) -> tuple[float, ...]:
    inside = image[image != 0]
    return tuple(float(v) for v in np.percentile(inside if inside.size else image, PERCENTILES))


def _own_marks(reference: LabelArray, counts: Sequence[float], labels: LabelSet) -> tuple[str, ...]:
    absent = [name for (_, name), n in zip(labels.foreground, counts, strict=True) if n == 0]
    marks = [f"no voxel of {', '.join(absent[:4])}{', ...' if len(absent) > 4 else ''}"] if absent else []
    edges = [reference.take(place, axis=axis).any() for axis in range(3) for place in (0, -1)]
    return (*marks, "labels reach the edge of the image") if any(edges) else tuple(marks)


def _volume_marks(found: Sequence[CaseFacts], labels: LabelSet) -> list[tuple[str, ...]]:
    marks: list[list[str]] = [[] for _ in found]
    for place, (_, name) in enumerate(labels.foreground):
        volumes_mm3 = np.array([facts.volumes_mm3[place] for facts in found])
        for at in np.flatnonzero(outliers(volumes_mm3)):
            marks[at].append(f"{name} {volumes_mm3[at]:.4g} mm\u00b3, median {np.nanmedian(volumes_mm3):.4g}")
    return [tuple(mark) for mark in marks]


def _grid_marks(found: Sequence[CaseFacts]) -> list[tuple[str, ...]]:
    """What differs from the voxel size and the orientation that most cases have."""
    grids: Mapping[tuple[str, str], int] = Counter((spacing_text(f.spacing_mm), f.orientation) for f in found)
    spacing, orientation = max(grids, key=lambda grid: grids[grid])
    marks = []
    for facts in found:
        own = spacing_text(facts.spacing_mm)
        odd = [f"voxels of {own} mm, most have {spacing}"] if own != spacing else []
        odd += [f"orientation {facts.orientation}, most have {orientation}"] if facts.orientation != orientation else []
        marks.append(tuple(odd))
    return marks


def spacing_text(spacing_mm: Sequence[float]) -> str:
    """`1x1x1`, to a hundredth of a millimetre."""
    return "x".join(f"{round(s, 2):g}" for s in spacing_mm)
