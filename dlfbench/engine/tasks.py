"""The kinds of task: what each reads, does and leaves. Tasks run in a child process of a worker (see `child`)."""

import logging
import shutil
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from dlfbench.datasets.cases import Case, LabelSet
from dlfbench.engine.keys import has_images
from dlfbench.engine.trouble import our_files
from dlfbench.errors import InputError
from dlfbench.fusion.oracle import Oracle
from dlfbench.fusion.partial import with_open_votes
from dlfbench.images import UNKNOWN, LabelArray, numbered, read_labels, write_labels
from dlfbench.isolation.state import put_back
from dlfbench.metrics.calibration import calibration
from dlfbench.metrics.signs import signs
from dlfbench.records.folder import Left, Product, RunFolder
from dlfbench.records.judge import Judge
from dlfbench.records.posteriors import read_listed, write_posterior
from dlfbench.registration.interface import Registration, WarpedAtlas
from dlfbench.registration.outcome import check_warped
from dlfbench.registration.store import WarpStore
from dlfbench.segmenters.interface import Context, Training, TrainingCase
from dlfbench.segmenters.outcome import check_outcome
from dlfbench.segmenters.registry import Method
from dlfbench.volumes import Atlas, AtlasSet, Segmentation, Target

log = logging.getLogger(__name__)

ORACLES = {"oracle05": 0.05, "oracle10": 0.10, "oracle20": 0.20, "oracle30": 0.30, "oracle50": 0.50}
Progress = Callable[[float, str], None]


@dataclass(frozen=True)
class Place:
    """Where a task runs.

    Attributes:
        run: The run folder.
        cache: The store of warped atlases.
        device: `cpu` or `cuda`.
        threads: CPU threads for one task.
    """

    run: Path
    cache: Path
    device: str = "cpu"
    threads: int = 1

    @property
    def folder(self) -> RunFolder:
        return RunFolder(self.run)

    @property
    def store(self) -> WarpStore:
        return WarpStore(self.cache)


@dataclass(frozen=True)
class Task(ABC):
    """One piece of work with one product.

    Attributes:
        key: Digest of everything that its result depends on.
        needs: Keys of the tasks whose products it reads.
        names: What it is about: method, fold, case, atlas.
        digests: Digests of the images and of the reference that were planned with, by case; others are not checked.
        code: The method's code that was planned with; see `packing.code_of`.
    """

    kind: ClassVar[str]
    judges: ClassVar[tuple[type[BaseException], ...]] = (BaseException,)
    """What it raises where it fails; anything else is trouble of the machine."""

    key: str
    needs: tuple[str, ...] = field(default=(), kw_only=True)
    names: dict[str, Any] = field(default_factory=dict, kw_only=True)
    digests: Mapping[str, tuple[str, str]] = field(default_factory=dict, kw_only=True, repr=False)
    code: tuple[tuple[str, str], ...] = field(default=(), kw_only=True, repr=False)

    @property
    def uses_gpu(self) -> bool:
        return False

    @property
    def requires(self) -> tuple[tuple[str, str], ...]:
        """Kind and key of those tasks that it needs without which there is nothing to do."""
        return ()

    @property
    def inputs(self) -> tuple[Path, ...]:
        """Files of the dataset that a method may open by itself."""
        return ()

    @property
    def image_cases(self) -> tuple[Case, ...]:
        """Cases whose images it reads."""
        return ()

    @property
    def reference_cases(self) -> tuple[Case, ...]:
        """Cases whose references it reads."""
        return ()

    @property
    def registrations(self) -> tuple["RegistrationTask", ...]:
        """Those whose warped atlases it reads, less those that failed."""
        return ()

    def used(self, product: Product) -> frozenset[str] | None:
        """Keys of the registrations that its product was made with; None where the product does not say."""
        return None

    def outdate(self, folder: RunFolder) -> None:
        """Takes out what earlier starts left, before this one makes it again: if it is stopped, the next must know."""
        folder.product_path(self.kind, self.key).unlink(missing_ok=True)

    def check_data(self) -> None:
        """Checks that the files of the dataset are as they were when this was planned.

        Raises:
            InputError: One has changed.
            OSError: One cannot be read.
        """
        planned = self.digests
        changed = [
            path
            for case in self.image_cases
            if case.name in planned and not has_images(case, planned[case.name][0])
            for path in case.images
        ]
        changed += [
            case.reference
            for case in self.reference_cases
            if case.name in planned and case.reference and case.reference_digest() != planned[case.name][1]
        ]
        if changed:
            raise InputError(
                f"{' or '.join(map(str, changed))}: changed since this run was started, whose results are all of one "
                "version of the data; put back what was there and start again, or start a new run with another --out"
            )

    @abstractmethod
    def run(self, place: Place, progress: Progress) -> Left:
        """Does the work; what it leaves becomes its product. Raises where it fails."""


