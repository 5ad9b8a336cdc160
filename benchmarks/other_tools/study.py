"""How far apart definitions are on real segmentations: a run's label maps scored by every tool that has the metric.

Run as `python -m benchmarks.other_tools.study RUN` in the checkout, with MedPy, MONAI and surface-distance installed;
it draws docs/images/other-tools.svg and prints the table of docs/other-tools.md.
"""

import argparse
from pathlib import Path
from typing import Any

import matplotlib
import pandas as pd

from dlfbench.metrics.others import OTHER_TOOLS
from dlfbench.records.others import score_as

matplotlib.use("svg")
PICTURE = Path(__file__).resolve().parents[2] / "docs" / "images" / "other-tools.svg"
DEFINITIONS = {
    "hd95_mm": {
        "medpy_hd95_mm": "MedPy: both directions pooled",
        "monai_hd95_mm": "MONAI: larger of two directions",
        "surface_distance_hd95_mm": "surface-distance: by area",
    },
    "surface_dice": {
        "monai_surface_dice": "MONAI: voxels of the surface",
        "monai_surface_dice_by_area": "MONAI, use_subvoxels: by area",
        "surface_distance_surface_dice": "surface-distance: by area",
    },
}
TITLES = {"hd95_mm": "HD95, mm", "surface_dice": "surface Dice within 1 mm"}
KEYS = ["method", "fold", "test_set", "case", "label"]


def main() -> None:
    """Scores, draws, prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    run = parser.parse_args().run.resolve()
    scores = _scores(run)
    _draw(scores)
    print(f"{len(scores)} segmentations of one label, {scores['case'].nunique()} cases\n")
    print(
        "| metric | definition | mean | mean minus ours | least and most minus ours |\n| --- | --- | --- | --- | --- |"
    )
    for metric, columns in DEFINITIONS.items():
        print(f"| {TITLES[metric]} | dlfbench | {scores[metric].mean():.3f} | | |")
        for column, title in columns.items():
            apart = scores[column] - scores[metric]
            row = (TITLES[metric], title, f"{scores[column].mean():.3f}", f"{apart.mean():+.3f}")
            print(f"| {' | '.join(row)} | {apart.min():+.3f} to {apart.max():+.3f} |")


def _scores(run: Path) -> pd.DataFrame:
    """Our columns and those of all tools, a row per method, case and label."""
    tables = [score_as(run, OTHER_TOOLS[name]) for name in ("medpy", "monai", "surface-distance")]
    found = tables[0]
    for table, name in zip(tables[1:], ("monai", "surface_distance"), strict=True):
        theirs = [column for column in table if str(column).startswith(name)]
        found = found.merge(table[[*KEYS, *theirs]], on=KEYS, validate="one_to_one")
    return found


def _draw(scores: pd.DataFrame) -> None:
    import matplotlib.pyplot as plt

    plt.rcParams.update({"svg.hashsalt": "dlfbench", "svg.fonttype": "none", "font.size": 9})
    figure, panels = plt.subplots(1, 2, figsize=(9, 4), layout="constrained")
    for panel, (metric, columns) in zip(panels, DEFINITIONS.items(), strict=True):
        _panel(panel, scores, metric, columns)
    figure.savefig(PICTURE, metadata={"Date": None})


def _panel(panel: Any, scores: pd.DataFrame, metric: str, columns: dict[str, str]) -> None:
    """Other definitions against ours, a point per segmentation."""
    ends = scores[[metric, *columns]].agg(["min", "max"])
    least, most = ends.loc["min"].min(), ends.loc["max"].max()
    panel.plot([least, most], [least, most], color="0.7", linewidth=1, zorder=0)
    for (column, title), colour, marker in zip(columns.items(), ("#0072b2", "#e69f00", "#009e73"), "ox^", strict=True):
        panel.scatter(scores[metric], scores[column], s=14, color=colour, marker=marker, alpha=0.7, label=title)
    panel.set(xlabel=f"{TITLES[metric]}: dlfbench", ylabel="the same segmentation by other tools")
    panel.legend(frameon=False, loc="upper left")


if __name__ == "__main__":
    main()
