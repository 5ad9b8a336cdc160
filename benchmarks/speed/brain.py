"""A whole brain of many labels, made up: time and memory of fusion, bounds and scores; a table in reports/speed/.

Run as `python -m benchmarks.speed.brain [--labels 134] [--shape 181,217,181] [--atlases 15] [--only mv,scores]` in the
checkout. No registration is needed: candidates are the brain under deformations that are known. Each part runs in a
process of its own. Rows are added to the table, so that it can show growth with voxels, labels and atlases; the same
file runs on older versions (`--build before`), whose figures come beside.
"""

import argparse
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import ndimage
from scipy.spatial import KDTree

from benchmarks.speed.measure import machine, markdown_table, spent_alone
from dlfbench.datasets.cases import LabelSet
from dlfbench.images import Grid
from dlfbench.metrics.scores import score_labels
from dlfbench.segmenters.interface import Context, Training, TrainingCase
from dlfbench.segmenters.registry import make_method
from dlfbench.volumes import AtlasSet, Target
from dlfbench_baselines.jlf import JointLabelFusion
from dlfbench_baselines.mv import MajorityVoting
from dlfbench_baselines.staple import Staple
from dlfbench_baselines.svwv import SpatiallyVaryingWeightedVoting

_KNOT_VOX, _DISPLACEMENT_VOX = 16, 1.5
_NOISE = 0.05
_PART_VOX = 24
_PEOPLE = 3  # of a training
_SHORT: dict[str, Any] = {"preset": "cpu", "steps": 4}
_SHORT_VOTE: dict[str, Any] = {"voting_steps": 4, "rounds": 2}
_PROBLEM = ["voxels", "labels", "atlases", "threads", "part"]
_UNITS = {"cpu_s": "CPU s", "peak_mib": "MiB"}