@dataclass(frozen=True)
class RegistrationTask(Task):
    """Warps one atlas onto one target, into the store. `key` is the entry's key in the store."""

    kind = "registration"
    judges = (RuntimeError,)

    target: Case
    atlas: Case
    registration: Registration

    @property
    def image_cases(self) -> tuple[Case, ...]:
        return (self.target, self.atlas)

    @property
    def reference_cases(self) -> tuple[Case, ...]:
        return (self.atlas,)

    def run(self, place: Place, progress: Progress) -> Left:
        return Left([{"flags": list(self.warped(place, progress).flags)}])

    def outdate(self, folder: RunFolder) -> None:
        """Nothing: a warped atlas that is made again is the same."""

    def has_failed(self, place: Place) -> bool:
        """Whether the others do without it."""
        product = place.folder.read_product(self.kind, self.key)
        return product is not None and not product.ok

    def warped(self, place: Place, progress: Progress) -> WarpedAtlas:
        """The warped atlas from the store; made, or made again, where it is missing or damaged.

        Raises:
            RuntimeError: There is none; the registration says why.
            Trouble: Files cannot be read or written.
        """
        with our_files():
            warped = place.store.get(self.key)
            if warped is not None:
                return warped
            # another run may be at the same one
            with place.store.claim(self.key, waiting=lambda text: progress(0.0, text)):
                warped = place.store.get(self.key)
                if warped is None:
                    warped = self._register(place)
                    place.store.put(self.key, warped)
        return warped

    def _register(self, place: Place) -> WarpedAtlas:
        labels, grid = self.atlas.read_reference()
        values, numbers = numbered(labels)
        atlas = Atlas(self.atlas.name, self.atlas.read_target(exact=True).images, numbers, grid)
        target = self.target.read_target(exact=True)
        self.check_data()  # others would take the entry for one of the data as planned
        with tempfile.TemporaryDirectory(prefix="dlfbench-") as scratch, put_back(), self._blamed():
            warped = self.registration.warp(target, atlas, scratch=Path(scratch), threads=place.threads)
            check_warped(warped, target, atlas)
        return replace(warped, labels=np.where(warped.labels == UNKNOWN, UNKNOWN, values[warped.labels]))

    @contextmanager
    def _blamed(self) -> Iterator[None]:
        """In the body, what is raised is the registration's: it may raise anything, but memory is the machine's."""
        try:
            yield
        except MemoryError:
            raise
        except (Exception, SystemExit) as error:
            kind = "" if isinstance(error, RuntimeError) else f"{type(error).__name__}: "
            what = f"{type(self.registration).__name__}, atlas {self.atlas.name} on target {self.target.name}"
            raise RuntimeError(f"{what}: {kind}{error}") from error


def _keys_of(tasks: tuple[RegistrationTask, ...], atlases: Iterable[str]) -> frozenset[str]:
    """Keys of the registrations of these atlases."""
    names = set(atlases)
    return frozenset(task.key for task in tasks if task.atlas.name in names)


def _say_nothing(share: float, text: str) -> None:
    """Progress that nobody watches."""


def load_atlases(
    tasks: tuple[RegistrationTask, ...], place: Place, labels: LabelSet, progress: Progress = _say_nothing
) -> AtlasSet:
    """The atlases of one target, less those whose registration failed. All methods get the same.

    Raises:
        RuntimeError: None could be registered.
        Trouble: One that was registered cannot be read, or not be made again.
    """
    names, warped, undrawn = [], [], []
    for task in tasks:
        with our_files(Exception):
            if task.has_failed(place):
                continue
            warped.append(task.warped(place, progress))
        names.append(task.atlas.name)
        undrawn.append(task.atlas.undrawn)
    if tasks and not warped:
        raise RuntimeError(f"none of {len(tasks)} atlases could be registered to {tasks[0].target.name}")
    images = np.stack([w.images for w in warped]) if warped else np.empty((0, 0, 0, 0, 0), np.float32)
    candidates = np.stack([w.labels for w in warped]) if warped else np.empty((0, 0, 0, 0), np.int16)
    images.setflags(write=False)
    opened = with_open_votes(AtlasSet(tuple(names), images, candidates, labels.values), undrawn)
    opened.labels.setflags(write=False)
    return opened


