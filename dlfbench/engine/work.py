"""Runs a study: opens and checks the data, plans, executes what is not done yet, and collects the results."""

import logging
import os
import platform
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from dlfbench.datasets.check import check_dataset
from dlfbench.datasets.people import same_images
from dlfbench.engine.cluster import Resources, count_gpus, default_workers
from dlfbench.engine.collect import collect
from dlfbench.engine.execute import Watcher, pending, run_tasks
from dlfbench.engine.log import RunLog
from dlfbench.engine.packing import check_portable
from dlfbench.engine.plan import Plan, make_plan, open_data
from dlfbench.engine.tasks.task import Place, Task
from dlfbench.errors import InputError
from dlfbench.files import check_folder, file_name
from dlfbench.records.declared import declare
from dlfbench.records.described_data import DescribedData
from dlfbench.records.described_study import DescribedStudy, same_settings
from dlfbench.records.description import Description, Environment, read_identity, resplit, write_description
from dlfbench.records.folder import RunFolder
from dlfbench.registration.store import default_cache_folder
from dlfbench.segmenters.interface import Segmenter
from dlfbench.segmenters.registry import check_learning
from dlfbench.study.tables import Study, read_run_study

log = logging.getLogger(__name__)

_LIBRARIES = (
    "dlfbench",
    "torch",
    "monai",
    "nnunetv2",
    "numpy",
    "scipy",
    "SimpleITK",
    "picsl-greedy",
    "nibabel",
    "dask",
    "pandas",
)


@dataclass(frozen=True)
class Options:
    """How a study is run; nothing in here changes its results.

    Attributes:
        out: Run folder; by default `runs/NAME-DIGEST`, so that the same study finds its own folder again.
        cache: Store of warped atlases, shared by all runs.
        workers: Tasks at a time; as many as there are processors by default. With Slurm, jobs at a time.
        threads: CPU threads of one task; the processors shared out among the workers by default, 1 on a cluster.
        scheduler: Address of a Dask scheduler to use instead of local workers, or `slurm`.
        device: `auto`, `cpu` or `cuda`.
        retry_failed: Run failed tasks again.
        collect_only: Run nothing; tabulate what is there.
        posteriors: Keep the posteriors of methods that have one; a run that kept some keeps all.
    """

    out: Path | None = None
    cache: Path | None = None
    workers: int | None = None
    threads: int | None = None
    scheduler: str | None = None
    device: str = "auto"
    retry_failed: bool = False
    collect_only: bool = False
    posteriors: bool = False


@dataclass(frozen=True)
class Work:
    """A study that is ready to run.

    Attributes:
        plan: All tasks.
        todo: Those without a product.
        place: Run folder, store, device, threads.
        resources: Workers and GPUs.
        seen: What earlier starts had left in the run folder when this was planned.
        collect_only: None of them is to be run.
    """

    plan: Plan
    todo: dict[str, Task] = field(repr=False)
    place: Place
    resources: Resources
    seen: tuple[bytes, int] = (b"", 0)
    collect_only: bool = False

    @property
    def to_run(self) -> dict[str, Task]:
        """The tasks that this start runs."""
        return {} if self.collect_only else self.todo


