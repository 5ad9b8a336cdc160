"""What other tools do, in words: one row each, with the value that was seen. Values are measured, words are written."""

from dataclasses import dataclass

Value = float | str


@dataclass(frozen=True)
class Behaviour:
    """One row of the table.

    Attributes:
        tool: As in `measure.PACKAGES`.
        scene: As in `scenes`.
        metric: As that tool's metrics are named in `measure`.
        seen: The value when the words were written; where it is another now, the words are to be read again.
        words: What the tool does.
        ours: What dlfbench does, and why.
    """

    tool: str
    scene: str
    metric: str
    seen: Value
    words: str
    ours: str


_EXCLUDED = "undefined: left out of means, and counted; there was nothing to find and nothing was invented"
_WORST = "the worst value (Dice 0, the image's diagonal in mm), so that a missed label cannot improve a mean"
_LARGER = "the larger of the two directed percentiles: errors on one side are not thinned by the other"
_VOXELS = "counts surface voxels, not areas, and says so; `--as` gives the other number"
_MM = "always in mm, with the spacing of the image"
_SURFACE = "surface voxels have a face neighbour outside of the mask or of the image"

BEHAVIOURS = (
    Behaviour(
        "medpy",
        "both empty",
        "dice",
        "NaN",
        "Two empty masks have no Dice with NumPy 2.3; with a NumPy that counts in Python's integers it is 1.",
        _EXCLUDED,
    ),
    Behaviour("monai", "both empty", "dice", "NaN", "Two empty masks have no Dice, and fall out of a mean.", _EXCLUDED),
    Behaviour("nnunet", "both empty", "dice", "NaN", "The same in nnU-Net's evaluation.", _EXCLUDED),
    Behaviour(
        "SimpleITK",
        "both empty",
        "dice",
        "inf",
        "Two empty masks have an infinite Dice: one makes a mean infinite.",
        _EXCLUDED,
    ),
    Behaviour(
        "SimpleITK",
        "both empty",
        "jaccard",
        1.7976931348623157e308,
        "And their Jaccard is the largest number there is, which passes every test for finite values.",
        _EXCLUDED,
    ),
    Behaviour(
        "surface-distance",
        "both empty",
        "dice",
        "raises AttributeError",
        "Under NumPy 2 two empty masks raise.",
        _EXCLUDED,
    ),
    Behaviour(
        "seg-metrics", "both empty", "hd95_mm", 0.0, "Two empty masks are 0 mm apart: a perfect result.", _EXCLUDED
    ),
    Behaviour(
        "seg-metrics", "missed", "hd95_mm", 0.0, "A label that was missed entirely is 0 mm away, too: perfect.", _WORST
    ),
    Behaviour("seg-metrics", "invented", "hd95_mm", 0.0, "So is one that was invented.", _WORST),
    Behaviour(
        "medpy",
        "missed",
        "hd95_mm",
        "raises RuntimeError",
        "A missed label raises: scripts that go on drop it.",
        _WORST,
    ),
    Behaviour(
        "monai",
        "missed",
        "hd95_mm",
        "NaN",
        "The 95th percentile of infinite distances is NaN, and NaN falls out of a mean: the miss costs nothing.",
        _WORST,
    ),
    Behaviour("monai", "missed", "hd_mm", "inf", "The maximum of the same distances is infinite.", _WORST),
    Behaviour(
        "monai",
        "invented",
        "dice",
        "NaN",
        "An invented label has no Dice by default (`ignore_empty`): false alarms cost nothing.",
        _WORST,
    ),
    Behaviour(
        "nnunet", "invented", "dice", 0.0, "nnU-Net's Dice of the same is 0: its means and MONAI's differ.", _WORST
    ),
    Behaviour(
        "surface-distance",
        "missed",
        "surface_dice",
        "raises AttributeError",
        "Under NumPy 2 a missed label raises, with every metric but Dice.",
        _WORST,
    ),
    Behaviour(
        "panoptica",
        "missed",
        "hd95_mm",
        "raises NotImplementedError",
        "HD95 of a missed label raises with the default rules for empty cases, and so ends the whole evaluation.",
        _WORST,
    ),
    Behaviour(
        "panoptica",
        "single voxels",
        "assd_mm",
        "inf",
        "Where no instance was matched the whole-mask ASSD is infinite, although both masks hold a voxel, 3 mm apart.",
        "the distance, 3 mm",
    ),
    Behaviour("medpy", "outlier", "hd95_mm", 9.2736, "HD95 is the percentile of both directions pooled.", _LARGER),
    Behaviour("seg-metrics", "outlier", "hd95_mm", 9.2736, "Pooled, too.", _LARGER),
    Behaviour("monai", "outlier", "hd95_mm", 10.4881, "The larger of two directions, as here.", _LARGER),
    Behaviour(
        "surface-distance",
        "outlier",
        "hd95_mm",
        10.0499,
        "The larger of two directions, of surface elements weighted by their area, and without interpolation.",
        _LARGER,
    ),
    Behaviour(
        "panoptica",
        "outlier",
        "instance_hd95_mm",
        0.0,
        "By instance, what matches nothing has no distance: HD95 is 0 although 27 voxels were invented far away.",
        "of the whole label: what was invented counts",
    ),
    Behaviour(
        "SimpleITK",
        "hole",
        "hd_mm",
        1.0,
        "Hausdorff distances are between voxels of the masks, not of their surfaces: the hole is 1 mm from the mask.",
        _SURFACE,
    ),
    Behaviour(
        "medpy",
        "hole",
        "hd_mm",
        2.0,
        "Between surface voxels: those around the hole are 2 mm from the outer ones.",
        _SURFACE,
    ),
    Behaviour(
        "surface-distance", "hole", "hd_mm", 3.0, "Between corners of voxels, where the surface is: 3 mm.", _SURFACE
    ),
    Behaviour(
        "SimpleITK",
        "grown",
        "average_hd_mm",
        1.4177,
        "The average Hausdorff distance is over all voxels, most of which are inside the other mask, and so 0 mm away.",
        "ASSD is over surface voxels",
    ),
    Behaviour(
        "surface-distance",
        "single voxels",
        "assd_mm",
        2.5,
        "Two voxels 3 mm apart are 2.5 mm apart on average.",
        "3 mm",
    ),
    Behaviour(
        "panoptica",
        "thick slices",
        "hd95_mm",
        1.0,
        "Whole-mask (`global`) distances are in voxels, although the spacing was given: one slice of 4 mm counts as 1.",
        _MM,
    ),
    Behaviour("panoptica", "thick slices", "instance_hd95_mm", 4.0, "By instance the same call gives mm.", _MM),
    Behaviour(
        "panoptica",
        "at the edge",
        "surface_dice",
        0.8414,
        "Whole-mask surface Dice has a tolerance of half a voxel, whatever the spacing.",
        "the tolerance is in the study, 1 mm by default",
    ),
    Behaviour(
        "monai",
        "thick slices",
        "surface_dice_by_area",
        0.7907,
        "With `use_subvoxels` surfaces are weighted by area, as surface-distance does: large flat faces count more.",
        _VOXELS,
    ),
    Behaviour("monai", "thick slices", "surface_dice", 0.6027, "Without it (the default) voxels are counted.", _VOXELS),
    Behaviour("surface-distance", "thick slices", "surface_dice", 0.7907, "By area, of the same masks.", _VOXELS),
    Behaviour(
        "seg-metrics",
        "at the edge",
        "hd_mm",
        3.0,
        "The face of a mask at the image's edge is no surface, so what lies there is measured to another side.",
        _SURFACE,
    ),
    Behaviour("medpy", "at the edge", "hd_mm", 1.0, "The image's edge is a surface.", _SURFACE),
    Behaviour(
        "surface-distance",
        "rounding",
        "surface_dice",
        0.7847,
        "A distance that equals the tolerance is beyond it where it is rounded up: 3 x 0.1 mm against 0.3 mm.",
        "a hair of slack: what equals the tolerance is within it",
    ),
    Behaviour(
        "monai",
        "rounding",
        "surface_dice",
        1.0,
        "Distances are rounded to 32 bits: here that counts as within.",
        "within",
    ),
)
