"""Corrective learning: classifiers learn where a label fusion method errs (Wang et al., NeuroImage 2011)."""

import logging
from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import ClassVar

import numpy as np
import numpy.typing as npt
from sklearn.ensemble import HistGradientBoostingClassifier
from threadpoolctl import threadpool_limits

from dlfbench.files import is_intact
from dlfbench.fusion.posterior import Entries, Posterior
from dlfbench.images import UNKNOWN, LabelArray
from dlfbench.segmenters.hosts import host_named
from dlfbench.segmenters.interface import Context, FusionMethod, Segmenter, Training, TrainingCase
from dlfbench.volumes import AtlasSet, Target
from dlfbench_baselines.boosted_trees import BoostedTrees, read_trees, write_trees
from dlfbench_baselines.corrective_regions import Region, make_region
from dlfbench_baselines.jlf import JointLabelFusion
from dlfbench_baselines.weighted import PerAxis, per_axis

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Truth:
    """What a case's reference says.

    Attributes:
        reference: Label of each voxel, flat.
        labels: The declared labels.
        undrawn: Those that nobody drew in this case.
    """

    reference: LabelArray
    labels: tuple[int, ...]
    undrawn: tuple[int, ...]

    def of(self, label: int, voxels: npt.NDArray[np.int64]) -> npt.NDArray[np.int8]:
        """Of a label, given by its index, in some voxels: 1 where it is, 0 where not, -1 where nobody knows."""
        shown, value = self.reference[voxels], self.labels[label]
        answers = (shown == value).astype(np.int8)
        if self.undrawn:  # background may be any of these
            answers[shown == 0] = -1 if value in (0, *self.undrawn) else 0
        answers[shown == UNKNOWN] = -1
        return answers


Seen = tuple[Region, Truth]


@dataclass(frozen=True)
class CorrectiveLearning(FusionMethod):
    """Corrective learning on top of a host method.

    The host segments each training case from the other training cases. For each label, background too, a classifier
    learns in which of the voxels near the host's label the reference has it. A voxel's posterior is what the
    classifiers say, shared out among the labels in question there; far from any foreground it is the host's.

    Classifiers are scikit-learn's histogram gradient boosting: it bins features, so that 100,000 voxels of some
    hundreds of features take seconds, and it is there already. Wang et al. boost 500 trees of one split with AdaBoost,
    and multiply features by coordinates so that such trees can tell places apart; trees of several splits need no
    products. Intensities are also divided by their standard deviation, for images of other scanners.

    Attributes:
        patch_radius: Of the patches that are features: voxels, one number or one per axis.
        dilation: How far from the host's border the true one may lie: voxels, one number or one per axis.
        rounds: Trees per label.
        leaves: Of a tree, at most.
        learning_rate: Shrinks every tree's contribution.
        samples: Voxels that a label's classifier learns from, at most; drawn at random where there are more.
    """

    needs_training: ClassVar[bool] = True
    learns_from_partial: ClassVar[bool] = True
    trains_on_atlases: ClassVar[bool] = True

    patch_radius: PerAxis = 2
    dilation: PerAxis = 1
    rounds: int = 100
    leaves: int = 8
    learning_rate: float = 0.1
    samples: int = 100_000

    def __post_init__(self) -> None:
        least = {"patch_radius": 0, "dilation": 1, "rounds": 1, "leaves": 2, "samples": 1}
        for name, low in least.items():
            if min(per_axis(getattr(self, name))) < low:
                raise ValueError(f"{name}: expected {low} or more, found {getattr(self, name)}")
        if not 0 < self.learning_rate <= 1:
            raise ValueError(f"learning_rate: expected more than 0 and at most 1, found {self.learning_rate}")

    @property
    @abstractmethod
    def host_method(self) -> FusionMethod:
        """The method to correct."""

    @property
    def parts(self) -> tuple[Segmenter, ...]:
        """The host."""
        return (self.host_method,)

    def fit(self, training: Training, context: Context) -> None:
        """Trains one classifier per label; those that an interrupted fit left are kept."""
        labels, cases = training.label_values, training.cases
        missing = [index for index, value in enumerate(labels) if not is_intact(_path(context.folder, value))]
        steps = len(cases) + len(missing)
        seen: list[Seen] = []
        for done, case in enumerate(cases if missing else ()):
            context.progress(done / steps, f"host on {case.name}")
            seen += self._see(case, labels, context)
        if missing and not seen:
            raise ValueError(f"the host found no foreground in any of {len(cases)} training cases: nothing to learn")
        for done, index in enumerate(missing, len(cases)):
            context.progress(done / steps, f"label {labels[index]}")
            write_trees(_path(context.folder, labels[index]), self._train(index, seen, context))

    def fuse(self, target: Target, atlases: AtlasSet, context: Context) -> Posterior:
        """The host's posterior, and where there is foreground near what the classifiers say."""
        host = self.host_method.segment(target, atlases, context).shares(atlases.label_values)
        region = self._region(target, host)
        if region is None:
            return host
        models = [read_trees(_path(context.folder, value)) for value in atlases.label_values]
        with threadpool_limits(context.threads):
            return host.replaced(_corrected(region, models))

    def _region(self, target: Target, host: Posterior) -> Region | None:
        return make_region(target, host, patch=per_axis(self.patch_radius), dilation=per_axis(self.dilation))

    def _see(self, case: TrainingCase, labels: tuple[int, ...], context: Context) -> list[Seen]:
        """A case's region and true label indices; none where the host finds no foreground."""
        target = case.read_target()
        atlases = self.select(target, case.read_atlases())
        host = self.host_method.segment(target, atlases, context).shares(atlases.label_values)
        region = self._region(target, host)
        if region is None:
            log.warning("%s: the host finds no foreground; not learnt from", case.name)
            return []
        return [(region, Truth(case.read_reference().ravel(), labels, case.undrawn))]

    def _train(self, label: int, seen: Sequence[Seen], context: Context) -> BoostedTrees | None:
        """Learns one label, given by its index; None where there is nothing to tell apart."""
        voxels = [v[truth.of(label, v) >= 0] for region, truth in seen for v in [region.voxels[label]]]
        chosen = _sample([len(found) for found in voxels], self.samples, np.random.default_rng((context.seed, label)))
        voxels = [found[kept] for found, kept in zip(voxels, chosen, strict=True)]
        answers = np.concatenate([truth.of(label, v) == 1 for (_, truth), v in zip(seen, voxels, strict=True)])
        if answers.all() or not answers.any():
            log.warning("label index %d: %d voxels to learn from, all the same; the host's stands", label, len(answers))
            return None
        features = np.concatenate([region.features(label, v) for (region, _), v in zip(seen, voxels, strict=True)])
        classifier = HistGradientBoostingClassifier(
            learning_rate=self.learning_rate,
            max_iter=self.rounds,
            max_leaf_nodes=self.leaves,
            early_stopping=False,
            random_state=context.seed % 2**32,
        )
        with threadpool_limits(context.threads):
            return BoostedTrees.of(classifier.fit(features, answers))


