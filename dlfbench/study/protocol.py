"""How a study splits its cases, as written in a study file."""

from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer, model_validator

from dlfbench.datasets.cases import Case
from dlfbench.datasets.shifts import Shift
from dlfbench.files import LONGEST_NAME

IN_DOMAIN = "in-domain"


@dataclass(frozen=True)
class Selector:
    """Cases by their columns: `group=uint8`, several values `group=a|b`, several columns `group=a,side=L`.

    >>> Selector("group=a|b,side=L").accepts(Case("p01L", (), None, {"group": "b", "side": "L"}))
    True
    """

    text: str

    def __post_init__(self) -> None:
        for part in self.text.split(","):
            column, equals, value = part.partition("=")
            if not (column.strip() and equals and value.strip()):
                raise ValueError(f"expected COLUMN=VALUE such as group=young, found {self.text!r}")

    @property
    def conditions(self) -> tuple[tuple[str, frozenset[str]], ...]:
        """(column, accepted values), all of which must hold."""
        pairs = (part.split("=", 1) for part in self.text.split(","))
        return tuple((column.strip(), frozenset(v.strip() for v in value.split("|"))) for column, value in pairs)

    def accepts(self, case: Case) -> bool:
        return all(case.columns.get(column) in values for column, values in self.conditions)


def _read_selector(value: Any) -> Any:
    return Selector(value) if isinstance(value, str) else value


SelectorField = Annotated[
    Selector, BeforeValidator(_read_selector), PlainSerializer(lambda selector: selector.text, return_type=str)
]

ShiftField = Annotated[
    Shift,
    BeforeValidator(lambda value: Shift(value) if isinstance(value, str) else value),
    PlainSerializer(lambda shift: shift.text, return_type=str),
]

# strict: `true` is no 1
Count = Annotated[int, Field(gt=0, strict=True)]
Amount = Annotated[float, Field(gt=0, strict=True)]


class Strict(BaseModel):
    """A table of a study file: unknown keys and wrong types are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True, arbitrary_types_allowed=True, use_attribute_docstrings=True)


class Protocol(Strict):
    """Training and test cases, and which atlases a target gets.

    What a field says is the help of its flag, and how a report names it.
    """

    folds: int | None = Field(None, ge=2, strict=True)
    """Cross-validation over people with so many folds."""

    folds_from: str | None = None
    """The folds of this file, as of nnU-Net's splits_final.json: who trains, and who is tested."""

    fold_column: str | None = None
    """Column of cases.tsv whose values are the folds, each tested once; people without a value always train."""

    repeats: Count = Field(1, le=1000)
    """Draw the folds, or the people held out, so many times (at most 1000)."""

    seeds: Count = Field(1, le=100)
    """Train each method that learns so many times, from other seeds (at most 100)."""

    hold_out: float | None = Field(None, gt=0, lt=1, strict=True)
    """Test on this share of the training people instead of folds."""

    train: SelectorField | None = None
    """Train only on these cases. Default: on all that no test set names."""

    test: dict[str, SelectorField] = {}
    """Named test sets beside the held-out cases, each tested in every fold."""

    shifts: dict[str, ShiftField] = {}
    """Changed copies of the held-out cases as further test sets, such as contrast:3, or 'noise:2 of SET' of another;
    missing:MODALITY puts noise for a modality."""

    match: tuple[str, ...] = ()
    """Atlases must agree with their target on these columns."""

    atlases: Count | None = None
    """At most so many atlases a target."""

    train_cases: Count | None = None
    """At most so many training cases a fold."""

    fewer_atlases: tuple[Count, ...] = ()
    """Besides, with so few atlases a target: for learning curves. `atlases = [5, 10, 20]` gives both."""

    fewer_train_cases: tuple[Count, ...] = ()
    """Besides, with so few training cases: for learning curves. `train_cases = [5, 10, 20]` gives both."""

    draws: Count = Field(1, le=100)
    """Draw the fewer cases so many times (at most 100); each draw's smaller sets lie in its larger ones."""

    test_cases: Count | None = None
    """At most so many cases of a fold in each test set."""

    cases: Count | None = None
    """At most so many cases in the training selection and in each named test set."""

    @model_validator(mode="before")
    @classmethod
    def _lists_are_curves(cls, tables: Any) -> Any:
        """The largest of several numbers is what everything else is about; the others are for learning curves."""
        for key in ("atlases", "train_cases") if isinstance(tables, dict) else ():
            if (
                isinstance(tables.get(key), list | tuple)
                and all(isinstance(n, int) for n in tables[key])
                and tables[key]
            ):
                *fewer, most = sorted(set(tables[key]))
                tables = {**tables, key: most, f"fewer_{key}": tuple(fewer)}
        return tables

    @model_validator(mode="after")
    def _one_way_to_split(self) -> "Protocol":
        if self.folds and self.hold_out:
            raise ValueError("give folds or hold_out, not both")
        if self.fold_column and (self.folds or self.hold_out or self.repeats > 1):
            raise ValueError("fold_column gives the folds; give no folds, hold_out or repeats beside it")
        if self.folds_from and (self.folds or self.hold_out or self.fold_column or self.repeats > 1):
            raise ValueError("folds_from gives the folds; give no folds, hold_out, fold_column or repeats beside it")
        if self.folds_from and (self.train or self.cases):
            raise ValueError("folds_from says who trains; give no train or cases beside it")
        if self.repeats > 1 and not (self.folds or self.hold_out):
            raise ValueError("repeats needs folds or hold_out")
        if IN_DOMAIN in self.test:
            raise ValueError(f"the name {IN_DOMAIN!r} is kept for cases held out of the training group")
        for name in (*self.test, *self.shifts):
            if not name.strip() or not name.isprintable() or len(name.encode()) > LONGEST_NAME:
                shown = name if len(name) <= 40 else f"{name[:40]}..."
                raise ValueError(f"test set {shown!r}: give it a name of 1 to {LONGEST_NAME} bytes without line breaks")
        twice = sorted({IN_DOMAIN, *self.test} & set(self.shifts))
        if twice:
            raise ValueError(f"shifts: the name {twice[0]!r} is another test set's; give the changed copy its own")
        return self

    def with_default_split(self) -> "Protocol":
        """Five folds where neither folds, hold-out nor test sets are given."""
        if self.folds or self.hold_out or self.fold_column or self.folds_from or self.test:
            return self
        return self.model_copy(update={"folds": 5})
