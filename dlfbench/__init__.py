"""Fair benchmarks of multi-atlas label fusion and deep segmentation methods.

The names below are public: they stay, or are deprecated for a release before they go. All else may change.
"""

from dlfbench.cases import Case, Dataset, LabelSet
from dlfbench.errors import InputError
from dlfbench.images import Grid
from dlfbench.segmenters.interface import Context, FusionMethod, Segmenter, Training, TrainingCase
from dlfbench.volumes import Atlas, AtlasSet, Segmentation, Target

__all__ = [
    "Atlas",
    "AtlasSet",
    "Case",
    "Context",
    "Dataset",
    "FusionMethod",
    "Grid",
    "InputError",
    "LabelSet",
    "Segmentation",
    "Segmenter",
    "Target",
    "Training",
    "TrainingCase",
]
