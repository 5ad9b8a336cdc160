"""Which scale of intensities registers best? `python -m benchmarks.registration_scale /path/to/Task04_Hippocampus`.

Pairs of the 20 training cases of `hippocampus-generalization`, never of test cases: each case is a target and an atlas.
Printed: Dice of the warped atlas, mean over both labels, and its difference to the default on the same pairs with the
standard error over pairs. 600 registrations of about 2 s of one processor by default.
"""

import argparse
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from unittest.mock import patch

import numpy as np
import pandas as pd

from dlfbench.datasets.cases import Dataset
from dlfbench.datasets.known import open_dataset
from dlfbench.images import FloatArray, LabelArray
from dlfbench.registration import greedy
from dlfbench.registration.scale import Scale
from dlfbench.study.splits import make_folds
from dlfbench.study.tables import read_study
from dlfbench.volumes import Atlas

DEFAULT = "border's median, 6 voxels"
VARIANTS: dict[str, tuple[Callable[[FloatArray], Scale], int]] = {
    "as stored": (lambda _: Scale(0.0, 1.0), 0),
    "mean": (lambda image: Scale(float(image.mean()), 1.0), 0),
    "median": (lambda image: Scale(float(np.median(image)), 1.0), 0),
    "border's median": (Scale.of, 0),
    "mean, 6 voxels": (lambda image: Scale(float(image.mean()), 1.0), 6),
    DEFAULT: (Scale.of, 6),
}


def main() -> None:
    """Registers and prints; what was registered is kept in `--out` and not registered again."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--pairs", type=int, default=100)
    parser.add_argument("--out", type=Path, default=Path("registration_scale.csv"))
    asked = parser.parse_args()
    dataset = open_dataset(asked.data)
    done = pd.read_csv(asked.out) if asked.out.is_file() else pd.DataFrame(columns=["target", "atlas", "variant"])
    for target, atlas in training_pairs(dataset)[: asked.pairs]:
        made = set(done[(done.target == target) & (done.atlas == atlas)].variant)
        todo = [name for name in VARIANTS if name not in made]
        rows = [_register(dataset, target, atlas, name) for name in todo]
        pd.DataFrame(rows).to_csv(asked.out, mode="a", header=not asked.out.is_file(), index=False) if rows else None
    print(summary(pd.read_csv(asked.out)).to_string(float_format="%.4f"))


def training_pairs(dataset: Dataset) -> list[tuple[str, str]]:
    """(target, atlas), in rounds: in each every case is a target once, with another atlas than in the rounds before."""
    study = read_study("hippocampus-generalization")
    (fold,) = make_folds(dataset.cases, study.protocol, study.seed)
    count = len(fold.train)
    return [(fold.train[i], fold.train[(i + step) % count]) for step in range(1, count) for i in range(count)]


def _register(dataset: Dataset, target: str, atlas: str, variant: str) -> dict[str, object]:
    scale_of, border_vox = VARIANTS[variant]
    labels, grid = dataset.case(atlas).read_reference()
    moving = Atlas(atlas, dataset.case(atlas).read_target(exact=True).images, labels, grid)
    fixed = dataset.case(target).read_target(exact=True)
    started = time.process_time()
    with (
        patch.object(Scale, "of", scale_of),
        patch.object(greedy, "_BORDER_VOX", border_vox),
        tempfile.TemporaryDirectory() as scratch,
    ):
        warped = greedy.Greedy().warp(replace(fixed, columns={}), moving, scratch=Path(scratch), threads=1).labels
    cpu_s = time.process_time() - started
    reference, _ = dataset.case(target).read_reference()
    return {"target": target, "atlas": atlas, "variant": variant, "dice": _dice(warped, reference), "cpu_s": cpu_s}


def _dice(found: LabelArray, reference: LabelArray) -> float:
    masks = [(found == label, reference == label) for label in (1, 2)]
    return float(np.mean([2 * (a & b).sum() / (a.sum() + b.sum()) for a, b in masks]))


def summary(rows: pd.DataFrame) -> pd.DataFrame:
    """A line a variant: pairs, mean Dice, difference to the default on the same pairs, its standard error, CPU s."""
    wide = rows.pivot(index=["target", "atlas"], columns="variant", values="dice").dropna()
    less = wide.sub(wide[DEFAULT], axis=0)
    table = {"pairs": wide.count(), "dice": wide.mean(), "less the default": less.mean(), "standard error": less.sem()}
    table |= {"better": (less > 0).sum(), "worse": (less < 0).sum(), "cpu s": rows.groupby("variant").cpu_s.median()}
    return pd.DataFrame(table).reindex(list(VARIANTS))


if __name__ == "__main__":
    main()
