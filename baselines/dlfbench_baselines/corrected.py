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
from dlfbench.fusion.votes import vote_share
from dlfbench.images import UNKNOWN, LabelArray
from dlfbench.segmenters.hosts import host_named
from dlfbench.segmenters.interface import Context, FusionMethod, Segmenter, Training, TrainingCase
from dlfbench.volumes import AtlasSet, Target
from dlfbench_baselines.boosted_trees import BoostedTrees, read_trees, write_trees
from dlfbench_baselines.corrective_regions import Region, make_region
from dlfbench_baselines.jlf import JointLabelFusion
from dlfbench_baselines.weighted import PerAxis, per_axis

log = logging.getLogger(__name__)

# a training case's region, and for each label, cut the same way: 1 where it is, 0 where not, -1 where nobody knows
Seen = tuple[Region, npt.NDArray[np.int8]]


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

    def fuse(self, target: Target, atlases: AtlasSet, context: Context) -> npt.NDArray[np.float32]:
        """Posterior (class, x, y, z)."""
        posterior = self._host_posterior(target, atlases, context)
        region = self._region(target, posterior)
        if region is not None:
            models = [read_trees(_path(context.folder, value)) for value in atlases.label_values]
            with threadpool_limits(context.threads):
                region.put_back(_correct(region, models), posterior)
        return posterior

    def _host_posterior(self, target: Target, atlases: AtlasSet, context: Context) -> npt.NDArray[np.float32]:
        found = self.host_method.segment(target, atlases, context)
        if found.posterior is not None:
            return np.array(found.posterior, dtype=np.float32)
        return vote_share(found.labels[None], atlases.label_values)

    def _region(self, target: Target, posterior: npt.NDArray[np.float32]) -> Region | None:
        return make_region(target, posterior, patch=per_axis(self.patch_radius), dilation=per_axis(self.dilation))

    def _see(self, case: TrainingCase, labels: tuple[int, ...], context: Context) -> list[Seen]:
        """A case's region and true label indices; none where the host finds no foreground."""
        target = case.read_target()
        atlases = self.select(target, case.read_atlases())
        region = self._region(target, self._host_posterior(target, atlases, context))
        if region is None:
            log.warning("%s: the host finds no foreground; not learnt from", case.name)
            return []
        return [(region, _known(region.cut(case.read_reference()), labels, case.undrawn))]

    def _train(self, label: int, seen: Sequence[Seen], context: Context) -> BoostedTrees | None:
        """Learns one label, given by its index; None where there is nothing to tell apart."""
        voxels = [v[truth[label].flat[v] >= 0] for region, truth in seen for v in [region.voxels(label)]]
        chosen = _sample([len(found) for found in voxels], self.samples, np.random.default_rng((context.seed, label)))
        voxels = [found[kept] for found, kept in zip(voxels, chosen, strict=True)]
        answers = np.concatenate([truth[label].flat[v] == 1 for (_, truth), v in zip(seen, voxels, strict=True)])
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


def _known(reference: LabelArray, labels: tuple[int, ...], undrawn: tuple[int, ...]) -> npt.NDArray[np.int8]:
    """What a reference says of each label (class, x, y, z): 1 where it is, 0 where not, -1 where nobody knows."""
    known = np.stack([reference == value for value in labels]).astype(np.int8)
    if undrawn:  # background may be any of these
        known[:, reference == 0] = np.where(np.isin(labels, (0, *undrawn)), -1, 0)[:, None]
    known[:, reference == UNKNOWN] = -1
    return known


def _sample(counts: Sequence[int], most: int, generator: np.random.Generator) -> list[npt.NDArray[np.int64]]:
    """Which of each case's voxels to learn from: all, or so many drawn from all cases together."""
    total, ends = sum(counts), np.cumsum(counts)
    drawn = np.sort(generator.choice(total, most, replace=False)) if total > most else np.arange(total)
    parts = np.split(drawn, np.searchsorted(drawn, ends[:-1]))
    return [part - (end - count) for part, end, count in zip(parts, ends, counts, strict=True)]


def _correct(region: Region, models: Sequence[BoostedTrees | None]) -> npt.NDArray[np.float32]:
    """The corrected posterior (class, x, y, z) of a region."""
    found = np.zeros_like(region.posterior)
    for label, model in enumerate(models):
        voxels = region.voxels(label)
        if model is None:
            found[label].flat[voxels] = region.posterior[label].flat[voxels]
        elif len(voxels):
            found[label].flat[voxels] = model.probability(region.features(label, voxels))
    total = found.sum(axis=0)
    return np.where(total > 0, found / np.where(total > 0, total, 1), region.posterior)


def _path(folder: Path, value: int) -> Path:
    return folder / f"label{value}.npz"