def prepare(study: Study, options: Options, *, checking: Callable[[int, int], None] | None = None) -> Work:
    """Opens and checks the data, plans the study and finds what is left to do. Writes nothing.

    Args:
        study: The study.
        options: How to run it.
        checking: Told of progress of the data check: files done, files in all.

    Raises:
        InputError: The data, the study or the run folder cannot be used.
    """
    check_folder(options.out or Path("runs"), "--out")
    _check_cache(options)
    built = study.build_methods()
    check_portable(built)
    dataset = open_data(study)
    check_learning(built, dataset)
    registers = any(method.segmenter.needs_atlases for method in built)
    least_vox = getattr(study.build_registration(), "least_vox", 1) if registers else 1
    check_dataset(dataset, checking, least_vox=least_vox)
    plan = make_plan(study, dataset)
    for warning in same_images(plan.dataset.cases, {name: images for name, (images, _) in plan.digests.items()}):
        log.warning("%s: %s", plan.dataset.name, warning)
    root = (options.out or _default_folder(plan)).resolve()
    seen = RunFolder(root).state
    methods = _with_earlier_methods(plan, root)
    posteriors = options.posteriors or RunFolder(root).posteriors.is_dir()
    if methods != plan.study.methods or posteriors:
        every = plan.study.model_copy(update={"methods": methods})
        plan = make_plan(every, dataset, plan.digests, posteriors=posteriors)
    place, resources = where_it_runs(options, root, study.budget.time_limit_s)
    todo = pending(plan.tasks, place, retry_failed=options.retry_failed)
    return Work(plan, todo, place, resources, seen, options.collect_only)


def _default_folder(plan: Plan) -> Path:
    """The folder of a study's run; one that an earlier build began is called by where the registration's file was."""
    said = plan.study.model_dump(mode="json", include={"registration"}, exclude_none=True)
    identities = (plan.identity, plan.identity.model_copy(update=said))
    now, earlier = (Path("runs") / f"{plan.study.name}-{identity.digest[:8]}" for identity in identities)
    return earlier if RunFolder(earlier).holds_run else now


