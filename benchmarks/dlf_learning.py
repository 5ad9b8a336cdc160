"""Draws Dice over the time of training, from docs/images/dlf-learning.csv: `python -m benchmarks.dlf_learning`."""

from pathlib import Path

import pandas as pd

from dlfbench.report.shown.figure_style import BOUND_COLOUR, MARKERS, PALETTE, finish, new_axes

IMAGES = Path(__file__).resolve().parents[1] / "docs" / "images"
RIVALS = {"jlf": 0.859, "jlf_cl": 0.876}  # of the same cases: the table in docs/deep-label-fusion.md


def main() -> None:
    """Writes docs/images/dlf-learning.svg."""
    table = pd.read_csv(IMAGES / "dlf-learning.csv")
    axes = new_axes(7, 3.2)
    for place, (design, points) in enumerate(table.groupby("design", sort=False)):
        axes.plot(points["cpu_min"], points["dice"], color=PALETTE[place], marker=MARKERS[place], label=str(design))
    for name, dice in RIVALS.items():
        axes.axhline(dice, color=BOUND_COLOUR, linewidth=1, linestyle="--")
        axes.text(0.05, dice + 0.0005, name, color=BOUND_COLOUR, va="bottom")
    axes.set(xlabel="CPU minutes of training, one thread", ylabel="mean Dice, 16 cases", xlim=(0, None))
    axes.legend(frameon=False, loc="lower right")
    picture = finish(axes, name="dlf-learning", title="Learning curves", alt="Dice over CPU minutes of training.")
    (IMAGES / "dlf-learning.svg").write_bytes(picture.content)


if __name__ == "__main__":
    main()
