"""Fair benchmarks of multi-atlas label fusion and deep segmentation methods.

The names below are public: they stay, or are deprecated for a release before they go. All else may change.
"""

from typing import TYPE_CHECKING, Any

from dlfbench.datasets.cases import Case, Dataset, LabelSet
from dlfbench.deprecations import NAMES
from dlfbench.errors import InputError
from dlfbench.fusion.posterior import Posterior
from dlfbench.images import UNKNOWN, Grid
from dlfbench.segmenters.interface import Context, FusionMethod, Segmenter, Training, TrainingCase
from dlfbench.volumes import Atlas, AtlasSet, Segmentation, Target

if TYPE_CHECKING:
    from dlfbench.api import Run, run
    from dlfbench.metrics.definitions import Metric
    from dlfbench.metrics.masks import MaskPair
    from dlfbench.segmenters.contract.suite import Verdict, check_plugin
    from dlfbench.study.tables import Study

__all__ = [
    "UNKNOWN",
    "Atlas",
    "AtlasSet",
    "Case",
    "Context",
    "Dataset",
    "FusionMethod",
    "Grid",
    "InputError",
    "LabelSet",
    "MaskPair",
    "Metric",
    "Posterior",
    "Run",
    "Segmentation",
    "Segmenter",
    "Study",
    "Target",
    "Training",
    "TrainingCase",
    "Verdict",
    "check_plugin",
    "run",
]

# imported when first asked for: a worker's processes, which import methods, need none of them
_LATER = {
    "MaskPair": "dlfbench.metrics.masks",
    "Metric": "dlfbench.metrics.definitions",
    "Run": "dlfbench.api",
    "Study": "dlfbench.study.tables",
    "Verdict": "dlfbench.segmenters.contract.suite",
    "check_plugin": "dlfbench.segmenters.contract.suite",
    "run": "dlfbench.api",
}


def __getattr__(name: str) -> Any:
    if name in NAMES:
        NAMES[name].warn()
        return globals().get(new := NAMES[name].instead.removeprefix("dlfbench.")) or __getattr__(new)
    if name not in _LATER:
        raise AttributeError(f"module 'dlfbench' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_LATER[name]), name)
