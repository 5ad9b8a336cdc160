"""Draws what deep label fusion does with one target of a run.

Run as `python -m benchmarks.dlf_picture RUN CASE OUT.png [--method dlf] [--cache DIR] [--label 1]` in the checkout.
"""

import argparse
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np

from dlfbench.datasets.known import open_dataset
from dlfbench.dlf.explain import Explanation, explain
from dlfbench.engine.plan import Plan, make_plan
from dlfbench.engine.tasks.methods import SegmentationTask
from dlfbench.engine.tasks.registration import load_atlases
from dlfbench.engine.tasks.task import Place
from dlfbench.records.folder import RunFolder
from dlfbench.registration.store import default_cache_folder
from dlfbench.segmenters.interface import Context
from dlfbench.study.tables import read_run_study
from dlfbench.volumes import AtlasSet, Target

ATLASES = 3
BOX = {"boxstyle": "round,pad=0.5", "facecolor": "#e8eef7", "edgecolor": "#33557f"}
ARROW = {"arrowstyle": "->", "color": "#33557f"}
STEPS = (
    "target, one atlas,\ncoordinates",
    "factor of each vote:\nvoting U-Net",
    "factor x vote,\nsum over atlases",
    "trees hear vote,\nimage and what\nU-Nets say of it",
    "label mask",
    "posterior",
)


def main() -> None:
    """Draws the picture."""
    options = parse()
    plan, task = find_task(options.run, options.method, options.case)
    place = Place(options.run, options.cache or default_cache_folder())
    target, atlases = task.target.read_target(), load_atlases(task.atlases, place, task.labels)
    assert task.fit_key is not None
    context = Context(place.folder.model_folder(task.fit_key), threads=2)
    found = explain(task.method.segmenter, target, atlases, context)  # type: ignore[arg-type]
    reference = plan.dataset.case(options.case).read_reference()[0]
    draw(target, atlases, found, reference, options.label, options.out)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("case")
    parser.add_argument("out", type=Path)
    parser.add_argument("--method", default="dlf")
    parser.add_argument("--cache", type=Path)
    parser.add_argument("--label", type=int, default=1, help="index of the label, background 0")
    return parser.parse_args()


def find_task(run: Path, method: str, case: str) -> tuple[Plan, SegmentationTask]:
    """The task of a run that segmented a case with a method."""
    study = read_run_study(RunFolder(run).study_file)
    plan = make_plan(study, open_dataset(study.data.dataset))
    for task in plan.tasks.values():
        if isinstance(task, SegmentationTask) and task.method.name == method and task.target.name == case:
            return plan, task
    raise SystemExit(f"{run}: no segmentation of {case} by {method}")


def draw(target: Target, atlases: AtlasSet, found: Explanation, reference: Any, label: int, out: Path) -> None:
    """The network's steps above, the maps of one slice below."""
    figure = plt.figure(figsize=(12, 5.2), layout="constrained")
    above, below = figure.subfigures(2, 1, squeeze=False, height_ratios=[1, 2.4])[:, 0]
    _draw_steps(above.subplots())
    mask = reference == atlases.label_values[label]
    at = int(mask.sum(axis=(0, 1)).argmax())
    panels = _panels(target, atlases, found, label)
    for axes, (title, volume, high) in zip(below.subplots(2, len(panels) // 2).ravel(), panels, strict=True):
        axes.imshow(volume[:, :, at].T, origin="lower", cmap="gray", vmin=0 if high else None, vmax=high)
        axes.contour(mask[:, :, at].T, [0.5], colors="#e69f00", linewidths=1)
        axes.set_title(title, fontsize=9)
        axes.axis("off")
    figure.savefig(out, dpi=110)


def _panels(target: Target, atlases: AtlasSet, found: Explanation, label: int) -> list[tuple[str, Any, float | None]]:
    spread = np.argsort(found.weights[:, label].mean(axis=(1, 2, 3)))[:: -max(1, len(atlases) // ATLASES)][:ATLASES]
    rows: list[tuple[str, Any, float | None]] = [("target, reference in orange", target.images[0], None)]
    rows += [(f"atlas {atlases.names[i]}", atlases.images[i, 0], None) for i in spread]
    rows += [("initial consensus", found.consensus[label], 1.0)]
    rows += [("votes, all alike", (atlases.labels == atlases.label_values[label]).mean(axis=0), 1.0)]
    rows += [(f"its factor, {atlases.names[i]}", found.weights[i, label], 2.0) for i in spread]
    return [*rows, ("posterior", found.posterior[label], 1.0)]


def _draw_steps(axes: Any) -> None:
    axes.set_xlim(-0.5, len(STEPS) - 0.5)
    axes.set_ylim(-1, 1)
    axes.axis("off")
    for place, text in enumerate(STEPS):
        axes.text(place, 0, text, ha="center", va="center", fontsize=10, bbox=BOX)
        if place:
            axes.annotate("", (place - 0.4, 0), (place - 0.6, 0), arrowprops=ARROW)
    axes.annotate("", (3, 0.42), (3, 0.8), arrowprops=ARROW)
    axes.text(3, 0.85, "target, coordinates", ha="center", fontsize=9)


if __name__ == "__main__":
    main()
