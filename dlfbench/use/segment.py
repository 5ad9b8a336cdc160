"""Segments new images with a method of a run: its atlases, its models, its registrations, the run's engine."""

import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from dlfbench.datasets.cases import Case, Dataset, LabelSet
from dlfbench.engine.cluster import Resources
from dlfbench.engine.execute import Watcher, pending, run_tasks
from dlfbench.engine.new_images import NewImages, keys_of_tested, plan_images, plan_packaged
from dlfbench.engine.planner import takes_part
from dlfbench.engine.tasks.task import Place, Task
from dlfbench.engine.work import Options, locked, where_it_runs
from dlfbench.errors import InputError
from dlfbench.files import copy_folder
from dlfbench.fusion.combination import combined
from dlfbench.images import Grid, LabelArray, read_labels, write_labels
from dlfbench.records.folder import RunFolder, write_json, write_text
from dlfbench.records.posteriors import read_shares
from dlfbench.records.results import SIGNS_TABLE
from dlfbench.report.shown import format as say
from dlfbench.study.splits import Fold
from dlfbench.study.tables import Study, read_run_study
from dlfbench.use.images import check_images, find_images, without_names_of
from dlfbench.use.page import write_page
from dlfbench.use.quality import Teacher, mean_signs
from dlfbench.use.recorded import Recorded, open_recorded
from dlfbench.use.segmented import Segmented, quality_table, volumes_table
from dlfbench.use.unpacked import Package, open_package, packed_commands

_WORK = "work"
_ABOUT = "segmented.json"


@dataclass(frozen=True)
class Request:
    """What is to be segmented, and by what.

    Attributes:
        run: The run folder, or a package of one of its methods.
        method: Name of a method of the run.
        sources: Image files, folders of them, or tables.
        out: Where label maps go; new, or of the same request.
        fold: Whose atlases and model; None: those of every fold, and the mean or vote of them.
        refit: Train anew on all cases of the run, and take all as atlases.
    """

    run: Path
    method: str
    sources: tuple[Path, ...]
    out: Path
    fold: int | None = None
    refit: bool = False

    @property
    def said(self) -> dict[str, Any]:
        """What label maps of one folder have in common."""
        return {"run": str(self.run), "method": self.method, "fold": self.fold, "refit": self.refit}


@dataclass(frozen=True)
class Segmenting:
    """A request that is ready: what `run_segmenting` needs.

    Attributes:
        request: The request.
        images: The images under their own names.
        renamed: The same under names that no case of the study has.
        planned: Their tasks.
        labels: The study's labels.
        todo: Tasks without a product.
        place: Where it runs.
        resources: Workers and GPUs.
        models: Where trained models are.
        teacher: What the run's held-out cases teach of how good a segmentation is.
        odd: What is odd about each image, by its name.
        told: What is to be known besides.
    """

    request: Request
    images: tuple[Case, ...]
    renamed: tuple[Case, ...]
    planned: NewImages
    labels: LabelSet
    todo: dict[str, Task] = field(repr=False)
    place: Place
    resources: Resources
    models: RunFolder
    teacher: Teacher
    odd: Mapping[str, Sequence[str]]
    told: tuple[str, ...] = ()

    @property
    def warnings(self) -> tuple[str, ...]:
        """All of it, a line each."""
        return (*(f"{name}: {what}" for name, found in self.odd.items() for what in found), *self.told)


def foreign_code_of(run: Path) -> tuple[str, ...]:
    """References to code that the study of a run, or of a package, names: what `consent` is asked for."""
    folder = RunFolder(run)
    if folder.holds_run:
        return read_run_study(folder.study_file).foreign_code
    return packed_commands(run) if run.is_file() else ()


def prepare_segmenting(request: Request, options: Options) -> Segmenting:
    """Checks the run, the method and the images, and finds what is to be done. Writes nothing.

    Raises:
        InputError: The run, its data, the method's models, the images or the folder cannot be used.
    """
    source = open_package(request.run, request.method) if _is_package(request) else _open_run(request)
    images = find_images(request.sources, source.dataset.modalities)
    odd = check_images(images, source.usual, source.taken)
    _check_out(request)
    renamed = without_names_of(images, source.taken | source.persons)
    planned = _plan(request, source, renamed)
    _check_fits(request, source.models, planned.fits)
    folder = (request.out / _WORK).resolve()
    place, resources = where_it_runs(options, folder, source.study.budget.time_limit_s)
    todo = pending(planned.tasks, place, retry_failed=True)
    teacher, told = source.teacher, source.warnings if isinstance(source, Package) else _moved(source, planned)
    if isinstance(source, _Run) and not (told or request.refit) and (other := _other_than_tested(request, source)):
        teacher, told = replace(teacher, lacking=other), (other,)
    found = (todo, place, resources, source.models, teacher, odd, told)
    return Segmenting(request, images, renamed, planned, source.dataset.labels, *found)


