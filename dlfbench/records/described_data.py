"""What a run says of its data: files, people and columns of every case, and how label maps are read."""

from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

from dlfbench.datasets.cases import Case, Dataset, LabelSet
from dlfbench.datasets.decathlon import undrawn_labels
from dlfbench.datasets.mapping import LabelMapping
from dlfbench.datasets.shifts import Shift


class Said(BaseModel):
    """Something that a run says of itself. What is not said is empty, what a later build says more is passed over."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class DescribedCase(Said):
    """A case: where its files are, whose it is.

    Attributes:
        images: One file per modality, absolute, or from the run folder on.
        reference: The label map; None where it is not to be known where it is.
        person: Whose image it is; None where that is not said.
        columns: What cases.tsv says of it.
        shift: How its images are changed, as in a study; None for not at all.
    """

    images: tuple[str, ...] = ()
    reference: str | None = None
    person: str | None = None
    columns: dict[str, str] = Field(default_factory=dict)
    shift: str | None = None

    @classmethod
    def of(cls, case: Case) -> "DescribedCase":
        """What is written of a case."""
        return cls(
            images=tuple(str(path) for path in case.images),
            reference=case.reference and str(case.reference),
            person=case.person,
            columns=dict(case.columns),
            shift=case.shift and case.shift[0].text,
        )


class DescribedData(Said):
    """The data of a run, `cases.json`.

    Attributes:
        dataset: Its name.
        description: One line on what it is.
        modalities: Names of the image channels.
        labels: Value by name, background first.
        ignore: Value of voxels of which nothing is to be known.
        groups: Groups of labels: their values by name.
        mapping: From the values in the references' files to labels.
        cases: By name.
    """

    dataset: str = ""
    description: str = ""
    modalities: tuple[str, ...] = ()
    labels: dict[str, int] = Field(default_factory=dict)
    ignore: int | None = None
    groups: dict[str, tuple[int, ...]] = Field(default_factory=dict)
    mapping: LabelMapping | None = None
    cases: dict[str, DescribedCase] = Field(default_factory=dict)

    @classmethod
    def of(cls, dataset: Dataset) -> "DescribedData":
        """What is written of a dataset."""
        return cls(
            dataset=dataset.name,
            description=dataset.description,
            modalities=dataset.modalities,
            labels=dict(zip(dataset.labels.names, dataset.labels.values, strict=True)),
            ignore=dataset.labels.ignore,
            groups=dict(dataset.labels.groups),
            mapping=dataset.cases[0].mapping if dataset.cases else None,
            cases={case.name: DescribedCase.of(case) for case in dataset.cases},
        )

    @property
    def label_set(self) -> LabelSet:
        """The declared labels and groups; none where they are not said."""
        return LabelSet(tuple(self.labels.values()), tuple(self.labels), self.ignore, tuple(self.groups.items()))

    def values_of(self, number: int) -> tuple[int, ...]:
        """The values in label maps that a row of the results is about: the label's own, or those of the group."""
        return next((values for known, _, values in self.label_set.scored if known == number), (number,))

    @property
    def columns(self) -> tuple[str, ...]:
        """Columns of cases.tsv that are known of some case."""
        return tuple(dict.fromkeys(name for case in self.cases.values() for name in case.columns))

    def case(self, name: str, folder: Path) -> Case:
        """A case as the run read it.

        Args:
            name: Of the case.
            folder: The run folder, where files are whose paths are relative to it.

        Raises:
            KeyError: Nothing is said of the case.
        """
        said, labels = self.cases[name], self.label_set
        columns = {**said.columns, "person": said.person or name}
        return Case(
            name,
            tuple(_located(path, folder) for path in said.images),
            _located(said.reference, folder) if said.reference else None,
            columns,
            shift=(Shift(said.shift), self.modalities) if said.shift else None,
            ignore=labels.ignore,
            undrawn=undrawn_labels(columns, labels)[0],
            mapping=self.mapping,
        )


def _located(path: str, folder: Path) -> Path:
    """A path from the run folder on, where it is relative and there is such a file; else as it was written."""
    inside = folder / path
    return inside if inside.is_file() or not Path(path).is_file() else Path(path)