def where_it_runs(options: Options, folder: Path, limit_s: float | None) -> tuple[Place, Resources]:
    """Folder, store, device and threads of each task, and the workers that run them."""
    _check_cache(options)
    gpus = count_gpus(options.device, options.scheduler)
    workers = options.workers or default_workers()
    threads = options.threads or (1 if options.scheduler else max(1, default_workers() // workers))
    cache = (options.cache or default_cache_folder()).resolve()
    place = Place(folder, cache, "cuda" if gpus else "cpu", threads)
    return place, Resources(workers, options.scheduler, gpus, limit_s)


def _check_cache(options: Options) -> None:
    check_folder(options.cache or default_cache_folder(), "--cache" if options.cache else "DLFBENCH_CACHE")


def run_study(work: Work, watcher: Watcher) -> None:
    """Runs what is left to do and writes the tables. Called again after any interruption, it goes on where it was.

    Tables alone are written while another process runs in the folder too: each is whole, and written again at its end.

    Args:
        work: From `prepare`.
        watcher: Told of progress.

    Raises:
        InputError: Another process is running in the folder, or ran there since this was planned.
        RunStopped: The machine is in trouble: a full disk, a dataset or a cache that cannot be reached.
        KeyboardInterrupt: As it came; what is done is kept.
    """
    root = work.place.run
    if work.collect_only and _is_locked(root):
        collect(work.plan, work.place)
        return
    with locked(root):
        if RunFolder(root).state != work.seen:
            raise InputError(f"{root}: another dlfbench has run here just now; start the same command again")
        _write_description(work)
        if work.to_run and RunFolder(root).results_file.is_file():
            collect(work.plan, work.place)  # killed from here on, no table tells of what is being made anew
        with RunLog(work.place.folder.log_file) as log:
            log.started(work.to_run, work.place, work.resources)
            try:
                run_tasks(work.to_run, work.place, work.resources, log.watching(watcher), work.plan.references_for)
            except BaseException:
                with suppress(OSError):  # what stopped the run is what is told
                    if root.is_dir():  # it may have moved
                        collect(work.plan, work.place)
                raise
            collect(work.plan, work.place)


def _is_locked(root: Path) -> bool:
    """Whether a process is running in a folder."""
    path = RunFolder(root).lock_file
    if not path.is_file():
        return False
    try:
        with FileLock(path, timeout=0):
            return False
    except Timeout:
        return True


@contextmanager
def locked(root: Path) -> Iterator[None]:
    """In the body, no other process runs in the folder.

    Raises:
        InputError: One does.
    """
    root.mkdir(parents=True, exist_ok=True)
    lock = FileLock(RunFolder(root).lock_file)
    try:
        lock.acquire(timeout=5)
    except Timeout:
        raise InputError(
            f"{root}: another dlfbench is running in this folder; wait for it, or give another --out"
        ) from None
    try:
        yield
    finally:
        lock.release()


def _with_earlier_methods(plan: Plan, root: Path) -> dict[str, dict[str, Any]]:
    """The study's methods after those that the run folder has already.

    Raises:
        InputError: The folder holds another study, a method of that name with other parameters, or no run at all.
    """
    folder = RunFolder(root)
    if not folder.holds_run:
        there = root.iterdir() if root.is_dir() else ()
        if any(not path.name.startswith(".") for path in there):  # hidden ones are left by a start that was killed
            raise InputError(
                f"{root}: not a run folder, and not empty; give an --out that is new or a run of this study"
            )
        return plan.study.methods
    if folder.is_half_described:
        return plan.study.methods
    differing = read_identity(folder).differences(plan.identity)
    details = [_difference(part, keys) for part, keys in differing.items()]
    details = details or resplit(folder, plan.folds, {case.name: case.person for case in plan.dataset.cases})
    if details:
        raise InputError(f"{root}: holds the run of another study ({'; '.join(details)}); give another --out")
    earlier = read_run_study(folder.study_file).methods
    methods = plan.study.methods
    clash = [name for name in methods if name in earlier and not same_settings(methods[name], earlier[name])]
    if clash:
        raise InputError(
            f"{root}: method {clash[0]!r} was run with other parameters; "
            "give the variant a name of its own, or another --out"
        )
    return {**{name: table for name, table in earlier.items() if name not in methods}, **methods}


def _difference(part: str, keys: Mapping[str, tuple[Any, Any]]) -> str:
    """A part of the identity that differs: (there, now) by key."""
    if part == "data":
        return f"data: {len(keys)} cases differ, such as {next(iter(keys))}"
    return ", ".join(f"{part}.{key}".rstrip(".") + f": {old!r} there, {new!r} now" for key, (old, new) in keys.items())


def _write_description(work: Work) -> None:
    plan, root = work.plan, work.place.run
    names: dict[str, str] = {}
    for method in plan.study.methods:
        other = names.setdefault(file_name(method), method)
        if other != method:
            raise InputError(f"methods {other!r} and {method!r} would share one folder; name one of them differently")
    write_description(work.place.folder, describe(work))
    if plan.posteriors:  # before the first: a start without the option must know that they are part of the run
        work.place.folder.posteriors.mkdir(exist_ok=True)
    declare(root, plan.study.analysis, scores_made=work.place.folder.count_products("score"))


def describe(work: Work) -> Description:
    """What a run says of itself."""
    plan, methods = work.plan, work.plan.study.build_methods()
    return Description(
        study=DescribedStudy(plan.study.model_dump(mode="json", exclude_none=True)),
        folds=plan.folds,
        data=DescribedData.of(plan.dataset),
        environment=Environment(
            versions={"python": platform.python_version(), **library_versions()},
            platform=platform.platform(),
            processors=os.cpu_count(),
            workers=work.resources.workers,
            threads=work.place.threads,
            device=work.place.device,
            registers={m.name: _registers(m.segmenter) for m in methods},
            members={m.name: tuple(p.name for p in m.segmenter.members) for m in methods if m.segmenter.members},
        ),
        identity=plan.identity,
    )


def _registers(segmenter: Segmenter) -> tuple[str, ...]:
    """What atlases are registered to for a method: to each case that it segments, to those that it is trained on."""
    training = segmenter.needs_training and segmenter.trains_on_atlases
    return ("cases",) * segmenter.needs_atlases + ("training",) * training


def library_versions() -> dict[str, str]:
    """Installed version of each library that matters; `not installed` where it is missing."""
    versions = {}
    for name in _LIBRARIES:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            versions[name] = "not installed"
    return versions
