"""What one tool says of every scene, as JSON on standard output.

Run as `python measure.py TOOL` by the Python in which TOOL is installed; dlfbench need not be there, except for itself.
"""

import contextlib
import io
import json
import logging
import os
import runpy
import sys
import warnings
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

from scenes import Scene, scenes  # noqa: E402

PACKAGES = {
    "dlfbench": "dlfbench",
    "medpy": "MedPy",
    "monai": "monai",
    "surface-distance": "surface-distance",
    "SimpleITK": "SimpleITK",
    "seg-metrics": "seg-metrics",
    "panoptica": "panoptica",
    "nnunet": "nnunetv2",
}


def main(tool: str) -> None:
    """Prints version, and per scene and metric the value or what the tool said instead."""
    warnings.simplefilter("ignore")
    logging.disable(logging.CRITICAL)
    os.environ.setdefault("PANOPTICA_CITATION_REMINDER", "false")
    with contextlib.redirect_stdout(io.StringIO()):  # tools that print
        found = {name: _measured(tool, scene) for name, scene in scenes().items()}
    print(json.dumps({"version": metadata.version(PACKAGES[tool]), "scenes": found}))


def _measured(tool: str, scene: Scene) -> dict[str, Any]:
    return {name: _value(metric, scene) for name, metric in _metrics(tool).items()}


def _value(metric: Callable[[Scene], float], scene: Scene) -> float | str:
    """A number, `NaN`, `inf`, or the error."""
    try:
        value = float(metric(scene))
    except Exception as error:
        return f"raises {type(error).__name__}"
    return round(value, 4) if np.isfinite(value) else str(value).replace("nan", "NaN")


def _metrics(tool: str) -> dict[str, Callable[[Any], float]]:
    own = {"SimpleITK": _simpleitk, "seg-metrics": _seg_metrics, "panoptica": _panoptica, "dlfbench": _dlfbench}
    if tool in own:
        return own[tool]()
    others = runpy.run_path(str(HERE.parents[1] / "dlfbench" / "metrics" / "others.py"))
    return dict(others["OTHER_TOOLS"][tool].metrics)


def _dlfbench() -> dict[str, Callable[[Scene], float]]:
    from dlfbench.metrics.definitions import OWN_METRICS
    from dlfbench.metrics.masks import pair_masks

    def of(metric: Any) -> Callable[[Scene], float]:
        return lambda s: metric.of(pair_masks(s.prediction, s.reference, s.spacing_mm, tolerance_mm=s.tolerance_mm))

    return {metric.name: of(metric) for metric in OWN_METRICS if metric.name != "volume_error"}


def _simpleitk() -> dict[str, Callable[[Scene], float]]:
    import SimpleITK as sitk

    def pair(scene: Scene) -> list[Any]:
        images = [sitk.GetImageFromArray(m.T.astype(np.uint8)) for m in (scene.reference, scene.prediction)]
        for image in images:
            image.SetSpacing([float(v) for v in scene.spacing_mm])
        return images

    def of(kind: str, value: str) -> Callable[[Scene], float]:
        def metric(scene: Scene) -> float:
            measured = getattr(sitk, kind)()
            measured.Execute(*pair(scene))
            return float(getattr(measured, value)())

        return metric

    overlap, distance = "LabelOverlapMeasuresImageFilter", "HausdorffDistanceImageFilter"
    return {
        "dice": of(overlap, "GetDiceCoefficient"),
        "jaccard": of(overlap, "GetJaccardCoefficient"),
        "hd_mm": of(distance, "GetHausdorffDistance"),
        "average_hd_mm": of(distance, "GetAverageHausdorffDistance"),
    }


def _seg_metrics() -> dict[str, Callable[[Scene], float]]:
    from seg_metrics.seg_metrics import write_metrics

    def of(name: str) -> Callable[[Scene], float]:
        def metric(scene: Scene) -> float:
            found = write_metrics(
                labels=[1],
                gdth_img=scene.reference.T.astype(np.uint8),
                pred_img=scene.prediction.T.astype(np.uint8),
                spacing=[float(v) for v in scene.spacing_mm[::-1]],
                metrics=[name],
            )
            return float((found[0] if isinstance(found, list) else found)[name][0])

        return metric

    return {"dice": of("dice"), "hd95_mm": of("hd95"), "assd_mm": of("msd"), "hd_mm": of("hd")}


def _panoptica() -> dict[str, Callable[[Scene], float]]:
    import panoptica as tool

    def of(name: str, wanted: Any) -> Callable[[Scene], float]:
        def metric(scene: Scene) -> float:
            evaluator = tool.Panoptica_Evaluator(
                expected_input=tool.InputType.SEMANTIC,
                instance_approximator=tool.ConnectedComponentsInstanceApproximator(),
                instance_matcher=tool.NaiveThresholdMatching(),
                global_metrics=[wanted],
                instance_metrics=[wanted],
            )
            masks = (scene.prediction.astype(np.uint8), scene.reference.astype(np.uint8))
            found = evaluator.evaluate(*masks, voxelspacing=tuple(map(float, scene.spacing_mm)), verbose=False)
            return float(getattr(found["ungrouped"], name))

        return metric

    return {
        "dice": of("global_bin_dsc", tool.Metric.DSC),
        "hd95_mm": of("global_bin_hd95", tool.Metric.HD95),
        "assd_mm": of("global_bin_assd", tool.Metric.ASSD),
        "surface_dice": of("global_bin_nsd", tool.Metric.NSD),
        "instance_hd95_mm": of("sq_hd95", tool.Metric.HD95),
        "instance_surface_dice": of("sq_nsd", tool.Metric.NSD),
    }


if __name__ == "__main__":
    main(sys.argv[1])
