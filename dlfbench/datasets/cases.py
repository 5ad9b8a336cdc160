"""What a dataset is: cases with their files, label names and any columns that describe them."""

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np

from dlfbench.datasets.digests import digest, digest_file
from dlfbench.datasets.shifts import Shift
from dlfbench.errors import InputError
from dlfbench.files import file_name
from dlfbench.images import MOST_LABEL, UNKNOWN, Grid, LabelArray, read_image, read_labels
from dlfbench.plugins import unknown
from dlfbench.volumes import Target, person_of

if TYPE_CHECKING:
    from dlfbench.datasets.mapping import LabelMapping

ALL_LABELS = "all labels"
"""What reports call the mean over a case's labels; no label has this name."""

FIRST_GROUP = MOST_LABEL + 1
"""In tables groups of labels are numbered from here on: no label has such a value, and they stand after all labels."""

SHOWN_COLUMNS = ("person", "session", "side")
"""What methods see of `cases.tsv`: so far results may depend on it, and it is in the keys of tasks. A column that
describes people for the report, added or corrected later, costs no training."""

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")


@dataclass(frozen=True)
class LabelSet:
    """The declared labels of a dataset, background (0) first, in ascending order of value.

    Attributes:
        values: The integers in the label maps. Class axes of posteriors follow this order.
        names: One name per value.
        ignore: The integer that marks voxels of which nothing is to be known; None where there is none. It is no label.
        groups: Unions of labels that have a name, as nnU-Net's regions: name and values. They are scored like labels;
            methods know nothing of them, and they are in no mean over labels.
    """

    values: tuple[int, ...]
    names: tuple[str, ...]
    ignore: int | None = None
    groups: tuple[tuple[str, tuple[int, ...]], ...] = ()

    @property
    def foreground(self) -> tuple[tuple[int, str], ...]:
        """(value, name) of every label but the background."""
        return tuple(zip(self.values, self.names, strict=True))[1:]

    @property
    def scored(self) -> tuple[tuple[int, str, tuple[int, ...]], ...]:
        """(number in tables, name, values) of all that is scored: labels but the background, then groups of them."""
        alone = tuple((value, name, (value,)) for value, name in self.foreground)
        return alone + tuple((FIRST_GROUP + n, name, values) for n, (name, values) in enumerate(self.groups))

    @property
    def by_name(self) -> dict[str, int]:
        """Values by name, as dataset.json has them: with `ignore` where there is such a value."""
        ignored = {} if self.ignore is None else {"ignore": self.ignore}
        return {**dict(zip(self.names, self.values, strict=True)), **ignored}

    def with_groups(self, groups: Mapping[str, Sequence[int | str]]) -> "LabelSet":
        """The same labels with further groups of them.

        Args:
            groups: Labels by name of the group, each by name or value; one of a name that is there already replaces it.

        Raises:
            InputError: A label is not known, or a group cannot be used.
        """
        values = dict(zip(self.names, self.values, strict=True)) | {value: value for value in self.values}
        problems = [
            f"group {name!r}: {unknown('label', str(label), self.names)}"
            for name, labels in groups.items()
            for label in labels
            if label not in values
        ]
        if problems:
            raise InputError(problems)
        added = {name: tuple(sorted({values[label] for label in labels})) for name, labels in groups.items()}
        changed = replace(self, groups=tuple({**dict(self.groups), **added}.items()))
        if wrong := changed.problems():
            raise InputError(wrong)
        return changed

    def problems(self) -> list[str]:
        """What is wrong with the labels: names that are empty, taken or given twice, values out of range or order."""
        problems = [
            f"group {name!r} has no label but the background; name at least one"
            for name, values in self.groups
            if not set(values) & set(self.values[1:]) or 0 in values
        ]
        for name, times in Counter((*self.names, *(name for name, _ in self.groups))).items():
            if not name.strip() or name == ALL_LABELS or _CONTROL.search(name):
                problems.append(f"a label is called {name!r}, which cannot be told apart in tables; give another name")
            if times > 1:
                problems.append(f"{times} labels are called {name!r}; give each a name of its own")
        ascending = list(self.values) == sorted(set(self.values))
        if len(self.values) < 2 or self.values[0] != 0 or not ascending or len(self.values) != len(self.names):
            problems.append(
                f"expected background 0 and at least one other value, each once, none negative, "
                f"found {list(self.values)}"
            )
        elif self.values[-1] > MOST_LABEL:
            problems.append(f"expected values of at most {MOST_LABEL}, found {self.values[-1]}; number the labels anew")
        if self.ignore is not None and self.ignore in self.values:
            problems.append(f"value {self.ignore} is both to be ignored and a label; give one of them another value")
        return problems


