"""What a registration must do; `greedy` is the first, others plug in beside it."""

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt

from dlfbench.images import LabelArray
from dlfbench.volumes import Atlas, Target


@dataclass(frozen=True)
class WarpedAtlas:
    """An atlas resampled onto a target's grid.

    Attributes:
        images: (modality, x, y, z), float32, finite. Beyond the atlas's field of view its border goes on.
        labels: Candidate segmentation (x, y, z), values out of the atlas's labels; `images.UNKNOWN` beyond its
            field of view.
        flags: What looks wrong with the registration ("folded: ...", "no overlap: ..."); empty when nothing does.
            A flagged atlas is kept and counted in the report.
    """

    images: npt.NDArray[np.float32]
    labels: LabelArray
    flags: tuple[str, ...] = ()


class Registration(Protocol):
    """A frozen dataclass of settings that can warp an atlas onto a target.

    Equal settings and equal `version()` must give equal results: both go into the key of the store. One that needs
    images of some size says so in a class attribute `least_vox`: voxels along every axis. What `warp` returns is
    checked before it is stored (`registration.outcome`).
    """

    def version(self) -> str:
        """Tool and version, such as `picsl-greedy 1.4.0.3`."""
        ...

    def warp(self, target: Target, atlas: Atlas, *, scratch: Path, threads: int) -> WarpedAtlas:
        """Registers the atlas to the target and resamples its images and labels.

        Args:
            target: The fixed image, float64: nothing of what its file holds is rounded yet.
            atlas: The moving image with its label map, same modalities as the target, float64.
            scratch: An empty folder for temporary files; removed by the caller.
            threads: CPU threads to use.

        Raises:
            RuntimeError: The tool failed and there is no result. Whatever else is raised counts as that, but for
                MemoryError, which stops the run.
        """
        ...
