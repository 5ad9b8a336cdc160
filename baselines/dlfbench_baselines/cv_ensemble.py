"""A method trained once without each part of the training cases, and the mean of what these say."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Literal

from dlfbench.fusion.combination import combined
from dlfbench.segmenters.held_out import left_out
from dlfbench.segmenters.interface import Context, Segmenter, Training
from dlfbench.segmenters.nested import host_of, part_of, within
from dlfbench.volumes import AtlasSet, Segmentation, Target


@dataclass(frozen=True)
class CrossValidationEnsemble(Segmenter):
    """A method trained once without each of several parts of the people, posteriors averaged, as nnU-Net's five folds.

    A cross-validation ensemble (Krogh and Vedelsby 1995; Isensee et al. 2021). Each training has the host's length, so
    that all together take as many times as long; `host=nnunet[epochs=10]` with 5 folds takes as long as 50 epochs do.

    Attributes:
        host: A method that trains, as on the command line: `nnunet`, `unet[steps=300]`.
        folds: How many parts the people of the training cases are dealt into.
        preset: The training budget of a host that has one.
    """

    host: str = "nnunet"
    folds: int = 5
    preset: Literal["quick", "cpu", "paper"] = "cpu"

    def __post_init__(self) -> None:
        if self.folds < 2:
            raise ValueError(f"folds: expected 2 or more, found {self.folds}")
        if not self.method.needs_training:
            raise ValueError(
                f"host: expected a method that trains, found {self.host!r}, which is the same in every fold"
            )

    @cached_property
    def method(self) -> Segmenter:
        """The host."""
        return host_of(self.host, self.preset)

    @property
    def parts(self) -> tuple[Segmenter, ...]:
        """The host."""
        return (self.method,)

    @property
    def needs_training(self) -> bool:  # type: ignore[override]
        """Always."""
        return True

    @property
    def needs_atlases(self) -> bool:  # type: ignore[override]
        """Whether the host does."""
        return self.method.needs_atlases

    @property
    def trains_on_atlases(self) -> bool:  # type: ignore[override]
        """Whether the host does."""
        return self.method.trains_on_atlases

    @property
    def held_out_parts(self) -> int:  # type: ignore[override]
        """The folds, where the host learns on atlases."""
        return self.folds * self.method.trains_on_atlases

    @property
    def uses_gpu(self) -> bool:  # type: ignore[override]
        """Whether the host does."""
        return self.method.uses_gpu

    @property
    def learns_from_partial(self) -> bool:  # type: ignore[override]
        """Whether the host does."""
        return self.method.learns_from_partial

    def fit(self, training: Training, context: Context) -> None:
        """Trains the host without each part of the people; those that an interrupted fit had trained not again."""
        for number, (known, _) in enumerate(left_out(training, self.folds)):
            folder = self._folder(context.folder, number)
            done = folder.with_name(f"{folder.name}.done")
            if not done.is_file():
                inside = part_of(within(context, folder), number, self.folds, f"without part {number + 1}: ")
                self.method.fit(known, replace(inside, seed=context.seed + number))
                done.touch()

    def segment(self, target: Target, atlases: AtlasSet, context: Context) -> Segmentation:
        """The mean of the posteriors; a host without posterior counts as certain of its labels."""
        every = [replace(context, folder=self._folder(context.folder, number)) for number in range(self.folds)]
        posteriors = [self.method.segment(target, atlases, one).shares(atlases.label_values) for one in every]
        posterior = combined(posteriors, [1.0] * self.folds, "mean")
        return Segmentation(posterior.labels(), posterior)

    def pack(self, folder: Path, out: Path) -> None:
        """Each training as the host packs it."""
        for here, there in self._handed_on(folder, out):
            self.method.pack(here, there)

    def unpack(self, folder: Path, out: Path) -> None:
        """The same the other way round."""
        for here, there in self._handed_on(folder, out):
            self.method.unpack(here, there)

    def _handed_on(self, folder: Path, out: Path) -> Iterator[tuple[Path, Path]]:
        for number in range(self.folds):
            there = self._folder(out, number)
            there.mkdir(parents=True)
            yield self._folder(folder, number), there

    @staticmethod
    def _folder(root: Path, number: int) -> Path:
        return root / f"without-{number + 1}"
