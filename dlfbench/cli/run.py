"""`dlfbench run`."""

import sys
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from dlfbench.cli.console import duration, err, file_progress, out, print_table, run_progress, styled, visible
from dlfbench.cli.flags import Cache, Device, Metrics, Trust, Workers, option, spread
from dlfbench.cli.report import check_success, finish
from dlfbench.cli.stopping import interruptible
from dlfbench.cli.study_flags import StudyFlags, study_from_flags
from dlfbench.engine.cluster import SLURM
from dlfbench.engine.work import Options, Work, prepare, run_study
from dlfbench.plugin_files import consent, needs_consent
from dlfbench.study.tables import Study

Source = Annotated[
    str | None,
    typer.Argument(
        help="Study file (.toml) or the name of one in `dlfbench list studies`. Default: the embedded phantom.",
        show_default=False,
    ),
]


@dataclass(frozen=True)
class RunFlags:
    """How a study is run."""

    workers: Workers = None
    threads: Annotated[int | None, option("CPU threads of one task. Default: processors / workers.", min=1)] = None
    scheduler: Annotated[
        str | None, option("Dask scheduler to use, such as tcp://host:8786; or slurm, with --workers jobs at a time.")
    ] = None
    device: Device = "auto"
    cache: Cache = None
    out_folder: Annotated[Path | None, option("Run folder. Default: runs/NAME-DIGEST.", "--out")] = None
    retry_failed: Annotated[bool, option("Run failed tasks again.", "--retry-failed")] = False
    collect: Annotated[bool, option("Run nothing; tabulate and report what is there.", "--collect")] = False
    posteriors: Annotated[
        bool,
        option(
            "Keep each label's share in each voxel, of methods that have it: for calibration, read_posterior.",
            "--posteriors",
        ),
    ] = False
    metrics: Metrics = None
    trust: Trust = False
    dry_run: Annotated[bool, option("Check everything, say what would be done, and stop.", "--dry-run")] = False

    @property
    def options(self) -> Options:
        return Options(
            out=self.out_folder,
            cache=self.cache,
            workers=self.workers,
            threads=self.threads,
            scheduler=self.scheduler,
            device=self.device,
            retry_failed=self.retry_failed,
            collect_only=self.collect,
            posteriors=self.posteriors,
        )


@spread
def run(flags: StudyFlags, how: RunFlags, study: Source = None) -> None:
    """Runs a study and writes its report. The same command again goes on where it was stopped.

    Examples:
      dlfbench run                                             (the embedded phantom, 3 methods)

      dlfbench run --data Task04_Hippocampus --folds 4 --methods mv,jlf,jlf[beta=4]

      dlfbench run --data FOLDER --train-on group=a --hold-out 0.3 --test-on group=b

      dlfbench run my-study.toml --workers 8 --out runs/mine
    """
    wanted = study_from_flags(study, flags)
    _ask_for_consent(wanted, agreed=how.trust)
    with file_progress("checking data") as checking:
        work = prepare(wanted, how.options, checking=checking)
    _announce(work)
    if how.dry_run:
        out.print("Dry run: nothing was written.")
        return
    _run_work(work)
    finish(work.place.run)
    check_success(work.place.run, "no case was segmented by any method")


def _ask_for_consent(study: Study, *, agreed: bool) -> None:
    """Asks whether to run code that only the study file names; where nobody can answer, it is refused."""
    for use in study.foreign_code:
        if agreed:
            consent(use)
        elif needs_consent(use) and sys.stdin.isatty() and err.is_terminal:
            question = f"The study names {visible(use)}: its code would be run with your rights. Run it, now and later?"
            if typer.confirm(question, err=True):
                consent(use)


def _announce(work: Work) -> None:
    plan = work.plan
    cases, trainings = plan.dataset.in_words, plan.study.protocol.seeds
    folds = _count(len(plan.folds) // trainings, "fold") + (f", {trainings} trainings" if trainings > 1 else "")
    methods = ", ".join(plan.study.methods)
    what = f"{plan.dataset.name}, {cases}, {folds}, methods {methods}"
    out.print(styled(plan.study.name, "bold"), what, soft_wrap=True)
    all_kinds, left = (Counter(task.kind for task in tasks.values()) for tasks in (plan.tasks, work.todo))
    counts = ["planned", "done already", "not done" if work.collect_only else "to do"]
    rows = [(kind, n, n - left[kind], left[kind]) for kind, n in all_kinds.items()]
    print_table("", ["task", *counts], rows, right=counts)
    out.print(
        f"run folder {work.place.run}\nwarped atlases {work.place.cache}\n"
        f"{work.resources.scheduler or 'this machine'}: {_workers(work)}, {work.place.device}",
        soft_wrap=True,
    )


def _workers(work: Work) -> str:
    number = "workers" if (work.resources.scheduler or SLURM) != SLURM else _count(work.resources.workers, "worker")
    return f"{number}, {_count(work.place.threads, 'thread')} a task"


def _count(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def _run_work(work: Work) -> None:
    started = time.monotonic()
    with interruptible(), run_progress(work.to_run, work.resources.workers) as progress:
        run_study(work, progress.watcher)
    if work.collect_only:
        out.print("Nothing was run: tables and report are of what is done.")
        return
    wrong = f", {progress.look_wrong} registrations look wrong" if progress.look_wrong else ""
    took = duration(time.monotonic() - started)
    out.print(f"{progress.done.total()} tasks in {took}, {progress.failures} failed{wrong}")
