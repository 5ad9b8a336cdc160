"""The masks of labels in two maps: counts at once, surfaces and distances when a metric asks for them.

Each label is looked at in its own box, found once for all labels of a map: the work follows the labels' sizes, not the
number of labels times the image. The kernels are imported where they are used: planning needs none, and to load numba
takes half a second.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.spatial import KDTree

from dlfbench.fusion.votes import class_indices
from dlfbench.images import FloatArray, LabelArray

BoolArray = npt.NDArray[np.bool_]
Spacing = tuple[float, float, float]

_TABLE_SIZE = 2**20


@dataclass(frozen=True)
class Mask:
    """One label's voxels in one map, cut to the box around them.

    Attributes:
        voxels: (x, y, z) of the box.
        corner: Index of the box's first voxel in the image.
        image_shape: Of the image.
        spacing_mm: Distance between voxel centres along (x, y, z), mm.
        unknown: Voxels of the box of which nothing is known; the box then reaches a voxel further. None: all is known.
    """

    voxels: BoolArray
    corner: tuple[int, ...]
    image_shape: tuple[int, ...]
    spacing_mm: Spacing
    unknown: BoolArray | None = None

    @cached_property
    def count(self) -> int:
        """How many voxels."""
        return int(np.count_nonzero(self.voxels))

    @cached_property
    def edge(self) -> BoolArray:
        """Voxels (x, y, z) of the box with a face neighbour outside the mask or the image.

        A neighbour of which nothing is known does not count, unless the mask has no other border.
        """
        from dlfbench.metrics.surfaces import edge

        if self.unknown is not None:
            known_edge = edge(self.voxels, self.voxels | self.unknown)
            if known_edge.any():
                return known_edge
        return edge(self.voxels, self.voxels)

    @cached_property
    def surface(self) -> npt.NDArray[np.intp]:
        """Index in the image (voxel, axis) of the same."""
        from dlfbench.metrics.surfaces import places_of

        return np.asarray(places_of(self.edge) + np.asarray(self.corner))

    @cached_property
    def surface_tree(self) -> KDTree:
        """The same, to be searched, in mm."""
        return KDTree(self.surface * np.asarray(self.spacing_mm), leafsize=32)

    def distances_mm(self, other: "Mask") -> FloatArray:
        """Distance of each voxel of this surface to the nearest of another; none if either is empty."""
        from dlfbench.metrics.surfaces import near_distances_mm

        if not (self.count and other.count):
            return np.empty(0)
        distances = near_distances_mm(self.surface, other.edge, other.corner, self.spacing_mm)
        far = distances < 0
        if far.any():
            distances[far] = other.surface_tree.query(self.surface[far] * np.asarray(self.spacing_mm))[0]
        return distances


@dataclass(frozen=True)
class MaskPair:
    """What all metrics of one label are made from.

    Attributes:
        prediction: The label in the prediction.
        reference: The label in the reference.
        shared_vox: Voxels of both.
        tolerance_mm: For surface Dice.
    """

    prediction: Mask
    reference: Mask
    shared_vox: int
    tolerance_mm: float

    @property
    def prediction_vox(self) -> int:
        """Voxels of the prediction."""
        return self.prediction.count

    @property
    def reference_vox(self) -> int:
        """Voxels of the reference."""
        return self.reference.count

    @cached_property
    def arrays(self) -> tuple[BoolArray, BoolArray]:
        """Prediction and reference (x, y, z), both cut to the box around the two."""
        masks = (self.prediction, self.reference)
        ends = [np.add(mask.corner, mask.voxels.shape) for mask in masks if mask.count]
        first = np.min([mask.corner for mask in masks if mask.count], axis=0) if ends else np.zeros(3, int)
        shape = np.max(ends, axis=0) - first if ends else np.zeros(3, int)
        found = []
        for mask in masks:
            whole = np.zeros(shape, bool)
            if mask.count:
                start = np.subtract(mask.corner, first)
                whole[tuple(slice(s, s + n) for s, n in zip(start, mask.voxels.shape, strict=True))] = mask.voxels
            found.append(whole)
        return found[0], found[1]

    @property
    def spacing_mm(self) -> Spacing:
        """Distance between voxel centres along (x, y, z), mm."""
        return self.reference.spacing_mm

    @property
    def diagonal_mm(self) -> float:
        """Length of the image's diagonal."""
        return float(np.linalg.norm(np.multiply(self.reference.image_shape, self.reference.spacing_mm)))

    @cached_property
    def to_reference_mm(self) -> FloatArray:
        """Distance of each surface voxel of the prediction to the reference's surface; empty where a mask is empty."""
        return self.prediction.distances_mm(self.reference)

    @cached_property
    def to_prediction_mm(self) -> FloatArray:
        """The same from the reference's surface to the prediction's."""
        return self.reference.distances_mm(self.prediction)


