"""From a study to its tasks: what must be computed, what each task needs, and the key of each."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

from dlfbench.datasets.cases import Dataset
from dlfbench.datasets.digests import digest
from dlfbench.datasets.known import open_dataset
from dlfbench.datasets.mapping import read_mapping
from dlfbench.engine.planner import Planner, in_order
from dlfbench.engine.tasks.task import Task
from dlfbench.errors import InputError
from dlfbench.isolation.references import sealed
from dlfbench.metrics.known import METRICS
from dlfbench.records.description import Identity
from dlfbench.study.splits import Fold, make_folds, trained_again, with_fewer, with_shifts
from dlfbench.study.tables import Study


@dataclass(frozen=True)
class Plan:
    """A study's tasks in an order in which each comes after those that it needs.

    Attributes:
        study: The resolved study.
        dataset: The dataset, less cases that no fold uses.
        folds: The splits.
        digests: Digest of each case's images and of its reference.
        tasks: By key.
        posteriors: Segmentations leave posteriors too.
        fewer: Further folds with fewer training cases or atlases, for learning curves alone.
        registration_version: As the registration says it; None where nothing is registered.
    """

    study: Study
    dataset: Dataset
    folds: tuple[Fold, ...]
    digests: dict[str, tuple[str, str]]
    tasks: dict[str, Task] = field(default_factory=dict)
    posteriors: bool = False
    fewer: tuple[Fold, ...] = ()
    registration_version: str | None = None

    def fold(self, index: int) -> Fold:
        """A fold by its index; those of learning curves too."""
        return self._by_index[index]

    @cached_property
    def _by_index(self) -> dict[int, Fold]:
        return {fold.index: fold for fold in (*self.folds, *self.fewer)}

    @property
    def identity(self) -> Identity:
        """What makes it comparable.

        How often methods are trained and what is done for learning curves is no part of it, so that a run can go on
        with more. Settings that are not given are left out, so that runs made before there was such a setting go on.
        """
        parts = {"seed", "protocol", "registration", "metrics"}
        tables = self.study.model_dump(mode="json", include=parts, exclude_none=True)
        for more in ("seeds", "fewer_atlases", "fewer_train_cases", "draws"):
            del tables["protocol"][more]
        if not tables["protocol"]["shifts"]:
            del tables["protocol"]["shifts"]
        if self.study.protocol.folds_from:  # the folds, wherever they are written
            splits = [[fold.train, fold.tests] for fold in self.folds if not fold.training]
            tables["protocol"]["folds_from"] = digest(splits)
        return Identity(**tables, registration_version=self.registration_version, data=self.digests)

    def references_for(self, task: Task) -> frozenset[str]:
        """Seals of the references that a method must not open while it does a task: those of the fold's test cases."""
        return self._seals[task.names["fold"]] if task.kind in ("fit", "segmentation") else frozenset()

    @cached_property
    def _seals(self) -> dict[int, frozenset[str]]:
        references = {case.name: case.reference for case in self.dataset.cases}
        return {
            fold.index: sealed(path for name in fold.test_cases if (path := references[name]) is not None)
            - sealed(path for name in fold.train if (path := references[name]) is not None)
            for fold in (*self.folds, *self.fewer)
        }

    def of_kind(self, kind: str) -> list[Task]:
        return [task for task in self.tasks.values() if task.kind == kind]


def open_data(study: Study) -> Dataset:
    """The dataset of a study, its label maps read as the study says.

    Raises:
        InputError: It cannot be opened.
    """
    dataset = open_dataset(study.data.dataset)
    dataset = replace(dataset, labels=dataset.labels.with_groups(study.groups))
    if study.labels.map is None:
        return dataset
    return dataset.with_mapping(read_mapping(Path(study.labels.map), dataset.labels))


def split(study: Study, dataset: Dataset) -> tuple[Study, tuple[Fold, ...], Dataset]:
    """The study with its defaults written out, its folds, and the dataset less cases that no fold uses.

    Raises:
        InputError: The split is not possible, or a declared analysis is of what is not there.
    """
    study = study.resolved()
    folds = make_folds(dataset.cases, study.protocol, study.seed)
    folds, dataset = with_shifts(folds, dataset, study.protocol)
    folds = trained_again(folds, study.protocol.seeds)
    _check_analysis(study, folds, dataset)
    used = {name for fold in folds for name in (*fold.train, *fold.test_cases)}
    return study, folds, replace(dataset, cases=tuple(case for case in dataset.cases if case.name in used))


def make_plan(
    study: Study,
    dataset: Dataset,
    digests: Mapping[str, tuple[str, str]] | None = None,
    *,
    posteriors: bool = False,
    folds: tuple[Fold, ...] | None = None,
) -> Plan:
    """Plans a study.

    Args:
        study: Any study; its defaults are written out.
        dataset: The opened dataset.
        digests: Of its cases, as far as they are known from an earlier plan.
        posteriors: Segmentations leave posteriors too.
        folds: Instead of those that the protocol makes.

    Raises:
        InputError: The split is not possible, a case has no atlas, a method or setting is wrong.
    """
    if folds is None:
        study, folds, dataset = split(study, dataset)
    planner = Planner(study, dataset, digests or {}, posteriors)
    _check_same_images(folds, dataset, planner.digests)
    fewer = with_fewer(folds, dataset.cases, study.protocol, study.seed)
    tasks = [task for fold in folds for task in planner.fold_tasks(fold)]
    tasks += [task for fold in fewer for task in planner.fold_tasks(fold) if task.kind != "bounds"]
    ready = {task.key: task for task in in_order(tasks)}
    registers = any(task.kind == "registration" for task in tasks)
    version = planner.registration.version() if registers else None
    return Plan(study, dataset, folds, planner.digests, ready, posteriors, fewer, version)


def _check_same_images(folds: Sequence[Fold], dataset: Dataset, digests: Mapping[str, tuple[str, str]]) -> None:
    """Checks that no image is on both sides of a fold under two names; changed copies are of cases that are there."""
    changed = {case.name for case in dataset.cases if case.shift is not None}
    found: dict[frozenset[str], int] = {}
    for fold in folds:
        trained = {digests[name][0]: name for name in fold.train}
        for name in fold.test_cases:
            twin = trained.get(digests[name][0]) if name not in changed else None
            if twin is not None:
                found.setdefault(frozenset((twin, name)), fold.index)
    if found:
        raise InputError(
            [
                f"cases {' and '.join(sorted(pair))} have the same image, and fold {index} trains on one and tests on "
                "the other; take one out, or give both one person in cases.tsv"
                for pair, index in found.items()
            ]
        )


def _check_analysis(study: Study, folds: Sequence[Fold], dataset: Dataset) -> None:
    """Checks that what a declared analysis is about is there; methods may come later."""
    test_sets = list(dict.fromkeys(name for fold in folds for name in fold.tests))
    labels = [name for _, name, _ in dataset.labels.scored]
    metrics = [metric.name for metric in METRICS]
    problems = study.analysis.unknown(test_sets=test_sets, labels=labels, metrics=metrics) if study.analysis else []
    if problems:
        raise InputError(problems)