@dataclass(frozen=True)
class FoldCase(TrainingCase):
    """A training case of a fold, read from its files and the store when asked for."""

    case: Case
    atlas_tasks: tuple[RegistrationTask, ...]
    place: Place
    labels: LabelSet

    @property
    def name(self) -> str:  # type: ignore[override]
        return self.case.name

    @property
    def person(self) -> str:
        return self.case.person

    @property
    def image_paths(self) -> tuple[Path, ...]:  # type: ignore[override]
        return self.case.images

    @property
    def reference_path(self) -> Path:  # type: ignore[override]
        assert self.case.reference is not None
        return self.case.reference

    @property
    def undrawn(self) -> tuple[int, ...]:
        return self.case.undrawn

    def read_target(self) -> Target:
        with our_files():
            return self.case.read_target()

    def read_reference(self) -> LabelArray:
        with our_files():
            return self.case.read_reference()[0]

    def read_atlases(self) -> AtlasSet:
        if not self.atlas_tasks:
            raise RuntimeError("read_atlases: nothing was registered; declare trains_on_atlases = True in the method")
        return load_atlases(self.atlas_tasks, self.place, self.labels)


@dataclass(frozen=True)
class FitTask(Task):
    """Trains one method on one fold; the model is a folder in the run."""

    kind = "fit"

    method: Method
    cases: tuple[tuple[Case, tuple[RegistrationTask, ...]], ...]
    labels: LabelSet
    modalities: tuple[str, ...]
    seed: int
    members: tuple[tuple[str, str], ...] = ()
    """Name and fit key of each member of the method that learns."""

    @property
    def uses_gpu(self) -> bool:
        return self.method.segmenter.uses_gpu

    @property
    def requires(self) -> tuple[tuple[str, str], ...]:
        return tuple(("fit", key) for _, key in self.members)

    @property
    def inputs(self) -> tuple[Path, ...]:
        cases = [case for case, _ in self.cases]
        return tuple(path for case in cases for path in (*case.images, case.reference) if path is not None)

    @property
    def image_cases(self) -> tuple[Case, ...]:
        return tuple(case for case, _ in self.cases)

    @property
    def reference_cases(self) -> tuple[Case, ...]:
        return self.image_cases

    @property
    def registrations(self) -> tuple[RegistrationTask, ...]:
        return tuple(task for _, tasks in self.cases for task in tasks)

    def used(self, product: Product) -> frozenset[str] | None:
        if not product.rows:
            return None
        return frozenset(task.key for task in self.registrations) - set(product.rows[0]["left_out"])

    def run(self, place: Place, progress: Progress) -> Left:
        folder = place.folder.model_folder(self.key)
        with our_files():
            left_out = [task.key for task in self.registrations if task.has_failed(place)]
            self.outdate(place.folder)
            place.folder.make(folder).mkdir(exist_ok=True)
            for _, key in self.members:
                check_files(place.folder, "fit", key)
        cases = [FoldCase(case, tasks, place, self.labels) for case, tasks in self.cases]
        members = {name: place.folder.model_folder(key) for name, key in self.members}
        context = Context(folder, self.seed, place.device, place.threads, progress, members)
        training = Training(cases, self.labels.values, self.modalities, self.labels.names)
        with put_back():
            self.method.segmenter.fit(training, context)
        with our_files():
            files = [path for path in folder.rglob("*") if path.is_file() and not path.is_symlink()]
            return place.folder.left(files, [{"left_out": left_out}])

    def forget(self, folder: RunFolder) -> None:
        """Takes out the model, so that a later start does not go on with it."""
        shutil.rmtree(folder.model_folder(self.key), ignore_errors=True)
        folder.product_path("fit", self.key).unlink(missing_ok=True)

    def outdate(self, folder: RunFolder) -> None:
        """Takes out a model that was finished and is made again; one that is not goes on."""
        product = folder.read_product("fit", self.key)
        finished = product.ok if product else folder.product_path("fit", self.key).exists()
        if finished:
            self.forget(folder)


