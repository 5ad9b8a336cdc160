"""From a study to its tasks: what must be computed, what each task needs, and the key of each."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from pathlib import Path

from dlfbench.datasets.cases import Case, Dataset
from dlfbench.datasets.digests import digest
from dlfbench.datasets.known import open_dataset
from dlfbench.datasets.mapping import read_mapping
from dlfbench.engine.fingerprint import fingerprint_of
from dlfbench.engine.keys import derive_seed, digests_of, identities, scoring_code
from dlfbench.engine.packing import Code, code_of
from dlfbench.engine.tasks import BoundsTask, FitTask, RegistrationTask, ScoreTask, SegmentationTask, Task
from dlfbench.errors import InputError
from dlfbench.fusion.oracle import Oracle
from dlfbench.isolation.references import sealed
from dlfbench.metrics.calibration import calibration
from dlfbench.metrics.known import METRICS
from dlfbench.records.description import Identity
from dlfbench.registration.store import warp_keys
from dlfbench.segmenters.interface import Segmenter
from dlfbench.segmenters.registry import Method
from dlfbench.study.protocol import Protocol
from dlfbench.study.splits import Fold, atlases_for, make_folds, trained_again, with_fewer, with_shifts
from dlfbench.study.tables import Study

_FORMAT = 1


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
    planner = _Planner(study, dataset, digests or {}, posteriors)
    _check_same_images(folds, dataset, planner.digests)
    fewer = with_fewer(folds, dataset.cases, study.protocol, study.seed)
    tasks = [task for fold in folds for task in planner.fold_tasks(fold)]
    tasks += [task for fold in fewer for task in planner.fold_tasks(fold) if task.kind != "bounds"]
    ready = {task.key: task for task in _in_order(tasks)}
    registers = any(task.kind == "registration" for task in tasks)
    version = planner.registration.version() if registers else None
    return Plan(study, dataset, folds, planner.digests, ready, posteriors, fewer, version)


@dataclass(frozen=True)
class NewImages:
    """What is to be done for images that are no cases of the study.

    Attributes:
        tasks: By key: registrations to the images, segmentations; and the fit on all cases where one is asked for.
        fits: By fold, key of the study's fit that its segmentations need.
        folds: Which folds segment each image; a fold on all cases counts on after those of the study.
        digests: Digest of the images and of the reference of each case that they need.
    """

    tasks: dict[str, Task]
    fits: Mapping[int, str]
    folds: tuple[int, ...]
    digests: Mapping[str, tuple[str, str]] = field(default_factory=dict)


def plan_images(
    study: Study, dataset: Dataset, images: Sequence[Case], *, folds: Sequence[Fold], refit: int | None
) -> NewImages:
    """Plans the segmentation of new images by the method of a study, as if they were test cases of these folds.

    Args:
        study: With one method.
        dataset: That of the study, as `split` gives it.
        images: Cases without references.
        folds: Whose atlases and models segment the images.
        refit: Instead, train anew on all cases of the study, which are the atlases too; the number of that fold.

    Raises:
        InputError: An image has no atlas.
    """
    segmenter = study.build_methods()[0].segmenter
    chosen = [fold for fold in folds if _takes_part(segmenter, fold)]
    if refit is not None:
        chosen = [Fold(refit, tuple(case.name for case in dataset.cases if case.shift is None), {})]
        study = study.model_copy(update={"protocol": study.protocol.model_copy(update={"atlases": None})})
    needed = {name for fold in chosen for name in fold.train}
    known = replace(dataset, cases=(*(case for case in dataset.cases if case.name in needed), *images))
    planner = _Planner(study, known, {}, len(chosen) > 1)  # the answers of several folds are averaged
    tasks: list[Task] = []
    for fold in chosen:
        tasks += planner.fold_tasks(replace(fold, tests={"images": tuple(case.name for case in images)}))
    fits = tuple(task for task in tasks if isinstance(task, FitTask))
    there = {need for fit in fits for need in fit.needs} | {fit.key for fit in fits}
    again = refit is not None
    left_out = set() if again else there - {need for t in tasks if t.kind == "segmentation" for need in t.needs}
    kinds = ("registration", "segmentation", *(("fit",) if again else ()))
    kept = {task.key: task for task in _in_order(tasks) if task.kind in kinds and task.key not in left_out}
    keys = {} if again else {fit.names["fold"]: fit.key for fit in fits if fit.method in planner.methods}
    return NewImages(kept, keys, tuple(fold.index for fold in chosen), planner.digests)


def plan_packaged(
    study: Study, dataset: Dataset, images: Sequence[Case], *, folds: Sequence[Fold], fits: Mapping[int, str]
) -> NewImages:
    """The same where only models are there, and not what they were trained on.

    Args:
        study: With one method.
        dataset: Its cases are the atlases; none where the method needs none.
        images: Cases without references.
        folds: Who was trained on.
        fits: Key of each fold's model.

    Raises:
        InputError: An image has no atlas.
    """
    known = replace(dataset, cases=(*dataset.cases, *images))
    planner = _Planner(study, known, {}, len(folds) > 1)
    tasks = [task for fold in folds for task in planner.image_tasks(fold, images, fits.get(fold.index))]
    needed = {fold.index: fits[fold.index] for fold in folds if fold.index in fits}
    return NewImages({t.key: t for t in _in_order(tasks)}, needed, tuple(fold.index for fold in folds))


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


def _in_order(tasks: Sequence[Task]) -> list[Task]:
    """Registrations first, then the long fits, then the rest; within a kind as planned."""
    order = ("registration", "fit", "bounds", "segmentation", "score")
    return sorted(tasks, key=lambda task: order.index(task.kind))


class _Planner:
    """Makes the tasks of one study fold by fold."""

    def __init__(
        self,
        study: Study,
        dataset: Dataset,
        known: Mapping[str, tuple[str, str]],
        posteriors: bool,
    ) -> None:
        self.study, self.dataset, self.posteriors = study, dataset, posteriors
        self.registration, self.methods = study.build_registration(), study.build_methods()
        self.cases = {case.name: case for case in dataset.cases}
        self.digests = {case.name: known.get(case.name) or digests_of(case) for case in dataset.cases}
        self._warp_key = warp_keys(self.registration)
        self._blind = {case.name: case.blind() for case in dataset.cases}
        self._atlas_digests = {name: digest(*pair) for name, pair in self.digests.items()}
        self._registrations: dict[tuple[str, str], RegistrationTask] = {}
        self._identities = identities(self.methods)
        self._codes: dict[str, Code] = {}
        self._scoring = scoring_code()
        self._groups = [dataset.labels.groups] if dataset.labels.groups else []

    @property
    def protocol(self) -> Protocol:
        return self.study.protocol

    def fold_tasks(self, fold: Fold) -> Iterable[Task]:
        train = [self.cases[name] for name in fold.train]
        # bounds are of atlases: where no method uses any, hours of registration for them would be a surprise
        methods = [method for method in self.methods if _takes_part(method.segmenter, fold)]
        registers = any(method.segmenter.needs_atlases for method in methods)
        targets = [self.cases[name] for name in fold.test_cases] if registers else []
        atlases = self._atlas_tasks(targets, train, fold.atlases)
        inside: dict[str, tuple[RegistrationTask, ...]] = {}
        if any(method.segmenter.trains_on_atlases for method in methods):
            inside = self._atlas_tasks(train, train, fold.atlases)
        for tasks in (*inside.values(), *atlases.values()):
            yield from tasks
        for method in methods:
            yield from self._method_tasks(method, fold, inside, atlases)
        for name, tasks in () if fold.training else atlases.items():
            yield self._bounds(fold, self.cases[name], tasks)

    def _atlas_tasks(
        self, targets: Sequence[Case], train: Sequence[Case], most: int | None = None
    ) -> dict[str, tuple[RegistrationTask, ...]]:
        """The registrations of each target; every target without an atlas is named in one error."""
        tasks: dict[str, tuple[RegistrationTask, ...]] = {}
        problems: list[str] = []
        for target in targets:
            try:
                chosen = atlases_for(target, train, self.protocol, most=most)
            except InputError as error:
                problems += error.problems
                continue
            tasks[target.name] = tuple(self._registration(target, atlas) for atlas in chosen)
        if problems:
            raise InputError(problems)
        return tasks

    def _registration(self, target: Case, atlas: Case) -> RegistrationTask:
        pair = (target.name, atlas.name)
        if pair not in self._registrations:  # in folds alike
            key = self._warp_key(self.digests[target.name][0], self._atlas_digests[atlas.name])
            names = {"case": target.name, "atlas": atlas.name}
            blind = self._blind[target.name]
            self._registrations[pair] = RegistrationTask(
                key, blind, atlas, self.registration, names=names, digests=self._planned(target, atlas)
            )
        return self._registrations[pair]

    def _method_tasks(
        self,
        method: Method,
        fold: Fold,
        inside: dict[str, tuple[RegistrationTask, ...]],
        atlases: dict[str, tuple[RegistrationTask, ...]],
    ) -> Iterable[Task]:
        fit = None
        if method.segmenter.needs_training:
            learning = [member for member in method.segmenter.members if member.segmenter.needs_training]
            members = [self._fit(member, fold, inside) for member in learning]
            fit = self._fit(method, fold, inside, members)
            yield from (*members, fit)
        for name in fold.test_cases:
            chosen = atlases[name] if method.segmenter.needs_atlases else ()
            segmentation = self._segmentation(method, fold, self.cases[name], chosen, fit.key if fit else None)
            yield segmentation
            yield self._score(segmentation)

    def _fit(
        self,
        method: Method,
        fold: Fold,
        inside: dict[str, tuple[RegistrationTask, ...]],
        members: Sequence[FitTask] = (),
    ) -> FitTask:
        uses_atlases = method.segmenter.trains_on_atlases
        cases = tuple((self.cases[name], inside[name] if uses_atlases else ()) for name in sorted(fold.train))
        needs = tuple(dict.fromkeys(task.key for _, tasks in cases for task in tasks))
        data = [[self.digests[case.name], [t.key for t in tasks], *_shown(case)] for case, tasks in cases]
        seed = derive_seed(self.study.seed, method.name, fold.index)
        labels, modalities = self.dataset.labels, self.dataset.modalities
        known = tuple((member.method.name, member.key) for member in members)
        what = [self._identities[method.name], data, asdict(replace(labels, groups=())), modalities, seed, *known]
        key = digest(_FORMAT, "fit", *what)
        names = {"method": method.name, "fold": fold.index}
        needs = (*needs, *(member.key for member in members))
        task = FitTask(key, method, cases, labels, modalities, seed, known, needs=needs, names=names)
        return replace(task, digests=self._planned(*(case for case, _ in cases)), code=self._code(method))

    def _segmentation(
        self, method: Method, fold: Fold, target: Case, atlases: tuple[RegistrationTask, ...], fit_key: str | None
    ) -> SegmentationTask:
        seed = derive_seed(self.study.seed, method.name, fold.index, target.name)
        atlas_keys = tuple(task.key for task in atlases)
        data = [self.digests[target.name][0], target.name, fold.index, atlas_keys, fit_key, self.dataset.labels.values]
        wanted = [*_shown(target), *(["posterior"] if self.posteriors else [])]
        key = digest(_FORMAT, "segmentation", method.name, self._identities[method.name], data, seed, *wanted)
        names = {"method": method.name, "fold": fold.index, "case": target.name}
        needs = (*atlas_keys, *((fit_key,) if fit_key else ()))
        blind, labels = self._blind[target.name], self.dataset.labels
        task = SegmentationTask(
            key, method, blind, atlases, labels, seed, fit_key, self.posteriors, needs=needs, names=names
        )
        return replace(task, digests=self._planned(target), code=self._code(method))

    def image_tasks(self, fold: Fold, images: Sequence[Case], fit_key: str | None) -> Iterable[Task]:
        """Registrations and segmentations of images by the one method of the study, whose model is there."""
        (method,) = self.methods
        registers = method.segmenter.needs_atlases
        train = [self.cases[name] for name in fold.train] if registers else []
        atlases = self._atlas_tasks(images if registers else (), train)
        for tasks in atlases.values():
            yield from tasks
        for image in images:
            yield self._segmentation(method, fold, image, atlases.get(image.name, ()), fit_key)

    def _score(self, segmentation: SegmentationTask) -> ScoreTask:
        case = self.cases[segmentation.target.name]
        tolerance = self.study.metrics.surface_dice_tolerance_mm
        code = [self._scoring, *([fingerprint_of(calibration).sources] if self.posteriors else [])]
        key = digest(_FORMAT, "score", segmentation.key, self.digests[case.name][1], tolerance, *code, *self._groups)
        about = segmentation.names
        task = ScoreTask(key, case, self.dataset.labels, tolerance, needs=(segmentation.key,), names=about)
        return replace(task, digests=self._planned(case))

    def _bounds(self, fold: Fold, case: Case, atlases: tuple[RegistrationTask, ...]) -> BoundsTask:
        keys = tuple(task.key for task in atlases)
        tolerance = self.study.metrics.surface_dice_tolerance_mm
        code = [self._scoring, fingerprint_of(Oracle).sources, *self._groups]
        about = [fold.index, case.name, keys, self.digests[case.name][1], tolerance]
        key = digest(_FORMAT, "bounds", *about, code)
        names = {"fold": fold.index, "case": case.name}
        task = BoundsTask(key, case, atlases, self.dataset.labels, tolerance, needs=keys, names=names)
        return replace(task, digests=self._planned(case))

    def _planned(self, *cases: Case) -> dict[str, tuple[str, str]]:
        return {case.name: self.digests[case.name] for case in cases}

    def _code(self, method: Method) -> Code:
        if method.name not in self._codes:
            self._codes[method.name] = code_of(method.segmenter)
        return self._codes[method.name]


def _shown(case: Case) -> list[dict[str, str]]:
    """What a method sees of a case besides its image; nothing where that is nothing."""
    return [case.shown_columns] if case.shown_columns else []


def _takes_part(segmenter: Segmenter, fold: Fold) -> bool:
    """Whether anything is otherwise for the method in this fold than in the first of its split."""
    if fold.atlases is not None:
        return segmenter.needs_atlases or segmenter.trains_on_atlases
    return segmenter.needs_training or not fold.training
