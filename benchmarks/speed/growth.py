"""How JLF's time grows with atlases, patch radius, search radius and region: a table and a figure in reports/speed/.

Run as `python -m benchmarks.speed.growth [--data FOLDER]` in the checkout; takes the flags of `benchmarks.speed`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from benchmarks.speed.__main__ import parse, study_of
from benchmarks.speed.fusion import Problem, jlf, jlf_in_mask, problems
from benchmarks.speed.measure import Work, machine, take_turns
from dlfbench_baselines.jlf import JointLabelFusion


@dataclass(frozen=True)
class Axis:
    """One thing that time grows with.

    Attributes:
        name: Of the axis of the figure.
        values: At which to measure.
        at: Makes the work for a value; it gets a problem.
    """

    name: str
    values: tuple[int, ...]
    at: Callable[[int], Work]


def axes(threads: int) -> tuple[Axis, ...]:
    """What to measure. All else is at its default: 20 atlases, patch radius 2, search radius 3."""

    def patch(radius: int) -> Work:
        return lambda p: jlf(p, threads=threads, method=JointLabelFusion(patch_radius=radius))

    def search(radius: int) -> Work:
        return lambda p: jlf(p, threads=threads, method=JointLabelFusion(search_radius=radius))

    return (
        Axis("atlases", (5, 10, 20, 40), lambda n: lambda p: jlf(p.with_atlases(n), threads=threads)),
        Axis("patch radius, voxels", (1, 2, 3), patch),
        Axis("search radius, voxels", (1, 2, 3), search),
        Axis("side of a cube to solve, voxels", (8, 16, 24, 32), lambda n: lambda p: _cube(p, n, threads)),
    )


def _cube(problem: Problem, side: int, threads: int) -> None:
    shape = problem.target.grid.shape
    mask = np.zeros(shape, np.bool_)
    mask[tuple(slice(max(0, (n - side) // 2), (n + side) // 2) for n in shape)] = True
    jlf_in_mask(problem, threads=threads, mask=mask)


def main() -> None:
    """Measures, and writes growth.csv, growth.svg and growth.png."""
    options = parse()
    chosen, rows = problems(study_of(options), options.targets), []
    for axis in axes(options.threads):
        spent = take_turns(chosen, {str(value): axis.at(value) for value in axis.values})
        rows += [(axis.name, int(value), found.wall_s, found.cpu_s) for value, found in spent.items()]
    table = pd.DataFrame(rows, columns=["axis", "value", "wall_s", "cpu_s"])
    options.out.mkdir(parents=True, exist_ok=True)
    table.to_csv(options.out / "growth.csv", index=False)
    _draw(table, options.out, f"medians over {len(chosen)} targets, {options.threads} threads, {machine()['machine']}")
    print(table.to_string(index=False))


def _draw(table: pd.DataFrame, folder: Path, title: str) -> None:
    figure = Figure(figsize=(10, 2.8), layout="constrained")
    names = list(dict.fromkeys(table["axis"]))
    for place, name in zip(figure.subplots(1, len(names)), names, strict=True):
        part = table[table["axis"] == name]
        place.plot(part["value"], part["cpu_s"], "o-", label="processor")
        place.plot(part["value"], part["wall_s"], "s--", label="wall")
        place.set(xlabel=name, xticks=part["value"], ylim=(0, None))
    figure.axes[0].set_ylabel("JLF, s a target")
    figure.axes[0].legend(frameon=False)
    figure.suptitle(title, fontsize="small")
    for ending in ("svg", "png"):
        figure.savefig(folder / f"growth.{ending}", dpi=80)


if __name__ == "__main__":
    main()
