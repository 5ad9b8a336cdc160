"""Segmentation as something to learn: samples of training cases, their loss, and a watch on cases kept aside."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from torch import Tensor, nn

from dlfbench.fusion.posterior import Posterior
from dlfbench.networks.losses import total_loss
from dlfbench.networks.samples import Draw, NetworkInput, Sample, draw_batch
from dlfbench.segmenters.interface import TrainingCase


class SegmentationProblem:
    """Segmentation of training cases; see `dlfbench.networks.training.Problem`.

    Args:
        cases: To learn from.
        watched: Kept aside; their Dice is written into the training curves. It decides nothing.
        read: Reads a case, its atlases (of other people) and its reference.
        drawn: How samples are drawn.
        entropy: Weight of cross-entropy beside Dice.
        predict: Posterior of a sample's padded region, whose labels are the indices of classes.
    """

    def __init__(
        self,
        cases: Sequence[TrainingCase],
        watched: Sequence[TrainingCase],
        *,
        read: Callable[[TrainingCase], Sample],
        drawn: Draw,
        entropy: float,
        predict: Callable[[nn.Module, Sample], Posterior],
    ) -> None:
        self.cases, self.watched, self.read, self.predict = cases, watched, read, predict
        self.drawn, self.entropy = drawn, entropy

    def draw(self, rng: np.random.Generator) -> NetworkInput:
        """Training cases with some atlases each, changed at random."""
        chosen = rng.integers(len(self.cases), size=self.drawn.targets)
        return draw_batch([self.read(self.cases[int(i)]) for i in chosen], self.drawn, rng)

    def loss(self, model: nn.Module, seen: NetworkInput) -> Tensor:
        """The loss of everything that the model says."""
        return total_loss(model(seen), seen.truth, entropy=self.entropy, undrawn=seen.undrawn)

    def validate(self, model: nn.Module) -> float:
        """Mean Dice of the cases kept aside; not a number where there are none."""
        return float(np.mean([self._dice(model, case) for case in self.watched])) if self.watched else float("nan")

    def _dice(self, model: nn.Module, case: TrainingCase) -> float:
        sample = self.read(case)
        assert sample.reference is not None
        inner = sample.region.inner
        found, reference = inner(self.predict(model, sample).labels()), inner(sample.reference)
        shared = [
            (2 * ((found == k) & (reference == k)).sum(), (found == k).sum() + (reference == k).sum())
            for k in range(1, sample.votes.shape[1])
            if k not in sample.undrawn
        ]
        return float(np.mean([both / total for both, total in shared if total]))


class KeptSamples:
    """What was read of cases, kept in memory as far as it fits; the rest is kept on disk.

    Args:
        read: Reads a case.
        memory_mb: Of what is kept in memory.
        folder: For the rest.
    """

    def __init__(self, read: Callable[[TrainingCase], Sample], memory_mb: int, folder: Path) -> None:
        self._read, self._left_bytes, self._folder = read, memory_mb * 2**20, folder
        self._kept: dict[str, Sample] = {}

    def __call__(self, case: TrainingCase) -> Sample:
        """What is read of a case."""
        if case.name not in self._kept:
            sample = self._read(case)
            if sample.nbytes <= self._left_bytes:
                self._left_bytes -= sample.nbytes
            else:
                sample = sample.on_disk(self._folder)
            self._kept[case.name] = sample
        return self._kept[case.name]
