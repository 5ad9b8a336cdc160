"""Methods that break the contract, each in its own way; and two that keep it."""

import json
import multiprocessing
import random
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from unittest import SkipTest

import nibabel as nib
import numpy as np

from dlfbench import Context, FusionMethod, Training


def first(atlases):
    return atlases.labels[0]


@dataclass(frozen=True)
class WrongGrid(FusionMethod):
    def fuse(self, target, atlases):
        return first(atlases)[1:]


@dataclass(frozen=True)
class OtherLabels(FusionMethod):
    def fuse(self, target, atlases):
        return np.searchsorted(atlases.label_values, first(atlases))


@dataclass(frozen=True)
class ChangesInput(FusionMethod):
    def fuse(self, target, atlases):
        images = target.images
        images -= images.mean()
        return first(atlases)


@dataclass(frozen=True)
class GlobalRandom(FusionMethod):
    def fuse(self, target, atlases):
        chosen = np.random.randint(0, len(atlases), target.grid.shape)  # noqa: NPY002
        return np.take_along_axis(atlases.labels, chosen[None], axis=0)[0]


@dataclass(frozen=True)
class SeedsGlobalRandom(FusionMethod):
    def fuse(self, target, atlases, context: Context):
        random.seed(context.seed)
        return atlases.labels[random.randrange(len(atlases))]


@dataclass(frozen=True)
class ReadsReference(FusionMethod):
    """Looks for a run's description near its folder, and in it for the reference of the target."""

    def fuse(self, target, atlases, context: Context):
        for folder in (*context.folder.parents, *Path.cwd().glob("*")):
            found = folder / "cases.json"
            if found.is_file():
                path = json.loads(found.read_text())["cases"][target.name]["reference"]
                return np.asarray(nib.load(path).dataobj).astype(np.int16)
        return first(atlases)

    def fit(self, training: Training, context: Context):
        pass


@dataclass(frozen=True)
class RaisesOnOne(FusionMethod):
    def fuse(self, target, atlases):
        if len(atlases) == 30 or target.columns.get("side") == "R":
            raise RuntimeError("the matrix is singular")
        return first(atlases)


@dataclass(frozen=True)
class Hangs(FusionMethod):
    def fuse(self, target, atlases):
        time.sleep(600)


@dataclass(frozen=True)
class LeaksProcess(FusionMethod):
    def fuse(self, target, atlases):
        subprocess.Popen([sys.executable, "-c", "import time; time.sleep(300)"], start_new_session=True)
        return first(atlases)


@dataclass(frozen=True)
class NaNPosterior(FusionMethod):
    def fuse(self, target, atlases):
        votes = np.stack([(atlases.labels == v).sum(axis=0) for v in atlases.label_values]).astype(np.float32)
        votes[0] = 0
        with np.errstate(invalid="ignore"):
            return votes / votes.sum(axis=0)


@dataclass(frozen=True)
class WritesAround(FusionMethod):
    def fuse(self, target, atlases):
        Path("debug.txt").write_text("here")
        return first(atlases)


@dataclass(frozen=True)
class TrustsParameters(FusionMethod):
    atlas: int = 0
    share: float = 0.5

    def fuse(self, target, atlases):
        if self.share < 0:
            raise IndexError("no such share")
        return atlases.labels[self.atlas]


@dataclass(frozen=True)
class NeedsTwoAtlases(FusionMethod):
    def fuse(self, target, atlases):
        return atlases.labels[1]


@dataclass(frozen=True)
class SkipsAll(FusionMethod):
    def fuse(self, target, atlases):
        raise SkipTest("needs a licence")


@dataclass(frozen=True)
class Crashes(FusionMethod):
    def fuse(self, target, atlases):
        multiprocessing.current_process()
        import os

        os.abort()


@dataclass(frozen=True)
class GoodTrained(FusionMethod):
    """Learns the mean share of each label; keeps the contract."""

    power: float = 1.0

    def __post_init__(self):
        if self.power <= 0:
            raise ValueError(f"power: expected more than 0, found {self.power}")

    def fit(self, training, context):
        shares = [[(case.read_reference() == v).mean() for v in training.label_values] for case in training.cases]
        np.save(context.folder / "shares.npy", np.mean(shares, axis=0))

    def fuse(self, target, atlases, context):
        prior = np.load(context.folder / "shares.npy").reshape(-1, 1, 1, 1) ** self.power
        votes = np.stack([(atlases.labels == v).sum(axis=0) + 0.1 for v in atlases.label_values]) * prior
        return (votes / votes.sum(axis=0)).astype(np.float32)


@dataclass(frozen=True)
class NegativeShares(FusionMethod):
    def fuse(self, target, atlases):
        votes = np.stack([(atlases.labels == v).mean(axis=0) for v in atlases.label_values]).astype(np.float32)
        votes[0] -= 0.5
        votes[1] += 0.5
        return votes


@dataclass(frozen=True)
class Doubled(FusionMethod):
    power: float = 1.0

    def fuse(self, target, atlases):
        votes = np.stack([(atlases.labels == v).mean(axis=0) for v in atlases.label_values])
        return (2 * votes / np.maximum(votes.sum(axis=0), 1e-6)).astype(np.float32)


@dataclass(frozen=True)
class Counts(FusionMethod):
    def fuse(self, target, atlases):
        return np.stack([(atlases.labels == v).sum(axis=0) for v in atlases.label_values]).astype(np.float32)


@dataclass(frozen=True)
class Raises(FusionMethod):
    power: float = 1.0

    def fuse(self, target, atlases):
        np.linalg.inv(np.zeros((2, 2)))