@dataclass(frozen=True)
class LabelMasks:
    """The masks of all labels of one map, each made when it is first asked for and then kept.

    Attributes:
        classes: Index of each voxel's label among the declared ones, 0 for the background and what is not
            declared.
        ends: First and last voxel of each class along each axis (class, axis, 2), see `surfaces.indexed`.
        spacing_mm: Distance between voxel centres along (x, y, z), mm.
        unknown: Voxels (x, y, z) of which nothing is known; None where there are none.
    """

    classes: npt.NDArray[np.int16]
    ends: npt.NDArray[np.intp]
    spacing_mm: Spacing
    unknown: BoolArray | None = None

    @classmethod
    def of(
        cls,
        labels: LabelArray,
        label_values: tuple[int, ...],
        spacing_mm: Spacing,
        unknown: BoolArray | None = None,
    ) -> "LabelMasks":
        """Of a label map (x, y, z), and the voxels in it of which nothing is known."""
        from dlfbench.metrics.surfaces import indexed

        if label_values[-1] >= _TABLE_SIZE:  # a table would be larger than the image
            labels, label_values = class_indices(labels, label_values), tuple(range(len(label_values)))
        table = np.zeros(label_values[-1] + 1, np.int16)
        table[list(label_values)] = np.arange(len(label_values))
        return cls(*indexed(labels, table), spacing_mm, unknown)

    @cached_property
    def _masks(self) -> dict[tuple[int, ...], Mask]:
        return {}

    def mask(self, labels: Sequence[int]) -> Mask:
        """The mask of a label, or of several as one, given by their indices."""
        key = tuple(labels)
        if key not in self._masks:
            box = self._box(labels)
            unknown = None if self.unknown is None else self.unknown[box]
            corner = tuple(s.start for s in box)
            self._masks[key] = Mask(
                _of_labels(self.classes[box], labels), corner, self.classes.shape, self.spacing_mm, unknown
            )
        return self._masks[key]

    def _box(self, labels: Sequence[int]) -> tuple[slice, ...]:
        """The box around labels; a voxel wider where it matters what lies beside them."""
        shape, ends = self.classes.shape, self.ends[list(labels)]
        first, last = ends[..., 0].min(axis=0), ends[..., 1].max(axis=0)
        if last[0] < 0:
            return (slice(0, 0),) * len(shape)
        wider = 0 if self.unknown is None else 1
        return tuple(
            slice(max(int(a) - wider, 0), min(int(b) + 1 + wider, size))
            for a, b, size in zip(first, last, shape, strict=True)
        )

    def pair(self, prediction: "LabelMasks", labels: Sequence[int], *, tolerance_mm: float) -> MaskPair:
        """The masks of a label, or of several as one, in a prediction and in this map, the reference.

        Args:
            prediction: On the same grid.
            labels: Their indices.
            tolerance_mm: For surface Dice.
        """
        reference = self.mask(labels)
        found = _of_labels(prediction.classes[self._box(labels)], labels)
        shared = int(np.count_nonzero(found & reference.voxels))
        return MaskPair(prediction.mask(labels), reference, shared, tolerance_mm)


def _of_labels(classes: npt.NDArray[np.integer[Any]], labels: Sequence[int]) -> BoolArray:
    return np.asarray(classes == labels[0] if len(labels) == 1 else np.isin(classes, labels))


def pair_masks(
    prediction: BoolArray, reference: BoolArray, spacing_mm: Spacing, *, tolerance_mm: float = 1.0
) -> MaskPair:
    """Counts and surface distances of two masks.

    Args:
        prediction: Mask (x, y, z).
        reference: Mask (x, y, z).
        spacing_mm: Distance between voxel centres along (x, y, z), mm.
        tolerance_mm: For surface Dice.
    """
    found, true = (LabelMasks.of(mask.astype(np.int16), (0, 1), spacing_mm) for mask in (prediction, reference))
    return true.pair(found, (1,), tolerance_mm=tolerance_mm)
