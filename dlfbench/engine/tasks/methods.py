"""What methods do: trainings and segmentations."""

import shutil
from dataclasses import dataclass
from pathlib import Path

from dlfbench.datasets.cases import Case, LabelSet
from dlfbench.engine.tasks.registration import RegistrationTask, keys_of, load_atlases
from dlfbench.engine.tasks.task import Place, Progress, Task
from dlfbench.engine.trouble import our_files, scratch_folder
from dlfbench.images import LabelArray, write_labels
from dlfbench.isolation.state import put_back
from dlfbench.metrics.signs import signs
from dlfbench.records.folder import Left, Product, RunFolder, write_text
from dlfbench.records.posteriors import write_posterior
from dlfbench.segmenters.interface import Context, Training, TrainingCase
from dlfbench.segmenters.outcome import check_outcome
from dlfbench.segmenters.registry import Method
from dlfbench.volumes import AtlasSet, Segmentation, Target


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
            self._begin(place.folder, left_out)
            for _, key in self.members:
                check_files(place.folder, "fit", key)
        cases = [FoldCase(case, tasks, place, self.labels) for case, tasks in self.cases]
        members = {name: place.folder.model_folder(key) for name, key in self.members}
        context = Context(folder, self.seed, place.device, place.threads, progress, members)
        training = Training(cases, self.labels.values, self.modalities, self.labels.names)
        with put_back():
            self.method.segmenter.fit(training, context)
        with our_files():
            place.folder.begun_path(self.key).unlink(missing_ok=True)
            files = [path for path in folder.rglob("*") if path.is_file() and not path.is_symlink()]
            return place.folder.left(files, [{"left_out": left_out}])

    def _begin(self, folder: RunFolder, left_out: list[str]) -> None:
        """Makes the model's folder; a model that was begun without other atlases than these is taken out."""
        model, begun = folder.model_folder(self.key), folder.begun_path(self.key)
        if begun.is_file() and begun.read_text().split() != left_out:
            shutil.rmtree(model, ignore_errors=True)
        folder.make(model).mkdir(exist_ok=True)
        write_text(begun, "\n".join(left_out))

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
        return None if names is None else keys_of(self.atlases, names)

    def run(self, place: Place, progress: Progress) -> Left:
        with our_files():
            target = self.target.read_target()
            self._check_model(place.folder)
        target.images.setflags(write=False)
        atlases = load_atlases(self.atlases, place, self.labels, progress)
        with scratch_folder() as scratch, put_back():
            folder = place.folder.model_folder(self.fit_key) if self.fit_key else scratch
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
        if not self.posteriors or outcome.found is None:
            return []
        path = folder.posterior_path(self.names["method"], self.names["fold"], self.target.name)
        write_posterior(folder.make(path), outcome.shares(self.labels.values))
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
