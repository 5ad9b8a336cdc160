"""What a run was made of, as it recorded it: whatever has come to its data since, its folds are what they were."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from dlfbench.datasets.cases import Case, Dataset
from dlfbench.engine.plan import open_data
from dlfbench.errors import InputError
from dlfbench.plugins import unknown
from dlfbench.records.description import Description, read_description
from dlfbench.records.folder import RunFolder
from dlfbench.report.shown import format as say
from dlfbench.study.splits import Fold
from dlfbench.study.tables import Study, read_run_study
from dlfbench.volumes import person_of


@dataclass(frozen=True)
class Recorded:
    """A run folder, opened to use one of its methods.

    Attributes:
        folder: The run folder.
        study: The run's study, resolved, with this method alone.
        dataset: The cases of its folds, less changed copies; persons and columns are as they were in the run.
        folds: As they were in the run.
        digests: By case, what the run recorded of its images and its reference.
    """

    folder: RunFolder
    study: Study
    dataset: Dataset
    folds: tuple[Fold, ...]
    digests: Mapping[str, tuple[str | None, str | None]]

    @property
    def training(self) -> tuple[Fold, ...]:
        """The folds without what was tested."""
        return tuple(replace(fold, tests={}) for fold in self.folds)

    def changed(self, digests: Mapping[str, tuple[str, str]]) -> list[str]:
        """Names of the cases that are not what the run had, of those whose digests are given."""
        return [name for name, pair in digests.items() if self.digests.get(name, pair) != pair]


def open_recorded(path: Path, method: str) -> Recorded:
    """Opens a run to use a method of it.

    Raises:
        InputError: There is no such run or method, the run does not say its folds, or a case of them is gone.
    """
    folder = RunFolder(path)
    if not folder.holds_run:
        raise InputError(
            f"{path}: expected the folder of a run, as `dlfbench run` makes it, or a file of `dlfbench export`"
        )
    study = read_run_study(folder.study_file)
    if method not in study.methods:
        raise InputError(f"{path}: {unknown('method', method, study.methods)}")
    said = read_description(folder)
    if not said.folds:
        raise InputError(f"{folder.splits_file}: expected the run's folds, found none; start the run again")
    alone = {"methods": {method: study.methods[method]}, "analysis": None}
    study = study.model_copy(update=alone).resolved()
    return Recorded(folder, study, _as_it_was(open_data(study), said, path), said.folds, said.identity.data)


def _as_it_was(dataset: Dataset, said: Description, path: Path) -> Dataset:
    """The cases of the run's folds; of those that were tested only, as many as are still there."""
    known = {case.name: case for case in dataset.cases}
    trained = {name for fold in said.folds for name in fold.train}
    tested = {name for fold in said.folds for name in fold.test_cases}
    if gone := sorted(trained - set(known)):
        raise InputError(
            f"{path}: {say.count(len(gone), 'case')} that it trained on (such as {gone[0]}) "
            f"{'is' if len(gone) == 1 else 'are'} not in {dataset.name} any more; put them back, or run again"
        )
    there = (known[name] for name in sorted((trained | tested) & set(known)))
    return replace(dataset, cases=tuple(_case_as_it_was(case, said) for case in there))


def _case_as_it_was(case: Case, said: Description) -> Case:
    recorded = said.data.cases.get(case.name)
    if recorded is None:
        return case
    columns = dict(recorded.columns)
    if recorded.person is not None and person_of(case.name, columns) != recorded.person:
        columns["person"] = recorded.person
    return replace(case, columns=columns)
