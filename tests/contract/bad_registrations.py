"""Registrations that break the contract, each in its own way; and one that keeps it."""

import random
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scipy import ndimage

from dlfbench import UNKNOWN, Atlas, Target, WarpedAtlas


@dataclass(frozen=True)
class AsTheyLie:
    """Resamples by the grids alone."""

    beyond: int = UNKNOWN

    def version(self) -> str:
        return "1"

    def warp(self, target: Target, atlas: Atlas, *, scratch: Path, threads: int) -> WarpedAtlas:
        return self.resampled(target, atlas, np.linalg.inv(atlas.grid.affine) @ target.grid.affine)

    def resampled(self, target: Target, atlas: Atlas, voxels: np.ndarray) -> WarpedAtlas:
        def moved(array: np.ndarray, order: int, **more: Any) -> np.ndarray:
            return ndimage.affine_transform(array, voxels, output_shape=target.grid.shape, order=order, **more)

        images = np.stack([moved(image, 1, mode="nearest") for image in atlas.images]).astype(np.float32)
        return WarpedAtlas(images, moved(atlas.labels, 0, cval=self.beyond))


class OwnGrid(AsTheyLie):
    def warp(self, target: Target, atlas: Atlas, *, scratch: Path, threads: int) -> WarpedAtlas:
        return WarpedAtlas(atlas.images[:, 1:].astype(np.float32), atlas.labels[1:])


class VoxelByVoxel(AsTheyLie):
    def warp(self, target: Target, atlas: Atlas, *, scratch: Path, threads: int) -> WarpedAtlas:
        return self.resampled(target, atlas, np.eye(4))


class FromMassToMass(AsTheyLie):
    """Starts with the centres of mass on each other, as many tools do: of values around 0 they are anywhere."""

    def warp(self, target: Target, atlas: Atlas, *, scratch: Path, threads: int) -> WarpedAtlas:
        shift = np.eye(4)
        shift[:3, 3] = self.centre_mm(atlas) - self.centre_mm(target)
        return self.resampled(target, atlas, np.linalg.inv(atlas.grid.affine) @ shift @ target.grid.affine)

    @staticmethod
    def centre_mm(volume: Target | Atlas) -> np.ndarray:
        return (volume.grid.affine @ np.append(ndimage.center_of_mass(volume.images[0]), 1))[:3]


@dataclass(frozen=True)
class BackgroundBeyond(AsTheyLie):
    beyond: int = 0


class ChangesInput(AsTheyLie):
    def warp(self, target: Target, atlas: Atlas, *, scratch: Path, threads: int) -> WarpedAtlas:
        atlas.labels[atlas.labels == 2] = 1
        return super().warp(target, atlas, scratch=scratch, threads=threads)


class Shaky(AsTheyLie):
    def warp(self, target: Target, atlas: Atlas, *, scratch: Path, threads: int) -> WarpedAtlas:
        shift = np.eye(4)
        shift[:3, 3] = [random.gauss(0, 0.5) for _ in range(3)]
        return self.resampled(target, atlas, shift @ np.linalg.inv(atlas.grid.affine) @ target.grid.affine)


class NewEveryTime(AsTheyLie):
    def version(self) -> str:
        return str(time.perf_counter_ns())


class WritesAround(AsTheyLie):
    def warp(self, target: Target, atlas: Atlas, *, scratch: Path, threads: int) -> WarpedAtlas:
        Path("debug.txt").write_text("here")
        return super().warp(target, atlas, scratch=scratch, threads=threads)


class LeaksProcess(AsTheyLie):
    def warp(self, target: Target, atlas: Atlas, *, scratch: Path, threads: int) -> WarpedAtlas:
        subprocess.Popen([sys.executable, "-c", "import time; time.sleep(300)"])
        return super().warp(target, atlas, scratch=scratch, threads=threads)