@dataclass(frozen=True)
class Case:
    """One image (of one or several modalities) with its reference label map, as files.

    Attributes:
        name: Unique within the dataset.
        images: One file per modality, in the dataset's order.
        reference: The manual label map; None where it must not be known.
        columns: What `cases.tsv` says of the case: person, side, group, session, ...
        shift: How the images are changed when they are read, with the names of the modalities; None for not at all.
        ignore: Voxels of this value in the reference are `UNKNOWN`, unless `mapping` says what the value is.
        undrawn: Labels that nobody drew in this case: what the reference calls background may be any of them.
        mapping: From the values in the reference's file to labels; see `dlfbench.datasets.mapping`.
    """

    name: str
    images: tuple[Path, ...]
    reference: Path | None
    columns: Mapping[str, str] = field(default_factory=dict)
    shift: tuple[Shift, tuple[str, ...]] | None = None
    ignore: int | None = None
    undrawn: tuple[int, ...] = ()
    mapping: "LabelMapping | None" = None

    @property
    def partly_known(self) -> str:
        """What is not known of the reference's labels, as a text; empty where they are all known."""
        ignored = "" if self._ignored is None else f"ignore {self._ignored}"
        return ignored + (f" undrawn {' '.join(map(str, self.undrawn))}" if self.undrawn else "")

    @property
    def _ignored(self) -> int | None:
        """The value to be ignored; none where the mapping makes a label of it: there it is another tool's structure."""
        mapped = dict(self.mapping.pairs) if self.mapping else {}
        return self.ignore if self.ignore is None or mapped.get(self.ignore, UNKNOWN) == UNKNOWN else None

    @property
    def person(self) -> str:
        """Whose image it is."""
        return person_of(self.name, self.columns)

    @property
    def shown_columns(self) -> dict[str, str]:
        """The columns that methods see."""
        return {name: self.columns[name] for name in SHOWN_COLUMNS if name in self.columns}

    def read_target(self, *, exact: bool = False) -> Target:
        """The image as a method sees it: without the reference.

        Args:
            exact: As float64, for registrations: they magnify what 32 bits round, and how much that is depends on
                where a file's zero lies. Changed images (`shifted`) are float32 as for methods.
        """
        exact = exact and self.shift is None
        voxels, grids = zip(*(read_image(path, exact=exact) for path in self.images), strict=True)
        images = np.stack(voxels)
        if self.shift is not None:
            change, modalities = self.shift
            images = change.apply(images, modalities, self.name)
        return Target(self.name, images, grids[0], self.shown_columns)

    def read_reference(self) -> tuple[LabelArray, Grid]:
        """The manual label map (x, y, z), `UNKNOWN` where voxels are to be ignored, and its grid."""
        if self.reference is None:
            raise InputError(f"case {self.name}: has no reference")
        labels, grid = read_labels(self.reference)
        if self._ignored is not None:
            labels[labels == self._ignored] = UNKNOWN
        return (labels if self.mapping is None else self.mapping.apply(labels, str(self.reference))), grid

    def reference_digest(self) -> str:
        """Digest of what is known of the reference."""
        assert self.reference is not None
        how = [self.partly_known, str(self.mapping or "")]
        return ", ".join([digest_file(self.reference), *(text for text in how if text)])

    def blind(self) -> "Case":
        """The same case without its reference."""
        return replace(self, reference=None)

    def shifted(self, change: Shift, modalities: tuple[str, ...]) -> "Case":
        """The same case, whose images are changed when they are read; of the same person."""
        columns = {**self.columns, "person": self.person}
        return replace(
            self, name=shifted_name(self.name, change, modalities), columns=columns, shift=(change, modalities)
        )