def make_brain(shape: tuple[int, int, int], labels: int, atlases: int, seed: int = 0) -> dict[str, npt.NDArray[Any]]:
    """A brain and its candidates, as arrays: target, reference, images and labels of the atlases.

    Regions are what is nearest to points drawn in one half of an ellipsoid and mirrored, so that left and right are
    labels of their own; each has an intensity. An atlas is the brain under a smooth random displacement, with its own
    noise.
    """
    generator = np.random.default_rng(seed)
    reference = _regions(shape, labels, generator)
    values = np.concatenate([[0.05], generator.uniform(0.3, 1.0, labels - 1)])

    def scanned(found: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
        image = ndimage.gaussian_filter(values[found].astype(np.float32), 0.6)
        return image + generator.normal(0, _NOISE, shape).astype(np.float32)

    moved = [_displaced(reference, generator) for _ in range(atlases)]
    images = np.stack([scanned(found) for found in moved])
    return {"target": scanned(reference), "reference": reference, "images": images, "labels": np.stack(moved)}


def _regions(shape: tuple[int, int, int], labels: int, generator: np.random.Generator) -> npt.NDArray[np.int16]:
    middle = (np.array(shape) - 1) / 2
    radii = 0.42 * np.array(shape)
    points = np.stack(np.meshgrid(*(np.arange(n) for n in shape), indexing="ij"), axis=-1) - middle
    inside = ((points / radii) ** 2).sum(axis=-1) < 1
    half = generator.normal(size=(labels // 2, 3))
    half *= generator.uniform(0.05, 1, (len(half), 1)) ** (1 / 3) / np.linalg.norm(half, axis=1, keepdims=True)
    half[:, 0] = np.abs(half[:, 0])
    seeds = np.concatenate([half, half * [-1, 1, 1]])[: labels - 1] * radii
    found = np.zeros(shape, np.int16)
    found[inside] = KDTree(seeds).query(points[inside])[1] + 1
    return found


def _displaced(reference: npt.NDArray[np.int16], generator: np.random.Generator) -> npt.NDArray[np.int16]:
    knots = [n // _KNOT_VOX + 2 for n in reference.shape]
    places = np.indices(reference.shape, dtype=np.float32)
    for axis in places:
        drawn = generator.normal(0, _DISPLACEMENT_VOX, knots).astype(np.float32)
        factors = [n / k for n, k in zip(reference.shape, knots, strict=True)]
        axis += ndimage.zoom(drawn, factors, order=3, mode="nearest", grid_mode=True)
    found: npt.NDArray[np.int16] = ndimage.map_coordinates(reference, places, order=0, mode="nearest")
    return found


def _fusion(method: Any) -> Callable[[Path, int], Callable[[], Any]]:
    """Work that fuses the brain in a file."""

    def prepare(path: Path, threads: int) -> Callable[[], Any]:
        target, atlases, _ = _read(path)
        context = Context(Path(), threads=threads)
        method.segment(*_middle(target, atlases), context)  # compiles
        return lambda: method.segment(target, atlases, context)

    return prepare


def _fit(name: str, **parameters: Any) -> Callable[[Path, int], Callable[[], Any]]:
    """Work that trains on the brain as if it were those of three people, with so few updates that memory is told."""

    def prepare(path: Path, threads: int) -> Callable[[], Any]:
        cases = [_Brain(f"brain{i}", path) for i in range(_PEOPLE)]
        training = Training(cases, cases[0].read_atlases().label_values, ("image",))
        folder = path / name
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        return lambda: make_method(name, name, parameters).segmenter.fit(training, Context(folder, threads=threads))

    return prepare


def _segment(name: str, **parameters: Any) -> Callable[[Path, int], Callable[[], Any]]:
    """Work that segments the brain with what was learned of it, here before."""

    def prepare(path: Path, threads: int) -> Callable[[], Any]:
        target, atlases, _ = _read(path)
        if not (path / name / "about.json").exists():
            _fit(name, **parameters)(path, threads)()
        method = make_method(name, name, parameters).segmenter
        return lambda: method.segment(target, atlases, Context(path / name, threads=threads))

    return prepare


class _Brain(TrainingCase):
    """The brain in a file, as a case of training."""

    image_paths = ()

    def __init__(self, name: str, folder: Path) -> None:
        self.name, self._folder = name, folder

    @property
    def person(self) -> str:
        return self.name

    def read_target(self) -> Target:
        return _read(self._folder)[0]

    def read_reference(self) -> npt.NDArray[Any]:
        return _read(self._folder)[2]

    def read_atlases(self) -> AtlasSet:
        return _read(self._folder)[1]


def _middle(target: Target, atlases: AtlasSet) -> tuple[Target, AtlasSet]:
    """A small part of a brain, in which atlases disagree."""
    x, y, z = (slice(n // 2 - _PART_VOX // 2, n // 2 + _PART_VOX // 2) for n in target.grid.shape)
    box = (..., x, y, z)
    images = target.images[box]
    small = Target(target.name, images, Grid.of(images.shape[1:], target.grid.affine))
    return small, replace(atlases, images=atlases.images[box], labels=atlases.labels[box])


def _scores(path: Path, threads: int) -> Callable[[], Any]:
    """Work that scores one candidate with every metric."""
    _, atlases, reference = _read(path)
    labels = LabelSet(atlases.label_values, tuple(map(str, atlases.label_values)))
    score_labels(reference[:9], reference[:9], labels=labels, spacing_mm=(1.0, 1.0, 1.0))  # compiles
    return lambda: score_labels(atlases.labels[0], reference, labels=labels, spacing_mm=(1.0, 1.0, 1.0))


def _oracle(path: Path, threads: int) -> Callable[[], Any]:
    """Work that makes the oracle at six thresholds."""
    _, atlases, reference = _read(path)
    thresholds = (1 / len(atlases), 0.05, 0.1, 0.2, 0.3, 0.5)
    try:
        from dlfbench.fusion.oracle import Oracle
    except ImportError:  # a version before November 2026
        from dlfbench.fusion.oracle import oracle  # type: ignore[attr-defined]

        return lambda: [oracle(atlases.labels, reference, atlases.label_values, t) for t in thresholds]
    return lambda: list(map(Oracle.of(atlases.labels, reference, atlases.label_values).at, thresholds))


PARTS: dict[str, Callable[[Path, int], Callable[[], Any]]] = {
    "mv": _fusion(MajorityVoting()),
    "oracle": _oracle,
    "scores": _scores,
    "staple": _fusion(Staple()),
    "svwv": _fusion(SpatiallyVaryingWeightedVoting()),
    "jlf": _fusion(JointLabelFusion()),
    "unet fit": _fit("unet", **_SHORT),
    "unet": _segment("unet", **_SHORT),
    "dlf fit": _fit("dlf", **_SHORT, **_SHORT_VOTE),
    "dlf": _segment("dlf", **_SHORT, **_SHORT_VOTE),
}


def _part(name: str, path: Path, threads: int) -> Callable[[], Any]:
    return PARTS[name](path, threads)


def _read(path: Path) -> tuple[Target, AtlasSet, npt.NDArray[Any]]:
    arrays = {name: np.load(path / f"{name}.npy") for name in ("target", "reference", "images", "labels")}
    target = Target("brain", arrays["target"][None], Grid.of(arrays["target"].shape, np.eye(4)))
    names = tuple(f"atlas{i}" for i in range(len(arrays["labels"])))
    values = tuple(range(int(arrays["reference"].max()) + 1))
    return target, AtlasSet(names, arrays["images"][:, None], arrays["labels"], values), arrays["reference"]


def main() -> None:
    """Makes the brain, measures part by part, and adds to the table."""
    options = _parse()
    x, y, z = map(int, options.shape.split(","))
    with tempfile.TemporaryDirectory() as scratch:
        folder = options.brain or Path(scratch)
        if not (folder / "labels.npy").exists():
            folder.mkdir(parents=True, exist_ok=True)
            for name, array in make_brain((x, y, z), options.labels, options.atlases).items():
                np.save(folder / f"{name}.npy", array)
        for name in options.only.split(","):
            spent, mib = spent_alone(_part, name, folder, options.threads)
            brain = {"voxels": f"{x}x{y}x{z}", "labels": options.labels, "atlases": options.atlases, "part": name}
            found = {"cpu_s": float(f"{spent.cpu_s:.3g}"), "peak_mib": round(mib), "build": options.build}
            print({**brain, **found}, flush=True)
            _add(options.out, {**brain, "threads": options.threads, **found})


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shape", default="181,217,181")
    parser.add_argument("--labels", type=int, default=134)
    parser.add_argument("--atlases", type=int, default=15)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--only", default=",".join(PARTS))
    parser.add_argument("--build", default="now", help="name of the code that is measured")
    parser.add_argument("--brain", type=Path, help="folder to keep the brain in; made where it is not there")
    parser.add_argument("--out", type=Path, default=Path("reports/speed"))
    return parser.parse_args()


def _add(folder: Path, row: dict[str, Any]) -> None:
    """Adds a row to brain.csv, in the place of an older one of the same, and writes brain.md: one line a problem."""
    folder.mkdir(parents=True, exist_ok=True)
    path, rows = folder / "brain.csv", pd.DataFrame([row])
    if path.exists():
        rows = pd.concat([pd.read_csv(path), rows]).drop_duplicates([*_PROBLEM, "build"], keep="last")
    rows.to_csv(path, index=False)
    wide = rows.pivot(index=_PROBLEM, columns="build", values=["cpu_s", "peak_mib"])
    whats, builds = (wide.columns.get_level_values(level) for level in (0, 1))
    head = [*_PROBLEM, *(f"{build}, {_UNITS[what]}" for what, build in zip(whats, builds, strict=True))]
    cells = [["" if np.isnan(value) else f"{value:.4g}" for value in values] for values in wide.to_numpy()]
    told = zip(wide.index, cells, strict=True)
    lines = markdown_table(head, ([*map(str, problem), *values] for problem, values in told))
    about = [f"- {key}: {value}" for key, value in machine().items()]
    text = [
        "# A whole brain, made up",
        "",
        "Processor time, and peak memory beyond the images.",
        "",
        *about,
        "",
        *lines,
    ]
    (folder / "brain.md").write_text("\n".join([*text, ""]))


if __name__ == "__main__":
    main()