@dataclass(frozen=True)
class Corrected(CorrectiveLearning):
    """Corrective learning (Wang 2011) on top of any label fusion method.

    Attributes:
        host: The method to correct, as on the command line: `mv`, `jlf[beta=4]`.
    """

    host: str = "jlf"

    def __post_init__(self) -> None:
        super().__post_init__()
        _ = self.host_method  # so that a wrong host is refused here

    @cached_property
    def host_method(self) -> FusionMethod:
        """The host, built from its text."""
        return host_named(self.host)


@dataclass(frozen=True)
class CorrectedJointLabelFusion(CorrectiveLearning):
    """Joint label fusion with corrective learning (Wang 2011): `corrected[host=jlf]`."""

    @property
    def host_method(self) -> FusionMethod:
        """Joint label fusion with its defaults."""
        return JointLabelFusion()


def _sample(counts: Sequence[int], most: int, generator: np.random.Generator) -> list[npt.NDArray[np.int64]]:
    """Which of each case's voxels to learn from: all, or so many drawn from all cases together."""
    total, ends = sum(counts), np.cumsum(counts)
    drawn = np.sort(generator.choice(total, most, replace=False)) if total > most else np.arange(total)
    parts = np.split(drawn, np.searchsorted(drawn, ends[:-1]))
    return [part - (end - count) for part, end, count in zip(parts, ends, counts, strict=True)]


def _corrected(region: Region, models: Sequence[BoostedTrees | None]) -> Entries:
    """What the classifiers say, shared out among the labels in question in each voxel."""
    found = [Entries.none()]
    for label, model in enumerate(models):
        voxels = region.voxels[label]
        if model is None:
            shares = region.host.of_class(label).ravel()[voxels]
        elif len(voxels):
            shares = model.probability(region.features(label, voxels)).astype(np.float32)
        else:
            continue
        found.append(Entries(voxels, np.full(len(voxels), label), shares))
    return found[0].joined(*found[1:]).summed(len(models)).where_sum_exceeds(0).normalised()


def _path(folder: Path, value: int) -> Path:
    return folder / f"label{value}.npz"
