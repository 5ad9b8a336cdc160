"""How boosted trees learn where a vote errs, and correct it: the part of corrective learning that methods share."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from threadpoolctl import threadpool_limits

from dlfbench.files import is_intact
from dlfbench.fusion.boosted_trees import BoostedTrees, read_trees, write_trees
from dlfbench.fusion.corrective_regions import Region
from dlfbench.fusion.posterior import Entries, Posterior
from dlfbench.images import UNKNOWN, LabelArray

log = logging.getLogger(__name__)

Models = Sequence[BoostedTrees | None]


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
    undrawn: tuple[int, ...] = ()

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
class Boosting:
    """How the trees of a label are grown.

    Attributes:
        rounds: Trees.
        leaves: Of a tree, at most.
        learning_rate: Shrinks every tree's contribution.
        samples: Voxels to learn from, at most; drawn at random where there are more.
    """

    rounds: int = 100
    leaves: int = 8
    learning_rate: float = 0.1
    samples: int = 100_000

    def learn(self, label: int, seen: Sequence[Seen], *, seed: int, threads: int) -> BoostedTrees | None:
        """Learns one label, given by its index; None where there is nothing to tell apart."""
        voxels = [v[truth.of(label, v) >= 0] for region, truth in seen for v in [region.voxels[label]]]
        chosen = draw([len(found) for found in voxels], self.samples, np.random.default_rng((seed, label)))
        voxels = [found[kept] for found, kept in zip(voxels, chosen, strict=True)]
        answers = np.concatenate([truth.of(label, v) == 1 for (_, truth), v in zip(seen, voxels, strict=True)])
        if answers.all() or not answers.any():
            log.warning("label index %d: %d voxels to learn from, all the same; the vote stands", label, len(answers))
            return None
        features = np.concatenate([region.features(label, v) for (region, _), v in zip(seen, voxels, strict=True)])
        from sklearn.ensemble import HistGradientBoostingClassifier  # takes a second; trees are read without

        classifier = HistGradientBoostingClassifier(
            learning_rate=self.learning_rate,
            max_iter=self.rounds,
            max_leaf_nodes=self.leaves,
            early_stopping=False,
            random_state=seed % 2**32,
        )
        with threadpool_limits(threads):
            return BoostedTrees.of(classifier.fit(features, answers))


def draw(counts: Sequence[int], most: int, generator: np.random.Generator) -> list[npt.NDArray[np.int64]]:
    """Which of each case's voxels to learn from: all, or so many drawn from all cases together."""
    total, ends = sum(counts), np.cumsum(counts)
    drawn = np.sort(generator.choice(total, most, replace=False)) if total > most else np.arange(total)
    parts = np.split(drawn, np.searchsorted(drawn, ends[:-1]))
    return [part - (end - count) for part, end, count in zip(parts, ends, counts, strict=True)]


def corrected(region: Region, models: Models) -> Posterior:
    """The vote, but where labels are in question what the trees say, shared out among those labels.

    Args:
        region: A case's vote, and the voxels in question.
        models: Trees of each label; None: the vote's share stands.
    """
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
    entries = found[0].joined(*found[1:]).summed(len(models)).where_sum_exceeds(0).normalised()
    return region.host.replaced(entries)


@dataclass(frozen=True)
class Shelf:
    """Where a fit leaves the trees of each label, one file a label: an interrupted fit goes on with those missing.

    Attributes:
        folder: Of the files.
        labels: The declared labels.
    """

    folder: Path
    labels: tuple[int, ...]

    @property
    def missing(self) -> list[int]:
        """Index of each label whose trees are not there, or damaged."""
        return [index for index in range(len(self.labels)) if not is_intact(self._path(index))]

    def put(self, label: int, trees: BoostedTrees | None) -> None:
        """Keeps a label's trees, or that there are none."""
        write_trees(self._path(label), trees)

    def read(self) -> list[BoostedTrees | None]:
        """The trees of every label."""
        return [read_trees(self._path(index)) for index in range(len(self.labels))]

    def _path(self, index: int) -> Path:
        return self.folder / f"label{self.labels[index]}.npz"
