"""`dlfbench.run` and `dlfbench.segment`: studies and new images from a script or a notebook."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import pandas as pd

from dlfbench import plugins
from dlfbench.engine.execute import Watcher
from dlfbench.engine.failures import Failures
from dlfbench.engine.tasks.task import Task
from dlfbench.engine.work import Options, prepare, run_study
from dlfbench.engine.worker import Outcome
from dlfbench.errors import InputError
from dlfbench.plugin_files import consent, foreign_code_of
from dlfbench.records.results import read_results
from dlfbench.report import write_report
from dlfbench.segmenters.interface import Segmenter
from dlfbench.segmenters.registry import method_class
from dlfbench.segmenters.specs import parse_method
from dlfbench.study.tables import DEFAULT_STUDY, Study, make_study, read_study, with_absolute_files
from dlfbench.use.segmented import Segmented

log = logging.getLogger(__name__)

_PLAIN = (bool, int, float, str, type(None))


@dataclass(frozen=True)
class Run:
    """A finished run.

    Attributes:
        folder: The run folder.
        results: One row per method, fold, test set, case and label; failures are rows with a reason.
        report: The report's page; None where none was asked for.
    """

    folder: Path
    results: pd.DataFrame = field(repr=False)
    report: Path | None = None


def run(
    study: str | Path | Mapping[str, Any] | Study | None = None,
    *,
    methods: Mapping[str, Any] | None = None,
    out: str | Path | None = None,
    cache: str | Path | None = None,
    workers: int | None = None,
    report: bool = True,
    posteriors: bool = False,
    trust: bool = False,
) -> Run:
    """Runs a study; called again, it goes on where it was stopped.

    Args:
        study: Path or name of a study file, its tables as a dict, or a `Study`; by default the embedded phantom.
        methods: More methods by name, beside those of the study: an object such as `MyFusion(power=8)`, a class, a
            function `fuse(target, atlases)`, or text such as `"jlf[beta=4]"`. What a script or notebook defines may
            be given; it is sent to the worker processes, and its code is part of what makes a result its own.
        out: Run folder; by default `runs/NAME-DIGEST`.
        cache: Store of warped atlases, shared by all runs; by default `DLFBENCH_CACHE`, or the user's cache folder.
        workers: Tasks at a time; by default one per processor.
        report: Whether to write the report.
        posteriors: Keep the posteriors of methods that have one; `dlfbench.read_posterior` reads them.
        trust: Run plugin files and commands that a study file names, and remember that for these.

    Returns:
        The run folder and its results.

    Raises:
        InputError: The study, a method, the data or the run folder cannot be used: every problem, before work starts.
    """
    ready = _study(study)
    if trust:
        consent(*ready.foreign_code)
    more = {name: _table(name, method) for name, method in (methods or {}).items()}
    ready = with_absolute_files(ready.model_copy(update={"methods": {**ready.methods, **more}}), Path.cwd())
    where, store = (Path(path) if path else None for path in (out, cache))
    options = Options(out=where, cache=store, workers=workers, posteriors=posteriors)
    work = prepare(ready, options)
    run_study(work, _warning_of_failures())
    folder = work.place.run
    return Run(folder, read_results(folder), write_report(folder) if report else None)


def segment(
    run: str | Path,
    method: str,
    images: str | Path | Sequence[str | Path],
    *,
    out: str | Path,
    fold: int | None = None,
    refit: bool = False,
    cache: str | Path | None = None,
    workers: int | None = None,
    trust: bool = False,
) -> list[Segmented]:
    """Segments new images with a method of a run, as `dlfbench segment` does; called again, it goes on.

    Args:
        run: The run folder, or a package of `dlfbench export`.
        method: Its name in the run.
        images: NIfTI files, folders of them, or a `cases.tsv` beside them.
        out: Where label maps, tables and the page go.
        fold: Whose atlases and model; by default those of every fold, and what they say together.
        refit: Train anew on all cases of the run, and take all of them as atlases.
        cache: Store of warped atlases, shared by all runs; by default `DLFBENCH_CACHE`, or the user's cache folder.
        workers: Tasks at a time; by default one per processor.
        trust: Run plugin files and commands that the run's study names, and remember that for these.

    Returns:
        What came of each image, in the order of their names.

    Raises:
        InputError: The run, the method, an image or the folder cannot be used: every problem, before work starts.
    """
    from dlfbench.use.segment import Request, foreign_code_of, prepare_segmenting, run_segmenting

    if trust:
        consent(*foreign_code_of(Path(run)))
    given = [images] if isinstance(images, str | Path) else images
    sources = tuple(Path(image) for image in given)
    request = Request(Path(run).resolve(), method, sources, Path(out).resolve(), fold, refit)
    ready = prepare_segmenting(request, Options(cache=Path(cache) if cache else None, workers=workers))
    for warning in ready.warnings:
        log.warning("%s", warning)
    return run_segmenting(ready, _warning_of_failures())


def _study(source: str | Path | Mapping[str, Any] | Study | None) -> Study:
    if isinstance(source, Study):
        return source
    if isinstance(source, Mapping):
        return make_study(source, where="dlfbench.run")
    return read_study(source or DEFAULT_STUDY)


def _table(name: str, method: Any) -> dict[str, Any]:
    """A method as a table of a study."""
    if isinstance(method, str):
        table = parse_method(method)[1]
        consent(*foreign_code_of(table))
        return table
    if isinstance(method, Mapping):
        return dict(method)
    settings: dict[str, Any] = {}
    kind = method
    if isinstance(method, Segmenter):
        kind = type(method)
        method_class(kind, name)
        settings = {f.name: getattr(method, f.name) for f in fields(method) if f.init}  # type: ignore[arg-type]
    _check_plain(name, settings)
    return {"use": plugins.give(plugins.SEGMENTERS, name, kind), **settings}


def _check_plain(name: str, settings: Mapping[str, Any]) -> None:
    odd = [key for key, value in settings.items() if not _is_plain(value)]
    if odd:
        raise InputError(
            f"method {name!r}: parameter {odd[0]!r}: expected a number, text, true or false, None or a tuple of these, "
            f"found {type(settings[odd[0]]).__name__}; parameters are written into study and report"
        )


def _is_plain(value: Any) -> bool:
    return isinstance(value, _PLAIN) or (isinstance(value, tuple) and all(map(_is_plain, value)))


def _warning_of_failures() -> Watcher:
    failures = Failures()

    def ended(task: Task, outcome: Outcome) -> None:
        if failures.is_new(outcome):
            log.warning("failed: %s %s: %s", task.kind, " ".join(map(str, task.names.values())), outcome.reason)

    return Watcher(ended, lambda event: None)