@dataclass(frozen=True)
class SegmentationTask(Task):
    """Segments one target with one method; the label map is a file in the run, and the posterior on request.

    `target` carries no path to a reference: nothing of it can reach the method.
    """

    kind = "segmentation"

    method: Method
    target: Case
    atlases: tuple[RegistrationTask, ...]
    labels: LabelSet
    seed: int
    fit_key: str | None = None
    posteriors: bool = False

    @property
    def uses_gpu(self) -> bool:
        return self.method.segmenter.uses_gpu

    @property
    def requires(self) -> tuple[tuple[str, str], ...]:
        return (("fit", self.fit_key),) if self.fit_key else ()

    @property
    def inputs(self) -> tuple[Path, ...]:
        return self.target.images

    @property
    def image_cases(self) -> tuple[Case, ...]:
        return (self.target,)

    @property
    def registrations(self) -> tuple[RegistrationTask, ...]:
        return self.atlases

    def used(self, product: Product) -> frozenset[str] | None:
        names = product.rows[0].get("atlases") if product.rows else None
        return None if names is None else _keys_of(self.atlases, names)

    def run(self, place: Place, progress: Progress) -> Left:
        with our_files():
            target = self.target.read_target()
            self._check_model(place.folder)
        target.images.setflags(write=False)
        atlases = load_atlases(self.atlases, place, self.labels, progress)
        with tempfile.TemporaryDirectory(prefix="dlfbench-") as scratch, put_back():
            folder = place.folder.model_folder(self.fit_key) if self.fit_key else Path(scratch)
            context = Context(folder, self.seed, place.device, place.threads, progress)
            outcome = self.method.segmenter.segment(target, atlases, context)
        check_outcome(outcome, target.grid, self.labels.values)
        path = place.folder.segmentation_path(self.names["method"], self.names["fold"], self.target.name)
        with our_files():
            write_labels(place.folder.make(path), outcome.labels, target.grid)
            paths = [path, *self._write_posterior(place.folder, outcome)]
            made = signs(outcome, target, atlases, self.labels.values)
            return place.folder.left(paths, [{"atlases": list(atlases.names), "signs": made}])

    def _write_posterior(self, folder: RunFolder, outcome: Segmentation) -> list[Path]:
        """Where the posterior was written; nowhere unless it is wanted, and the method gives one."""
        if not self.posteriors or outcome.posterior is None:
            return []
        path = folder.posterior_path(self.names["method"], self.names["fold"], self.target.name)
        write_posterior(folder.make(path), outcome.posterior)
        return [path]

    def _check_model(self, folder: RunFolder) -> None:
        """Raises OSError where the model is not what the fit left."""
        if self.fit_key:
            check_files(folder, "fit", self.fit_key)


def check_files(folder: RunFolder, kind: str, key: str) -> Product:
    """The product of a task whose files are as it left them.

    Raises:
        OSError: The product or one of its files is missing or damaged.
    """
    product = folder.read_product(kind, key)
    damaged = [folder.product_path(kind, key)] if product is None else folder.damaged(product)
    if product is None or damaged:
        raise OSError(f"{damaged[0]}: missing or damaged; start again, and it is made again")
    return product


@dataclass(frozen=True)
class ScoreTask(Task):
    """Scores one segmentation against the reference: the first and only sight of it."""

    kind = "score"

    case: Case
    labels: LabelSet
    tolerance_mm: float

    @property
    def requires(self) -> tuple[tuple[str, str], ...]:
        return (("segmentation", self.needs[0]),)

    @property
    def reference_cases(self) -> tuple[Case, ...]:
        return (self.case,)

    def run(self, place: Place, progress: Progress) -> Left:
        path = place.folder.segmentation_path(self.names["method"], self.names["fold"], self.case.name)
        with our_files():
            made = check_files(place.folder, "segmentation", self.needs[0])
            prediction, grid = read_labels(path)
            judge = Judge.of(self.case, self.labels, self.tolerance_mm)
            posterior = read_listed(place.folder, made, self.names)
        judge.check_grid(grid, path.name)
        rows = judge.rows(prediction)
        if posterior is None:
            return Left(rows)
        bins = calibration(
            posterior, judge.reference, self.labels, spacing_mm=grid.spacing_mm, undrawn=self.case.undrawn
        )
        return Left([{**row, "calibration": bins.get(row["label"], [])} for row in rows])


@dataclass(frozen=True)
class BoundsTask(Task):
    """What fusion of these candidates can reach: the oracle at thresholds, and the candidates' own scores."""

    kind = "bounds"

    case: Case
    atlases: tuple[RegistrationTask, ...]
    labels: LabelSet
    tolerance_mm: float

    @property
    def reference_cases(self) -> tuple[Case, ...]:
        return (self.case,)

    @property
    def registrations(self) -> tuple[RegistrationTask, ...]:
        return self.atlases

    def used(self, product: Product) -> frozenset[str] | None:
        return _keys_of(self.atlases, [row["atlas"] for row in product.rows if row["bound"] == "candidate"])

    def run(self, place: Place, progress: Progress) -> Left:
        atlases = load_atlases(self.atlases, place, self.labels, progress)
        candidates = atlases.labels
        with our_files():
            judge = Judge.of(self.case, self.labels, self.tolerance_mm)
        oracle = Oracle.of(candidates, judge.reference, self.labels.values)
        rows: list[dict[str, Any]] = []
        for name, threshold in {"oracle_one": 1 / len(candidates), **ORACLES}.items():
            rows += [{"bound": name, **row} for row in judge.rows(oracle.at(threshold))]
        for atlas, candidate in zip(atlases.names, candidates, strict=True):
            candidate_rows = judge.rows(candidate.clip(min=0))  # beyond its field of view: background
            rows += [{"bound": "candidate", "atlas": atlas, **row} for row in candidate_rows]
        return Left(rows)
