"""Fair benchmarks of multi-atlas label fusion and deep segmentation methods.

The names below are public: they stay, or are deprecated for a release before they go. All else may change.
"""

from typing import TYPE_CHECKING, Any

from dlfbench.deprecations import NAMES

if TYPE_CHECKING:
    from dlfbench.api import Run, run, segment
    from dlfbench.datasets.cases import Case, Dataset, LabelSet
    from dlfbench.errors import InputError
    from dlfbench.fusion.posterior import Posterior
    from dlfbench.images import UNKNOWN, Grid
    from dlfbench.metrics.definitions import Metric
    from dlfbench.metrics.masks import MaskPair
    from dlfbench.records.posteriors import read_posterior
    from dlfbench.registration.interface import WarpedAtlas
    from dlfbench.segmenters.contract.suite import Verdict, check_plugin
    from dlfbench.segmenters.interface import Context, FusionMethod, Segmenter, Training, TrainingCase
    from dlfbench.study.tables import Study
    from dlfbench.use.quality import Quality
    from dlfbench.use.segmented import Segmented
    from dlfbench.volumes import Atlas, AtlasSet, Segmentation, Target

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
    "Quality",
    "Run",
    "Segmentation",
    "Segmented",
    "Segmenter",
    "Study",
    "Target",
    "Training",
    "TrainingCase",
    "Verdict",
    "WarpedAtlas",
    "check_plugin",
    "read_posterior",
    "run",
    "segment",
]

# imported when first asked for: a command line that answers at once, and a worker's processes, need few of them
_HOMES = {
    "dlfbench.api": ("Run", "run", "segment"),
    "dlfbench.datasets.cases": ("Case", "Dataset", "LabelSet"),
    "dlfbench.errors": ("InputError",),
    "dlfbench.fusion.posterior": ("Posterior",),
    "dlfbench.images": ("UNKNOWN", "Grid"),
    "dlfbench.metrics.definitions": ("Metric",),
    "dlfbench.metrics.masks": ("MaskPair",),
    "dlfbench.records.posteriors": ("read_posterior",),
    "dlfbench.registration.interface": ("WarpedAtlas",),
    "dlfbench.segmenters.contract.suite": ("Verdict", "check_plugin"),
    "dlfbench.segmenters.interface": ("Context", "FusionMethod", "Segmenter", "Training", "TrainingCase"),
    "dlfbench.study.tables": ("Study",),
    "dlfbench.use.quality": ("Quality",),
    "dlfbench.use.segmented": ("Segmented",),
    "dlfbench.volumes": ("Atlas", "AtlasSet", "Segmentation", "Target"),
}
_HOME_OF = {name: module for module, names in _HOMES.items() for name in names}


def __getattr__(name: str) -> Any:
    if name in NAMES:
        NAMES[name].warn()
        return __getattr__(NAMES[name].instead.removeprefix("dlfbench."))
    if name not in _HOME_OF:
        raise AttributeError(f"module 'dlfbench' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_HOME_OF[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
