"""A method with the settings that are best on the training cases."""

import csv
import io
import logging
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import product
from pathlib import Path
from typing import Literal

import numpy as np

from dlfbench.files import write_whole
from dlfbench.images import UNKNOWN
from dlfbench.segmenters.held_out import left_out
from dlfbench.segmenters.interface import Context, Segmenter, Training, TrainingCase
from dlfbench.segmenters.nested import host_of, part_of, within
from dlfbench.volumes import AtlasSet, Segmentation, Target

log = logging.getLogger(__name__)

_TRIED = "tried.csv"  # the report reads it
_CHOSEN = "chosen"
_AS_IT_IS = "as it is"


@dataclass(frozen=True)
class Tuned(Segmenter):
    """A method with the settings, of some, that are best on the training cases.

    Each training case is segmented with every setting by people other than its own: a label fusion method gets the
    atlases of the other training cases, one that learns is trained on each half of the people and asked about the
    other half, then, with the settings chosen, on all. The highest mean Dice over labels, cases and people wins; among
    equals the first, and first are the host's own settings.

    Attributes:
        host: The method, as on the command line: `jlf`, `svwv[form=gaussian]`, `dlf[steps=300]`.
        grid: Parameters and their values, all combinations of which are tried: `alpha=0.01|0.1|1;beta=1|2|4`.
        preset: The training budget of a host that has one.
    """

    host: str = "jlf"
    grid: str = "alpha=0.01|0.1|1;beta=1|2|4"
    preset: Literal["quick", "cpu", "paper"] = "cpu"

    def __post_init__(self) -> None:
        _ = self.settings  # so that what cannot be tried is refused here

    @cached_property
    def settings(self) -> dict[str, Segmenter]:
        """What is tried, by what is said of it: the host as it is first; none twice."""
        found: dict[str, Segmenter] = {_AS_IT_IS: host_of(self.host, self.preset)}
        for values in product(*([(name, value) for value in listed] for name, listed in self._grid.items())):
            made = host_of(self.host, self.preset, **dict(values))
            if made not in found.values():
                found[", ".join(f"{name}={value}" for name, value in values)] = made
        return found

    @property
    def parts(self) -> tuple[Segmenter, ...]:
        """The host with each setting."""
        return tuple(self.settings.values())

    @property
    def needs_training(self) -> bool:  # type: ignore[override]
        """Always: settings are chosen."""
        return True

    @property
    def needs_atlases(self) -> bool:  # type: ignore[override]
        """Whether the host does."""
        return any(part.needs_atlases for part in self.parts)

    @property
    def trains_on_atlases(self) -> bool:  # type: ignore[override]
        """Where the host fuses: it is asked about training cases."""
        return self.needs_atlases or any(part.needs_training and part.trains_on_atlases for part in self.parts)

    @property
    def held_out_parts(self) -> int:  # type: ignore[override]
        """Two halves, where the host learns on atlases."""
        return 2 * any(part.needs_training and part.trains_on_atlases for part in self.parts)

    @property
    def uses_gpu(self) -> bool:  # type: ignore[override]
        """Whether the host does."""
        return any(part.uses_gpu for part in self.parts)

    @property
    def learns_from_partial(self) -> bool:  # type: ignore[override]
        """Where the host does, or learns nothing."""
        return all(part.learns_from_partial or not part.needs_training for part in self.parts)

    def fit(self, training: Training, context: Context) -> None:
        """Tries every setting, those left of an interrupted fit not again; trains the host with the best one."""
        context.folder.mkdir(parents=True, exist_ok=True)
        dice, steps = _read(context.folder), len(self.settings) + 1
        for number, (said, method) in enumerate(self.settings.items()):
            if said not in dice:
                dice[said] = self._try(method, training, part_of(context, number, steps, f"{said}: "))
                write_whole(context.folder / _TRIED, lambda part: Path(part).write_text(_table(dice)))
        said = _best(dice)
        log.info("chosen: %s, Dice %.4f on the training cases; as it is %.4f", said, dice[said], dice[_AS_IT_IS])
        if self.settings[said].needs_training:
            last = part_of(context, steps - 1, steps, f"{said}: ")
            self.settings[said].fit(training, within(last, context.folder / _CHOSEN))

    def segment(self, target: Target, atlases: AtlasSet, context: Context) -> Segmentation:
        """The host segments with the settings that were chosen."""
        inside = replace(context, folder=context.folder / _CHOSEN)
        return self._chosen(context.folder).segment(target, atlases, inside)

    def pack(self, folder: Path, out: Path) -> None:
        """What was tried, and the host's model as the host packs it."""
        for host, there in self._handed_on(folder, out):
            host.pack(folder / _CHOSEN, there)

    def unpack(self, folder: Path, out: Path) -> None:
        """The same the other way round."""
        for host, there in self._handed_on(folder, out):
            host.unpack(folder / _CHOSEN, there)

    def _handed_on(self, folder: Path, out: Path) -> Iterator[tuple[Segmenter, Path]]:
        """The host chosen with its new folder in `out`, where it learns; what was tried is copied as it is."""
        shutil.copyfile(folder / _TRIED, out / _TRIED)
        host = self._chosen(folder)
        if host.needs_training:
            (out / _CHOSEN).mkdir()
            yield host, out / _CHOSEN

    @cached_property
    def _grid(self) -> dict[str, list[str]]:
        grid: dict[str, list[str]] = {}
        for part in self.grid.split(";"):
            name, equals, values = (text.strip() for text in part.partition("="))
            listed = [value.strip() for value in values.split("|")]
            if not name or not equals or not all(listed):
                raise ValueError(f"grid: expected PARAMETER=VALUE|VALUE;PARAMETER=VALUE.., found {self.grid!r}")
            if name in grid:
                raise ValueError(f"grid: {name!r} stands twice in {self.grid!r}")
            grid[name] = listed
        return grid

    def _chosen(self, folder: Path) -> Segmenter:
        return self.settings[_best(_read(folder))]

    def _try(self, method: Segmenter, training: Training, context: Context) -> float:
        """Mean Dice of the training cases, by a method that knows nothing of the case's person."""
        folder = context.folder / "trial"
        by_person: dict[str, list[float]] = {}
        parts = list(left_out(training)) if method.needs_training else [(training, training.cases)]
        for number, (known, asked) in enumerate(parts):
            inside = within(part_of(context, number, len(parts)), folder / str(number))
            if method.needs_training:
                method.fit(known, part_of(inside, 0, 2))
                inside = part_of(inside, 1, 2)
            for place, case in enumerate(asked):
                inside.progress(place / len(asked), case.name)
                by_person.setdefault(case.person, []).append(_dice_of(method, case, training.label_values, inside))
        shutil.rmtree(folder, ignore_errors=True)
        return _mean([_mean(values) for values in by_person.values()])