@dataclass(frozen=True)
class _Run:
    """A run folder as where a method comes from; see `Package` for the other attributes."""

    recorded: Recorded
    usual: tuple[Grid, ...]
    teacher: Teacher

    @property
    def models(self) -> RunFolder:
        return self.recorded.folder

    @property
    def study(self) -> Study:
        return self.recorded.study

    @property
    def dataset(self) -> Dataset:
        return self.recorded.dataset

    @property
    def folds(self) -> tuple[Fold, ...]:
        return self.recorded.training

    @property
    def taken(self) -> frozenset[str]:
        return frozenset(case.name for case in self.dataset.cases)

    @property
    def persons(self) -> frozenset[str]:
        return frozenset(case.person for case in self.dataset.cases)


def _is_package(request: Request) -> bool:
    return request.run.is_file()


def _open_run(request: Request) -> _Run:
    recorded = open_recorded(request.run, request.method)
    usual = tuple(case.read_target().grid for case in recorded.dataset.cases[:5])
    return _Run(recorded, usual, Teacher.of(SIGNS_TABLE.read(request.run), request.method, recorded.folds))


def _plan(request: Request, source: _Run | Package, images: Sequence[Case]) -> NewImages:
    segmenter = source.study.build_methods()[0].segmenter
    folds = _folds(request, [fold for fold in source.folds if takes_part(segmenter, fold)])
    if isinstance(source, _Run):
        refit = len(source.folds) if request.refit else None
        return plan_images(source.study, source.dataset, images, folds=folds, refit=refit)
    if request.refit:
        raise InputError(f"--refit: {request.run} has no training data; give the run folder")
    return plan_packaged(source.study, source.dataset, images, folds=folds, fits=source.fits)


def _folds(request: Request, folds: Sequence[Fold]) -> tuple[Fold, ...]:
    chosen = tuple(fold for fold in folds if request.fold in (None, fold.index))
    if not chosen:
        there = ", ".join(str(fold.index) for fold in folds)
        raise InputError(f"--fold: expected one of {there}, found {request.fold}")
    return chosen


def _check_out(request: Request) -> None:
    """The folder must be new, or of the same request: label maps of two would stand beside each other."""
    about, out = request.out / _ABOUT, request.out
    if about.is_file():
        there, now = json.loads(about.read_text(encoding="utf-8")), request.said
        other = [f"{key} {there.get(key)} there, {now[key]} now" for key in now if there.get(key) != now[key]]
        if other:
            raise InputError(f"{out}: holds segmentations of another call ({'; '.join(other)}); give another --out")
    elif out.is_dir() and any(not path.name.startswith(".") for path in out.iterdir()):
        raise InputError(f"{out}: is not empty, and not of an earlier `dlfbench segment`; give another --out")


def _check_fits(request: Request, folder: RunFolder, fits: Mapping[int, str]) -> None:
    """The models must be there as the run left them."""
    problems = []
    for fold, key in fits.items():
        product = folder.read_product("fit", key)
        if product is None:
            problems.append(
                f"{request.run}: no model of {request.method} for fold {fold} by this version of dlfbench and its "
                "libraries; start the run again to train it, or give --refit"
            )
        elif not product.ok:
            problems.append(f"{request.run}: {request.method} has no model for fold {fold}: {product.reason}")
        elif damaged := folder.damaged(product):
            problems.append(f"{damaged[0]}: missing or not as it was written; start the run again to make it anew")
    if problems:
        raise InputError(problems)


def _moved(source: _Run, planned: NewImages) -> tuple[str, ...]:
    """Whether the study's cases are those that the run was made with."""
    changed = source.recorded.changed(planned.digests)
    return (f"{len(changed)} cases of the study are not what they were, such as {changed[0]}",) if changed else ()


def _other_than_tested(request: Request, source: _Run) -> str:
    """That the run's own test case would be segmented anew, by what is not what the run tested; empty where it is."""
    for fold in (fold for fold in source.recorded.folds if request.fold in (None, fold.index)):
        for case in fold.test_cases:
            made = source.models.segmentation_path(request.method, fold.index, case)
            if case not in source.taken or not made.is_file():
                continue
            tested, posteriors = replace(fold, tests={"tested": (case,)}), source.models.posteriors.is_dir()
            keys = keys_of_tested(source.study, source.dataset, tested, posteriors=posteriors)
            if all(source.models.read_product("segmentation", key) is None for key in keys):
                return (
                    f"{request.method}, its registration or a library is another than the run tested; what the run "
                    "says of it does not hold for this one: start the run again"
                )
            return ""
    return ""


