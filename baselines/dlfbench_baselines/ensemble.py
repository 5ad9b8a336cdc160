"""Several methods as one: their posteriors combined."""

import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt

from dlfbench.files import copy_folder, file_name, write_whole
from dlfbench.fusion.combination import By, combined, disputed, learned_weights
from dlfbench.fusion.posterior import Posterior
from dlfbench.fusion.votes import class_indices
from dlfbench.images import UNKNOWN, LabelArray
from dlfbench.segmenters.held_out import left_out
from dlfbench.segmenters.interface import Context, Segmenter, Training, TrainingCase
from dlfbench.segmenters.nested import within
from dlfbench.segmenters.packing import CHECKPOINT
from dlfbench.segmenters.registry import Method, make_method
from dlfbench.segmenters.specs import parse_method
from dlfbench.volumes import AtlasSet, Segmentation, Target

EQUAL, STACKED = "equal", "stacked"
_WEIGHTS = "weights.json"
_VOXELS = 20_000  # that weights are learned from: a handful of numbers, known to three digits


@dataclass(frozen=True)
class Ensemble(Segmenter):
    """Several methods as one: log odds summed, posteriors averaged, or what most of them say.

    Members are trained on the fold's training cases as they are by themselves; where a study has a member as a method
    of the same name, its model is taken. A member without posterior counts as certain of its labels.

    Attributes:
        of: The members, as on the command line, with semicolons between them: `jlf_cl;dlf`, `jlf[beta=4];mine=dlf`.
        by: odds, mean or majority (of three members or more).
        weights: `equal`; one number per member, with semicolons between them; or `stacked`: learned on training cases
            that the members did not learn from, for which each that learns is trained twice more, on half of the
            training cases each time.
        preset: The training budget of members that have one.
    """

    of: str = "jlf;unet"
    by: By = "odds"
    weights: str = EQUAL
    preset: Literal["quick", "cpu", "paper"] = "cpu"

    def __post_init__(self) -> None:
        if len(self.members) < 2:
            raise ValueError(f"of: expected two methods or more with semicolons between them, found {self.of!r}")
        if self.by == "majority" and len(self.members) < 3:
            raise ValueError("by: a majority of two methods is the lower label wherever they differ; take odds or mean")
        if self.by == "majority" and self.weights == STACKED:
            raise ValueError("weights: those of a majority cannot be learned; take by=odds or by=mean")
        if self.weights != STACKED:
            self._fixed_weights()

    @cached_property
    def members(self) -> tuple[Method, ...]:
        """The members by name, as a study would have them."""
        tables = [parse_method(spec.strip()) for spec in self.of.split(";") if spec.strip()]
        names = [name for name, _ in tables]
        if len(set(names)) < len(names):
            raise ValueError(f"of: expected each method once, found {self.of!r}; name variants: a=jlf[beta=4]")
        return tuple(make_method(name, str(table.pop("use")), table, preset=self.preset) for name, table in tables)

    @property
    def parts(self) -> tuple[Segmenter, ...]:
        """The members."""
        return tuple(member.segmenter for member in self.members)

    @property
    def needs_atlases(self) -> bool:  # type: ignore[override]
        """Whether a member does."""
        return any(part.needs_atlases for part in self.parts)

    @property
    def needs_training(self) -> bool:  # type: ignore[override]
        """Whether a member does, or weights are learned."""
        return self.weights == STACKED or any(part.needs_training for part in self.parts)

    @property
    def trains_on_atlases(self) -> bool:  # type: ignore[override]
        """Whether a member does, or weights are learned with one that fuses."""
        fuses = self.weights == STACKED and self.needs_atlases
        return fuses or any(part.needs_training and part.trains_on_atlases for part in self.parts)

    @property
    def held_out_parts(self) -> int:  # type: ignore[override]
        """Two halves, where weights are learned and a member learns on atlases."""
        learns = any(part.needs_training and part.trains_on_atlases for part in self.parts)
        return 2 * (self.weights == STACKED and learns)

    @property
    def uses_gpu(self) -> bool:  # type: ignore[override]
        """Whether a member does."""
        return any(part.uses_gpu for part in self.parts)

    @property
    def learns_from_partial(self) -> bool:  # type: ignore[override]
        """Whether every member does that learns."""
        return all(part.learns_from_partial for part in self.parts if part.needs_training)

    def fit(self, training: Training, context: Context) -> None:
        """Takes the members' models, or trains them; learns weights where they are learned."""
        for member in self._learning:
            folder = _folder(context.folder, member)
            if (known := context.members.get(member.name)) is not None:
                copy_folder(known, folder, leave_out=f"{CHECKPOINT}*")
            else:
                member.segmenter.fit(training, within(context, folder))
        if self.weights == STACKED and not (context.folder / _WEIGHTS).is_file():
            self._learn_weights(training, context)

    def segment(self, target: Target, atlases: AtlasSet, context: Context) -> Segmentation:
        """Each member segments, then they are combined."""
        posterior = combined(self._posteriors(target, atlases, context), self._weights(context.folder), self.by)
        return Segmentation(posterior.labels(), posterior)

    def pack(self, folder: Path, out: Path) -> None:
        """Each member's model as the member packs it, and weights."""
        for member, there in self._handed_on(folder, out):
            member.segmenter.pack(_folder(folder, member), there)

    def unpack(self, folder: Path, out: Path) -> None:
        """The same the other way round."""
        for member, there in self._handed_on(folder, out):
            member.segmenter.unpack(_folder(folder, member), there)

    def _handed_on(self, folder: Path, out: Path) -> Iterator[tuple[Method, Path]]:
        """Members that learn, each with its new folder in `out`; the weights are copied as they are."""
        if self.weights == STACKED:
            shutil.copyfile(folder / _WEIGHTS, out / _WEIGHTS)
        for member in self._learning:
            there = _folder(out, member)
            there.mkdir(parents=True)
            yield member, there

    @property
    def _learning(self) -> tuple[Method, ...]:
        return tuple(member for member in self.members if member.segmenter.needs_training)

    def _posteriors(self, target: Target, atlases: AtlasSet, context: Context) -> list[Posterior]:
        none = atlases.some(np.empty(0, np.intp))
        found = []
        for member in self.members:
            given = atlases if member.segmenter.needs_atlases else none
            folder = _folder(context.folder, member) if member.segmenter.needs_training else context.folder
            outcome = member.segmenter.segment(target, given, replace(context, folder=folder))
            found.append(outcome.shares(atlases.label_values))
        return found

    def _fixed_weights(self) -> list[float]:
        if self.weights == EQUAL:
            return [1.0] * len(self.members)
        try:
            numbers = [float(number) for number in self.weights.split(";")]
        except ValueError:
            numbers = []
        if len(numbers) != len(self.members) or min(numbers) < 0 or not 0 < sum(numbers) < float("inf"):
            raise ValueError(
                f"weights: expected {EQUAL}, {STACKED}, or {len(self.members)} numbers of 0 or more with semicolons "
                f"between them, not all 0, found {self.weights!r}"
            )
        return numbers

    def _weights(self, folder: Path) -> list[float]:
        if self.weights != STACKED:
            return self._fixed_weights()
        known = json.loads((folder / _WEIGHTS).read_text())
        return [known[member.name] for member in self.members]

    def _learn_weights(self, training: Training, context: Context) -> None:
        """Learns them, and leaves them in the folder; what was trained for it alone is removed."""
        folder = context.folder / "halves"
        seen = list(self._see(training, replace(context, folder=folder)))
        shares, truth = (np.concatenate(parts) for parts in zip(*seen, strict=True))
        assert self.by != "majority"
        found = learned_weights(shares, truth, self.by)
        text = json.dumps(dict(zip([member.name for member in self.members], map(float, found), strict=True)))
        write_whole(context.folder / _WEIGHTS, lambda part: Path(part).write_text(text))
        shutil.rmtree(folder, ignore_errors=True)

    def _see(self, training: Training, context: Context) -> Iterator[tuple[npt.NDArray[np.float32], LabelArray]]:
        """Shares (voxel, member, class) and true classes of each training case, by members that do not know it."""
        generator = np.random.default_rng(context.seed)
        most = max(1, _VOXELS // len(training.cases))
        for number, (known, asked) in enumerate(left_out(training) if self._learning else [(training, training.cases)]):
            half = replace(context, folder=context.folder / str(number))
            for member in self._learning:
                member.segmenter.fit(known, within(half, _folder(half.folder, member)))
            half.folder.mkdir(parents=True, exist_ok=True)
            for case in asked:
                yield self._voxels_of(case, training.label_values, half, generator, most)

    def _voxels_of(
        self, case: TrainingCase, labels: tuple[int, ...], context: Context, generator: np.random.Generator, most: int
    ) -> tuple[npt.NDArray[np.float32], LabelArray]:
        target = case.read_target()
        atlases = case.read_atlases() if self.needs_atlases else AtlasSet.none(labels)
        posteriors = self._posteriors(target, atlases, context)
        voxels, reference = disputed(posteriors), case.read_reference().ravel()
        # background may be any of the labels that nobody drew
        known = (reference[voxels] != UNKNOWN) & ((reference[voxels] > 0) | (not case.undrawn))
        voxels = voxels[known]
        voxels = np.sort(generator.choice(voxels, min(most, len(voxels)), replace=False))
        shares = np.stack([posterior.at(voxels) for posterior in posteriors], axis=1)
        return shares, class_indices(reference[voxels], labels)


def _folder(root: Path, member: Method) -> Path:
    return root / file_name(member.name)
