"""A quick look at speed, for every change to show: a few seconds on made-up images, ours and a rival taking turns.

Run as `python -m benchmarks.speed.quick`. What counts is the ratio; nothing fails by it, since machines differ.
`python -m benchmarks.speed` measures on real images.
"""

from collections.abc import Iterable, Iterator

import numpy as np

from benchmarks.speed.fusion import Problem, voting_rows
from benchmarks.speed.measure import Row
from benchmarks.speed.metrics import metric_rows
from dlfbench.segmenters.contract.scene import Scene


def made_up(count: int = 3) -> list[Problem]:
    """Targets of 48 x 56 x 40 voxels with 8 atlases each."""
    scenes = [Scene(atlases=8, shape=(48, 56, 40 + 2 * number)) for number in range(count)]
    return [Problem(scene.target(), scene.atlas_set(), scene.reference()) for scene in scenes]


def rows(problems: list[Problem]) -> Iterator[Row]:
    """Every comparison that is quick."""
    yield from voting_rows(problems, 1)
    yield from metric_rows(problems)


def lines(table: Iterable[Row]) -> Iterator[str]:
    """One line a comparison: processor time, which others on the machine disturb little."""
    for row in table:
        ratio = row.theirs.cpu_s / row.mine.cpu_s if row.mine.cpu_s else np.nan
        yield f"{row.what}: {row.ours} {row.mine.cpu_s:.4f} s, {row.rival} {row.theirs.cpu_s:.4f} s of CPU: {ratio:.2f}"


if __name__ == "__main__":
    print("speed, times as fast as the rival:")
    for line in lines(rows(made_up())):
        print(line, flush=True)
