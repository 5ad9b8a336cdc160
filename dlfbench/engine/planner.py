"""Makes the tasks of a study fold by fold, each with its key."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, replace

from dlfbench.datasets.cases import Case, Dataset
from dlfbench.datasets.digests import digest
from dlfbench.engine.fingerprint import fingerprint_of
from dlfbench.engine.keys import derive_seed, digests_of, identities, scoring_code
from dlfbench.engine.packing import Code, code_of
from dlfbench.engine.tasks.methods import FitTask, SegmentationTask
from dlfbench.engine.tasks.registration import RegistrationTask
from dlfbench.engine.tasks.scoring import BoundsTask, ScoreTask
from dlfbench.engine.tasks.task import Task
from dlfbench.errors import InputError
from dlfbench.fusion.oracle import Oracle
from dlfbench.metrics.calibration import calibration
from dlfbench.registration.store import warp_keys
from dlfbench.segmenters.interface import Segmenter
from dlfbench.segmenters.people import groups_of_people
from dlfbench.segmenters.registry import Method
from dlfbench.study.protocol import Protocol
from dlfbench.study.splits import Fold, atlases_for
from dlfbench.study.tables import Study

_FORMAT = 1


def in_order(tasks: Sequence[Task]) -> list[Task]:
    """Tasks as they are worked on: registrations first, then the long fits, then the rest; within a kind as planned."""
    order = ("registration", "fit", "bounds", "segmentation", "score")
    return sorted(tasks, key=lambda task: order.index(task.kind))


class Planner:
    """Makes the tasks of one study fold by fold.

    Args:
        study: With its defaults written out.
        dataset: Its cases are trained on, tested or segmented.
        known: Digests of cases, as far as an earlier plan knows them.
        posteriors: Segmentations leave posteriors too.
    """

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
        """Every task of a fold; one that an earlier fold needs too comes again."""
        train = [self.cases[name] for name in fold.train]
        # bounds are of atlases: where no method uses any, hours of registration for them would be a surprise
        methods = [method for method in self.methods if takes_part(method.segmenter, fold)]
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
        _check_held_out(method, cases)
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


def _check_held_out(method: Method, cases: Sequence[tuple[Case, tuple[RegistrationTask, ...]]]) -> None:
    """Checks that each case keeps an atlas in every training that the method does without part of the people.

    Raises:
        InputError: With the cases of each such training that do not.
    """
    problems = []
    for parts in sorted({part.held_out_parts for part in (method.segmenter, *method.segmenter.parts)} - {0}):
        for people in groups_of_people([case for case, _ in cases], parts):
            away = {case.name for case in people}
            lost = [
                case.name
                for case, tasks in cases
                if tasks and case.name not in away and away.issuperset(task.names["atlas"] for task in tasks)
            ]
            if lost:
                problems.append(
                    f"method {method.name!r}: trains without {len(away)} of {len(cases)} training cases at a time, and "
                    f"then no atlas is left of {len(lost)} others (such as {lost[0]}), whose atlases all are among "
                    "these; give more atlases (--atlases), or match on fewer columns"
                )
    if problems:
        raise InputError(problems)


def _shown(case: Case) -> list[dict[str, str]]:
    """What a method sees of a case besides its image; nothing where that is nothing."""
    return [case.shown_columns] if case.shown_columns else []


def takes_part(segmenter: Segmenter, fold: Fold) -> bool:
    """Whether anything is otherwise for the method in this fold than in the first of its split."""
    if fold.atlases is not None:
        return segmenter.needs_atlases or segmenter.trains_on_atlases
    return segmenter.needs_training or not fold.training