def _dice_of(method: Segmenter, case: TrainingCase, label_values: Sequence[int], context: Context) -> float:
    """Mean Dice over the labels that were drawn; voxels that are unknown do not count."""
    none = AtlasSet.none(tuple(label_values))
    atlases = case.read_atlases() if method.needs_atlases else none
    found, reference = method.segment(case.read_target(), atlases, context).labels, case.read_reference()
    known = reference != UNKNOWN
    masks = (((found == label) & known, reference == label) for label in label_values[1:] if label not in case.undrawn)
    shared = ((2 * int((one & other).sum()), int(one.sum() + other.sum())) for one, other in masks)
    return _mean([both / total if total else np.nan for both, total in shared])


def _mean(values: list[float]) -> float:
    """Of those that are numbers; NaN where none is."""
    return float(np.mean([value for value in values if not np.isnan(value)] or [np.nan]))


def _read(folder: Path) -> dict[str, float]:
    path = folder / _TRIED
    if not path.is_file():
        return {}
    with path.open(newline="") as file:
        return {row["settings"]: float(row["dice"]) for row in csv.DictReader(file)}


def _table(dice: dict[str, float]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerows([("settings", "dice"), *dice.items()])
    return text.getvalue()


def _best(dice: dict[str, float]) -> str:
    return max(dice, key=lambda said: -1.0 if np.isnan(dice[said]) else dice[said])