def shifted_name(case: str, change: Shift, modalities: Sequence[str] = ()) -> str:
    """What a changed case is called; with a digest of the modality's name where another one's file would be called so.

    >>> [shifted_name("a", Shift(f"missing:{name}"), ("T1 MPRAGE", "T2", "T2*")) for name in ("T1 MPRAGE", "T2", "T2*")]
    ['a~missing-T1-MPRAGE', 'a~missing-T2', 'a~missing-T2-4d64a38a']
    """
    written = file_name(change.value)
    shared = written != change.value and [file_name(modality) for modality in modalities].count(written) > 1
    return f"{case}~{change.kind}-{written}" + (f"-{digest(change.value)[:8]}" if shared else "")


class Named(Protocol):
    """A case, in whatever layout."""

    @property
    def name(self) -> str: ...

    @property
    def reference(self) -> Path | None: ...


def double_names(cases: Iterable[Named]) -> list[str]:
    """One line for every case that has the name of an earlier one, with the label maps of both."""
    first: dict[str, Named] = {}
    problems: list[str] = []
    for case in cases:
        if case.name in first:
            problems.append(
                f"{case.reference}: case {case.name}: expected a name of its own, found that of "
                f"{first[case.name].reference}; name one of the two differently"
            )
        first.setdefault(case.name, case)
    return problems


def names_person(columns: Mapping[str, str]) -> bool:
    """Whether the columns of a case say whose it is; see `person_of`."""
    return bool(columns.get("person") or columns.get("session"))


@dataclass(frozen=True)
class Dataset:
    """Cases of one kind: the same modalities, the same labels.

    Attributes:
        name: For reports.
        modalities: Names of the image channels.
        labels: The declared labels.
        cases: In ascending order of name.
        description: One line on what it is; licence and source where known.
    """

    name: str
    modalities: tuple[str, ...]
    labels: LabelSet
    cases: tuple[Case, ...]
    description: str = ""

    def case(self, name: str) -> Case:
        """The case of that name; `InputError` if there is none."""
        for case in self.cases:
            if case.name == name:
                return case
        raise InputError(f"{self.name}: no case {name!r}; `dlfbench data info` lists what there is")

    def with_mapping(self, mapping: "LabelMapping") -> "Dataset":
        """The same dataset, whose label maps have the values of another tool."""
        return replace(self, cases=tuple(replace(case, mapping=mapping) for case in self.cases))

    @property
    def _counts(self) -> tuple[int, int, int]:
        """Cases but changed copies of one, their people, and how many cases do not say whose they are."""
        cases = [case for case in self.cases if case.shift is None]
        unnamed = sum(not names_person(case.columns) for case in cases)
        return len(cases), len({case.person for case in cases}), unnamed

    @property
    def people_in_words(self) -> str:
        """How many people; where the data do not say whose a case is, that each such case counts as one."""
        cases, people, unnamed = self._counts
        if unnamed == cases:
            return "not said; each case counts as a person"
        return f"{people}; of {unnamed} cases not said, each counts as a person" if unnamed else str(people)

    @property
    def in_words(self) -> str:
        """How many cases of how many people; changed copies of a case are no further ones."""
        cases, people, unnamed = self._counts
        said = f"{cases} case" if cases == 1 else f"{cases} cases"
        if unnamed == cases:
            return f"{said} (people not said; each case counts as a person)"
        doubt = f" (of {unnamed} cases not said; each counts as a person)" if unnamed else ""
        return f"{said} of {people} {'person' if people == 1 else 'people'}{doubt}"

    @property
    def columns(self) -> tuple[str, ...]:
        """Every column that at least one case has, in order of first appearance."""
        return tuple(dict.fromkeys(column for case in self.cases for column in case.columns))