def run_segmenting(ready: Segmenting, watcher: Watcher) -> list[Segmented]:
    """Runs what is left to do and writes a label map for each image, `volumes.tsv`, `quality.tsv` and the page.

    Called again after any interruption, it goes on where it was.

    Raises:
        InputError: Another process is segmenting into the folder.
        RunStopped: The machine is in trouble.
        KeyboardInterrupt: As it came; what is done is kept.
    """
    write_json(ready.request.out / _ABOUT, ready.request.said)
    with locked(ready.place.run):
        return _segment(ready, watcher)


def _segment(ready: Segmenting, watcher: Watcher) -> list[Segmented]:
    out, request = ready.request.out, ready.request
    for key in ready.planned.fits.values():
        _take_model(ready.models, ready.place.folder, key)
    todo = pending(ready.planned.tasks, ready.place, retry_failed=True)  # another call may have done some of it
    run_tasks(todo, ready.place, ready.resources, watcher)
    pairs = zip(ready.images, ready.renamed, strict=True)
    done = [_write(ready, image, renamed.name) for image, renamed in pairs]
    write_text(out / "volumes.tsv", volumes_table(done, ready.labels))
    write_text(out / "quality.tsv", quality_table(done))
    shown = list(zip(ready.images, done, strict=True))
    title = f"{say.count(len(done), 'image')} segmented by {request.method}"
    write_page(out / "index.html", title, shown, ready.labels, ready.teacher.told)
    return done


def _take_model(source: RunFolder, target: RunFolder, key: str) -> None:
    if target.read_product("fit", key) is None:
        copy_folder(source.model_folder(key), target.make(target.model_folder(key)))
        shutil.copyfile(source.product_path("fit", key), target.product_path("fit", key))


def _write(ready: Segmenting, image: Case, name: str) -> Segmented:
    """The label map of one image: of its one fold; or of the folds' mean posterior, or what most of them say."""
    folder, method, target = ready.place.folder, ready.request.method, ready.request.out / f"{image.name}.nii.gz"
    tasks = [t for t in ready.planned.tasks.values() if t.kind == "segmentation" and t.names["case"] == name]
    products = [folder.read_product("segmentation", task.key) for task in tasks]
    failed = [product.reason if product else "not run" for product in products if product is None or not product.ok]
    if failed:
        target.unlink(missing_ok=True)  # that of an earlier call may be of another image
        return Segmented(image.name, None, failed[0])
    folds = [task.names["fold"] for task in tasks]
    posteriors = [folder.posterior_path(method, fold, name) for fold in folds]
    if len(folds) > 1 and all(path.is_file() for path in posteriors):
        shares = [replace(read_shares(path), label_values=ready.labels.values) for path in posteriors]
        labels = combined(shares, [1.0] * len(folds), "mean").labels()
    else:
        labels = majority([read_labels(folder.segmentation_path(method, fold, name))[0] for fold in folds])
    grid = image.read_target().grid
    write_labels(target, labels, grid)
    flags = (*ready.odd[image.name], *_flags(ready, name))
    volumes_mm3 = tuple(_volume_mm3(labels, value, grid) for value, _ in ready.labels.foreground)
    signs = mean_signs([product.rows[0].get("signs", ()) for product in products if product is not None])
    return Segmented(image.name, target, "", flags, volumes_mm3, ready.teacher.judged(signs, ready.labels))


def majority(maps: Sequence[LabelArray]) -> LabelArray:
    """What most label maps say of each voxel (x, y, z); of equally many the lowest label."""
    if len(maps) == 1:
        return maps[0]
    values = np.unique(np.concatenate([np.unique(labels) for labels in maps]))
    best, votes = np.zeros_like(maps[0]), np.zeros(maps[0].shape, np.int16)
    for value in values:
        number = np.stack([labels == value for labels in maps]).sum(axis=0, dtype=np.int16)
        more = number > votes
        best[more], votes[more] = value, number[more]
    return best


def _flags(ready: Segmenting, name: str) -> list[str]:
    tasks = [t for t in ready.planned.tasks.values() if t.kind == "registration" and t.names["case"] == name]
    found = []
    for task in tasks:
        product = ready.place.folder.read_product("registration", task.key)
        rows = product.rows if product else []
        found += [f"{task.names['atlas']}: {flag}" for row in rows for flag in row["flags"]]
    return found


def _volume_mm3(labels: LabelArray, value: int, grid: Grid) -> float:
    return float(np.count_nonzero(labels == value) * np.prod(grid.spacing_mm))
