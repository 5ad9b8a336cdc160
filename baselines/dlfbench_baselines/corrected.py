"""Corrective learning: classifiers learn where a label fusion method errs (Wang et al., NeuroImage 2011)."""

import logging
from abc import abstractmethod
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

from threadpoolctl import threadpool_limits

from dlfbench.fusion.corrective_regions import Region, make_region
from dlfbench.fusion.corrective_trees import Boosting, Seen, Shelf, Truth, corrected
from dlfbench.fusion.posterior import Posterior
from dlfbench.segmenters.hosts import host_named
from dlfbench.segmenters.interface import Context, FusionMethod, Segmenter, Training, TrainingCase
from dlfbench.volumes import AtlasSet, Target
from dlfbench_baselines.jlf import JointLabelFusion
from dlfbench_baselines.weighted import PerAxis, per_axis

log = logging.getLogger(__name__)


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

    @property
    def boosting(self) -> Boosting:
        """How the trees of a label are grown."""
        return Boosting(self.rounds, self.leaves, self.learning_rate, self.samples)

    def fit(self, training: Training, context: Context) -> None:
        """Trains one classifier per label; those that an interrupted fit left are kept."""
        labels, cases = training.label_values, training.cases
        shelf = Shelf(context.folder, labels)
        missing = shelf.missing
        steps = len(cases) + len(missing)
        seen: list[Seen] = []
        for done, case in enumerate(cases if missing else ()):
            context.progress(done / steps, f"host on {case.name}")
            seen += self._see(case, labels, context)
        if missing and not seen:
            raise ValueError(f"the host found no foreground in any of {len(cases)} training cases: nothing to learn")
        for done, index in enumerate(missing, len(cases)):
            context.progress(done / steps, f"label {labels[index]}")
            shelf.put(index, self.boosting.learn(index, seen, seed=context.seed, threads=context.threads))

    def fuse(self, target: Target, atlases: AtlasSet, context: Context) -> Posterior:
        """The host's posterior, and where there is foreground near what the classifiers say."""
        host = self.host_method.segment(target, atlases, context).shares(atlases.label_values)
        region = self._region(target, host)
        if region is None:
            return host
        with threadpool_limits(context.threads):
            return corrected(region, Shelf(context.folder, atlases.label_values).read())

    def _region(self, target: Target, host: Posterior) -> Region | None:
        patch, dilation = per_axis(self.patch_radius), per_axis(self.dilation)
        return make_region(target.images, target.grid.spacing_mm, host, patch=patch, dilation=dilation)

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
