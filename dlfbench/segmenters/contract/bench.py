"""Where a method under check works: a folder like a run's, with a model for each kind of sample."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from dlfbench.records.description import write_description
from dlfbench.records.folder import RunFolder
from dlfbench.segmenters.contract.scene import LABEL_VALUES, Scene, described_target, write_training
from dlfbench.segmenters.interface import Context, Segmenter
from dlfbench.segmenters.outcome import check_outcome
from dlfbench.volumes import AtlasSet, Segmentation, Target

SEED = 7


class Broken(Exception):
    """A method broke the contract; the text says what was expected and found."""


class BadAnswer(Broken):
    """The answer cannot be used, whatever the check was about."""


@dataclass(frozen=True)
class Bench:
    """A method and its folder.

    Attributes:
        segmenter: The method.
        root: The sandbox, which is the current folder and holds all that follows.
    """

    segmenter: Segmenter
    root: Path
    _models: dict[tuple[int, str], Path] = field(default_factory=dict)

    @property
    def plugin(self) -> Segmenter:
        """What is checked."""
        return self.segmenter

    def run_plain(self) -> Segmentation:
        """Segments a sample about which nothing is odd."""
        return self.run(Scene())

    @property
    def data(self) -> Path:
        """The dataset on disk."""
        return self.root / "data"

    def context(self, sample: Scene, *, model: str = "") -> Context:
        """Folder and seed; where the method trains, the folder of the model for samples of this kind."""
        if self.segmenter.needs_training:
            return Context(self.model(sample.modalities, model), SEED)
        folder = self.root / "run" / "scratch"
        folder.mkdir(parents=True, exist_ok=True)
        return Context(folder, SEED)

    def model(self, modalities: int, name: str = "") -> Path:
        """The folder of a model, which is trained when first asked for; models of other names are trained anew."""
        key = (modalities, name)
        if key not in self._models:
            self._models[key] = self.train(modalities, name)
        return self._models[key]

    def train(self, modalities: int, name: str) -> Path:
        training = write_training(self.data / f"modalities{modalities}", Scene(modalities=modalities))
        folder = RunFolder(self.root / "run").model_folder(f"modalities{modalities}{name}")
        folder.mkdir(parents=True, exist_ok=True)
        self.segmenter.fit(training, Context(folder, SEED))
        return folder

    def describe_cases(self, modalities: int) -> None:
        """Leaves in the run folder what a method that looks around could find there: where the reference is."""
        write_description(RunFolder(self.root / "run"), described_target(self.data / f"modalities{modalities}"))

    def run(self, sample: Scene, *, change: Callable[[Target, AtlasSet], None] | None = None) -> Segmentation:
        """Segments a sample; the answer is checked.

        Args:
            sample: What to segment.
            change: Called with the inputs beforehand.

        Raises:
            BadAnswer: It is not on the grid, has other labels, or its posterior does not sum to 1.
        """
        context = self.context(sample)
        target, atlases = self.inputs(sample)
        if change is not None:
            change(target, atlases)
        outcome = self.segmenter.segment(target, atlases, context)
        check(outcome, sample)
        return outcome

    def inputs(self, sample: Scene) -> tuple[Target, AtlasSet]:
        """Inputs of its own for each call."""
        atlases = sample.atlas_set() if self.segmenter.needs_atlases else AtlasSet.none(LABEL_VALUES)
        return sample.target(), atlases

    def with_parameters(self, **values: object) -> "Bench":
        """The same bench for a variant of the method."""
        return replace(self, segmenter=replace(self.segmenter, **values), _models={})  # type: ignore[type-var]


def check(outcome: Segmentation, sample: Scene) -> None:
    """Checks grid, labels and posterior of an answer; `BadAnswer` says what is wrong."""
    try:
        check_outcome(outcome, sample.grid, LABEL_VALUES)
    except ValueError as error:
        raise BadAnswer(str(error)) from None


def same(one: Segmentation, other: Segmentation) -> str:
    """What differs between two answers; empty where nothing does."""
    differing = int((np.asarray(one.labels) != np.asarray(other.labels)).sum())
    if differing:
        return f"{differing} of {one.labels.size} voxels differ"
    if one.posterior is not None and other.posterior is not None:
        away = float(np.abs(np.asarray(one.posterior) - other.posterior).max())
        return f"posteriors differ by up to {away:.2g}" if away > 1e-4 else ""
    return ""
