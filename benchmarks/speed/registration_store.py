"""Time of registrations by bare greedy in one process, by dlfbench's `Greedy`, and of the store of warped atlases.

Run as `python -m benchmarks.speed.registration_store [--data FOLDER] [--pairs 60]`.
"""

import argparse
import contextlib
import math
import os
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from benchmarks.speed.measure import Row, Spent
from dlfbench.datasets.cases import Case, Dataset
from dlfbench.datasets.known import open_dataset
from dlfbench.registration.greedy import Greedy, to_sitk
from dlfbench.registration.store import WarpStore
from dlfbench.volumes import Atlas, Target

Pair = tuple[Target, Atlas]


@dataclass(frozen=True)
class Timing:
    """Wall time of one kind of work.

    Attributes:
        what: The work.
        count: How many registrations or entries.
        wall_s: For all of them.
    """

    what: str
    count: int
    wall_s: float


def measure(dataset: Dataset, pairs: int = 60, atlases: int = 20) -> list[Timing]:
    """Times registrations and the store in this process, pair by pair so that all meet the same load of the machine.

    Args:
        dataset: Each of its first targets is paired with the atlases that follow.
        pairs: Number of registrations.
        atlases: Atlases of one target.
    """
    seconds: dict[str, float] = defaultdict(float)
    with tempfile.TemporaryDirectory() as folder:
        scratch, store = Path(folder) / "scratch", WarpStore(Path(folder))
        scratch.mkdir()
        for number, (target, atlas) in enumerate(islice(_pairs(dataset, atlases), pairs)):
            key = f"{number:032x}"
            with _timed("bare greedy", seconds):
                _bare(target, atlas, scratch)
            with _timed("Greedy.warp", seconds):
                warped = Greedy().warp(target, atlas, scratch=scratch, threads=1)
            with _timed("WarpStore.put", seconds):
                store.put(key, warped)
            with _timed("WarpStore.get", seconds):
                store.get(key)
        count = store.info().entries
    return [Timing(what, count, wall_s) for what, wall_s in seconds.items()]


def rows(dataset: Dataset, pairs: int) -> list[Row]:
    """Dlfbench's registration into the store, and reading from it, against bare greedy; each run once."""
    with _quiet():
        mean = {timing.what: Spent(timing.wall_s / timing.count, math.nan) for timing in measure(dataset, pairs)}
    stored = Spent(mean["Greedy.warp"].wall_s + mean["WarpStore.put"].wall_s, math.nan)
    bare, note = mean["bare greedy"], "means over pairs of images"
    return [
        Row("registration", "Greedy.warp, WarpStore.put", "bare greedy", stored, bare, pairs, note),
        Row("registration, the second time", "WarpStore.get", "bare greedy", mean["WarpStore.get"], bare, pairs, note),
    ]


@contextlib.contextmanager
def _timed(what: str, seconds: dict[str, float]) -> Iterator[None]:
    started = time.perf_counter()
    yield
    seconds[what] += time.perf_counter() - started


def _pairs(dataset: Dataset, atlases: int) -> Iterator[Pair]:
    cases = dataset.cases
    for i, target in enumerate(cases):
        image = target.read_target()
        for k in range(1, min(atlases, len(cases) - 1) + 1):
            yield image, _read_atlas(cases[(i + k) % len(cases)])


def _read_atlas(case: Case) -> Atlas:
    labels, grid = case.read_reference()
    return Atlas(case.name, case.read_target().images, labels, grid)


def _bare(target: Target, atlas: Atlas, scratch: Path) -> None:
    """The same three steps as anybody would write them, with no checks and no flags."""
    from picsl_greedy import Greedy3D

    own, greedy, common = Greedy(), Greedy3D(), "-V 0 -seed 1 -threads 1"
    images = {f"t{i}": to_sitk(voxels, target.grid) for i, voxels in enumerate(target.images)}
    images |= {f"a{i}": to_sitk(voxels, atlas.grid) for i, voxels in enumerate(atlas.images)}
    modalities = range(len(target.images))
    inputs = " ".join(f"-i t{i} a{i}" for i in modalities)
    affine = f"-a -dof 12 -n {own.affine_iterations} -m {own.affine_metric} -ia-image-centers {inputs} -o affine"
    greedy.execute(f"{common} {affine}", affine=None, **images)
    deformable = f"-n {own.iterations} -m {own.metric} -s {own.smoothing} {inputs} -it affine -o warp"
    greedy.execute(f"{common} {deformable}", warp=None)
    outputs = " ".join(f"-rm a{i} w{i}" for i in modalities)
    reslice = f"-rf t0 {outputs} -ri LABEL {own.label_smoothing} -rm labels {scratch}/labels.nii -r warp affine"
    warped = dict.fromkeys(f"w{i}" for i in modalities)
    greedy.execute(f"{common} {reslice}", labels=to_sitk(atlas.labels, atlas.grid), **warped)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Greedy prints from C++ whatever its verbosity."""
    stdout, nothing = os.dup(1), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nothing, 1)
    try:
        yield
    finally:
        os.dup2(stdout, 1)
        os.close(stdout)
        os.close(nothing)


def main() -> None:
    """Prints one line for each kind of work."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", default="phantom", help="name or folder of a dataset")
    parser.add_argument("--pairs", type=int, default=60, help="number of registrations")
    options = parser.parse_args()
    with _quiet():
        timings = measure(open_dataset(options.data), options.pairs)
    for timing in timings:
        print(
            f"{timing.what:14} {timing.count:3} in {timing.wall_s:8.2f} s, {timing.wall_s / timing.count:8.4f} s each"
        )


if __name__ == "__main__":
    main()
