"""The metrics of other tools, computed by those tools, so that numbers can be matched with those of a paper.

Nothing of dlfbench is imported here: `benchmarks/other_tools` runs this file where only one of the tools is installed.
"""

import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

import numpy as np
import numpy.typing as npt

Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Masks:
    """Two masks on one grid, as other tools take them.

    Attributes:
        prediction: Mask (x, y, z).
        reference: Mask (x, y, z).
        spacing_mm: Distance between voxel centres along (x, y, z), mm.
        tolerance_mm: For surface Dice.
    """

    prediction: Mask
    reference: Mask
    spacing_mm: tuple[float, float, float]
    tolerance_mm: float


@dataclass(frozen=True)
class OtherTool:
    """A tool whose numbers people publish.

    Attributes:
        name: As in `--as`, and the start of its columns.
        package: What to install.
        module: What is imported then.
        metrics: Each metric as that tool computes it; raises whatever the tool raises.
        definition: How its numbers differ from ours, in one paragraph.
    """

    name: str
    package: str
    module: str
    metrics: Mapping[str, Callable[[Masks], float]]
    definition: str

    @property
    def installed(self) -> bool:
        """Whether it can be imported."""
        return find_spec(self.module) is not None

    def column(self, metric: str) -> str:
        """The column of one of its metrics, such as `medpy_hd95_mm`."""
        return f"{self.name.replace('-', '_')}_{metric}"

    def measure(self, masks: Masks) -> tuple[dict[str, float], dict[str, str]]:
        """Every metric, and what the tool said instead of a value.

        Returns:
            Values by metric, NaN where the tool raised; and the error of each that raised.
        """
        values, errors = {}, {}
        for name, metric in self.metrics.items():
            try:
                with warnings.catch_warnings():  # theirs: of deprecated calls and empty masks
                    warnings.simplefilter("ignore")
                    values[name] = float(metric(masks))
            except Exception as error:
                values[name], errors[name] = float("nan"), f"{type(error).__name__}: {error}"
        return values, errors


def _medpy(name: str) -> Callable[[Masks], float]:
    def metric(masks: Masks) -> float:
        from medpy.metric import binary

        spacing = {} if name == "dc" else {"voxelspacing": masks.spacing_mm}
        return float(getattr(binary, name)(masks.prediction, masks.reference, **spacing))

    return metric


def _monai(name: str, **settings: Any) -> Callable[[Masks], float]:
    def metric(masks: Masks) -> float:
        import torch
        from monai import metrics

        pair = [torch.from_numpy(mask[None, None].astype(np.float32)) for mask in (masks.prediction, masks.reference)]
        more: dict[str, Any] = {} if name == "compute_dice" else {"spacing": masks.spacing_mm}
        if name == "compute_surface_dice":
            more["class_thresholds"] = [masks.tolerance_mm]
        return float(getattr(metrics, name)(*pair, include_background=True, **more, **settings))

    return metric


def _surface_distance(name: str, *arguments: float) -> Callable[[Masks], float]:
    def metric(masks: Masks) -> float:
        import surface_distance

        if name == "compute_dice_coefficient":
            return float(surface_distance.compute_dice_coefficient(masks.reference, masks.prediction))
        found = surface_distance.compute_surface_distances(masks.reference, masks.prediction, masks.spacing_mm)
        more = (masks.tolerance_mm,) if "tolerance" in name else arguments
        # the average is a pair, one for each direction
        return float(np.mean(getattr(surface_distance, name)(found, *more)))

    return metric


class _InMemory:
    """What nnU-Net reads label maps with; here they are read already."""

    def read_seg(self, mask: Mask) -> tuple[npt.NDArray[Any], dict[str, Any]]:
        return mask[None].astype(np.uint8), {}


def _nnunet(name: str) -> Callable[[Masks], float]:
    def metric(masks: Masks) -> float:
        from nnunetv2.evaluation.evaluate_predictions import compute_metrics

        found = compute_metrics(masks.reference, masks.prediction, _InMemory(), [1])  # type: ignore[arg-type]
        return float(found["metrics"][1][name])

    return metric


_TOOLS = (
    OtherTool(
        "medpy",
        "MedPy",
        "medpy",
        {"dice": _medpy("dc"), "hd_mm": _medpy("hd"), "hd95_mm": _medpy("hd95"), "assd_mm": _medpy("assd")},
        "MedPy takes the 95th percentile of the surface distances of both directions pooled, and raises where a mask "
        "is empty.",
    ),
    OtherTool(
        "monai",
        "monai",
        "monai",
        {
            "dice": _monai("compute_dice"),
            "hd_mm": _monai("compute_hausdorff_distance"),
            "hd95_mm": _monai("compute_hausdorff_distance", percentile=95),
            "assd_mm": _monai("compute_average_surface_distance", symmetric=True),
            "surface_dice": _monai("compute_surface_dice"),
            "surface_dice_by_area": _monai("compute_surface_dice", use_subvoxels=True),
        },
        "MONAI's HD95 is the larger of two directions, as ours; a label that is missed has none. Its Dice, distances "
        "and surface Dice are NaN where the reference or both masks are empty, and NaN falls out of its means.",
    ),
    OtherTool(
        "surface-distance",
        "surface-distance",
        "surface_distance",
        {
            "dice": _surface_distance("compute_dice_coefficient"),
            "hd_mm": _surface_distance("compute_robust_hausdorff", 100),
            "hd95_mm": _surface_distance("compute_robust_hausdorff", 95),
            "assd_mm": _surface_distance("compute_average_surface_distance"),
            "surface_dice": _surface_distance("compute_surface_dice_at_tolerance"),
        },
        "surface-distance weights by the area of the surface, whose points lie at the corners of voxels. Its average "
        "distance is one number for each direction; here, their mean.",
    ),
    OtherTool(
        "nnunet",
        "nnunetv2",
        "nnunetv2",
        {"dice": _nnunet("Dice")},
        "nnU-Net's evaluation has Dice and IoU only: NaN where both masks are empty.",
    ),
)
OTHER_TOOLS: Mapping[str, OtherTool] = {tool.name: tool for tool in _TOOLS}
