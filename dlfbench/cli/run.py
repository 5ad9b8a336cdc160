"""`dlfbench run`."""

import shlex
import signal
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Annotated, Literal

import typer

from dlfbench.cli.console import duration, err, file_progress, out, print_table, run_progress, styled, visible
from dlfbench.cli.report import finish
from dlfbench.cli.study_flags import study_from_flags
from dlfbench.engine.cluster import SLURM
from dlfbench.engine.trouble import RunStopped, explain
from dlfbench.engine.work import Options, Work, perform, prepare
from dlfbench.plugin_files import consent, needs_consent
from dlfbench.records.results import read_results
from dlfbench.study.tables import Study

PROTOCOL, RESOURCES = "What is compared", "How it is run (changes no result)"


def run(
    study: Annotated[
        str | None,
        typer.Argument(
            help="Study file (.toml) or the name of one in `dlfbench list studies`. Default: the embedded phantom.",
            show_default=False,
        ),
    ] = None,
    data: Annotated[
        str | None,
        typer.Option(
            help="Dataset folder (MSD or nnU-Net raw layout), or a name of `dlfbench data list`.",
            rich_help_panel=PROTOCOL,
        ),
    ] = None,
    label_map: Annotated[
        Path | None,
        typer.Option(
            "--map",
            help="Table (from, to), or another tool's table of label names: whose values the label maps have.",
            rich_help_panel=PROTOCOL,
        ),
    ] = None,
    methods: Annotated[
        str | None, typer.Option(help="Comma-separated; variants as jlf[patch_radius=3].", rich_help_panel=PROTOCOL)
    ] = None,
    folds: Annotated[
        int | None, typer.Option(help="Cross-validation over people with so many folds.", rich_help_panel=PROTOCOL)
    ] = None,
    fold_column: Annotated[
        str | None,
        typer.Option(
            help="Column of cases.tsv whose values are the folds, each tested once.", rich_help_panel=PROTOCOL
        ),
    ] = None,
    repeats: Annotated[int | None, typer.Option(help="Draw the folds so many times.", rich_help_panel=PROTOCOL)] = None,
    seeds: Annotated[
        int | None, typer.Option(help="Train each method that learns so many times.", rich_help_panel=PROTOCOL)
    ] = None,
    hold_out: Annotated[
        float | None,
        typer.Option(help="Test on this share of the training people instead of folds.", rich_help_panel=PROTOCOL),
    ] = None,
    train_on: Annotated[
        str | None, typer.Option(metavar="COLUMN=VALUE", help="Train only on these cases.", rich_help_panel=PROTOCOL)
    ] = None,
    test_on: Annotated[
        list[str] | None,
        typer.Option(
            metavar="[NAME:]COLUMN=VALUE", help="Named test set; may be given several times.", rich_help_panel=PROTOCOL
        ),
    ] = None,
    shift: Annotated[
        list[str] | None,
        typer.Option(
            metavar="KIND:SEVERITY",
            help="Changed copy of the held-out cases as a further test set, such as contrast:3 or 'noise:2 of SET'; "
            "missing:MODALITY puts noise for a modality. May be given several times.",
            rich_help_panel=PROTOCOL,
        ),
    ] = None,
    match: Annotated[
        str | None,
        typer.Option(
            metavar="COLUMN,..", help="Atlases must agree with their target on these columns.", rich_help_panel=PROTOCOL
        ),
    ] = None,
    atlases: Annotated[
        int | None, typer.Option(help="At most so many atlases a target.", rich_help_panel=PROTOCOL)
    ] = None,
    train_cases: Annotated[
        int | None, typer.Option(help="At most so many training cases a fold.", rich_help_panel=PROTOCOL)
    ] = None,
    test_cases: Annotated[
        int | None, typer.Option(help="At most so many cases of a fold in each test set.", rich_help_panel=PROTOCOL)
    ] = None,
    cases: Annotated[
        int | None,
        typer.Option(
            help="At most so many cases in the training selection and in each named test set.", rich_help_panel=PROTOCOL
        ),
    ] = None,
    preset: Annotated[
        str | None, typer.Option(help="Training budget: quick, cpu or paper.", rich_help_panel=PROTOCOL)
    ] = None,
    time_limit_s: Annotated[
        float | None, typer.Option(help="Stop a fit or segmentation after so many seconds.", rich_help_panel=PROTOCOL)
    ] = None,
    seed: Annotated[int | None, typer.Option(help="All randomness derives from it.", rich_help_panel=PROTOCOL)] = None,
    workers: Annotated[
        int | None, typer.Option(min=1, help="Tasks at a time. Default: one per processor.", rich_help_panel=RESOURCES)
    ] = None,
    threads: Annotated[
        int | None,
        typer.Option(min=1, help="CPU threads of one task. Default: processors / workers.", rich_help_panel=RESOURCES),
    ] = None,
    scheduler: Annotated[
        str | None,
        typer.Option(
            help="Dask scheduler to use, such as tcp://host:8786; or slurm, with --workers jobs at a time.",
            rich_help_panel=RESOURCES,
        ),
    ] = None,
    device: Annotated[
        Literal["auto", "cpu", "cuda"], typer.Option(help="Where networks run.", rich_help_panel=RESOURCES)
    ] = "auto",
    cache: Annotated[
        Path | None,
        typer.Option(
            help="Store of warped atlases, shared by all runs.", envvar="DLFBENCH_CACHE", rich_help_panel=RESOURCES
        ),
    ] = None,
    out_folder: Annotated[
        Path | None, typer.Option("--out", help="Run folder. Default: runs/NAME-DIGEST.", rich_help_panel=RESOURCES)
    ] = None,
    retry_failed: Annotated[
        bool, typer.Option("--retry-failed", help="Run failed tasks again.", rich_help_panel=RESOURCES)
    ] = False,
    collect: Annotated[
        bool,
        typer.Option("--collect", help="Run nothing; tabulate and report what is there.", rich_help_panel=RESOURCES),
    ] = False,
    posteriors: Annotated[
        bool,
        typer.Option(
            "--posteriors",
            help="Keep each label's share in each voxel, of methods that have it: for calibration, read_posterior.",
            rich_help_panel=RESOURCES,
        ),
    ] = False,
    trust: Annotated[
        bool,
        typer.Option(
            "--trust",
            help="Run the code of plugin files that the study names; remembered for these files.",
            rich_help_panel=RESOURCES,
        ),
    ] = False,
    dry_run: Annotated[
        bool,
        typer.Option(
            "--dry-run", help="Check everything, say what would be done, and stop.", rich_help_panel=RESOURCES
        ),
    ] = False,
) -> None:
    """Runs a study and writes its report. The same command again goes on where it was stopped.

    Examples:
      dlfbench run                                             (the embedded phantom, 3 methods)

      dlfbench run --data Task04_Hippocampus --folds 4 --methods mv,jlf,jlf[beta=4]

      dlfbench run --data FOLDER --train-on group=a --hold-out 0.3 --test-on group=b

      dlfbench run my-study.toml --workers 8 --out runs/mine
    """
    flags = {name: value for name, value in locals().items() if name != "study"}
    options = Options(out_folder, cache, workers, threads, scheduler, device, retry_failed, collect, posteriors)
    wanted = study_from_flags(study, flags)
    _ask_for_consent(wanted, agreed=trust)
    with file_progress("checking data") as checking:
        work = prepare(wanted, options, checking=checking)
    _announce(work)
    if dry_run:
        out.print("Dry run: nothing was written.")
        return
    _perform(work)
    finish(work.place.run)
    _check_success(work.place.run)


def _ask_for_consent(study: Study, *, agreed: bool) -> None:
    """Asks whether to run code of files that only the study file names; where nobody can answer, loading refuses."""
    for use in study.plugin_files:
        if agreed:
            consent(use)
        elif needs_consent(use) and sys.stdin.isatty() and err.is_terminal:
            question = f"The study names {visible(use)}: its code would be run with your rights. Run it, now and later?"
            if typer.confirm(question, err=True):
                consent(use)


def _announce(work: Work) -> None:
    plan = work.plan
    cases = _count(len(plan.dataset.cases), "case")
    folds = _count(sum(not fold.training for fold in plan.folds), "fold")
    folds += f", {plan.study.protocol.seeds} trainings" if plan.study.protocol.seeds > 1 else ""
    methods = ", ".join(plan.study.methods)
    what = f"{plan.dataset.name}, {cases}, {folds}, methods {methods}"
    out.print(styled(plan.study.name, "bold"), what, soft_wrap=True)
    all_kinds, left = (Counter(task.kind for task in tasks.values()) for tasks in (plan.tasks, work.todo))
    print_table(
        "",
        ["task", "planned", "done already", "to do"],
        [(k, n, n - left[k], left[k]) for k, n in all_kinds.items()],
        right=["planned", "done already", "to do"],
    )
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


def _perform(work: Work) -> None:
    started = time.monotonic()
    with interruptible(), run_progress(work.todo, work.resources.workers) as progress:
        perform(work, progress.watcher)
    out.print(f"{len(work.todo)} tasks in {duration(time.monotonic() - started)}, {progress.failures} failed")


@contextmanager
def interruptible() -> Iterator[None]:
    """Ends long work that is interrupted, or stopped by the machine's trouble, with a word on how to go on."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is not signal.SIG_IGN:  # as nohup wants it
            signal.signal(number, signal.default_int_handler)
    try:
        yield
    except KeyboardInterrupt:
        again = shlex.join(["dlfbench", *sys.argv[1:]])
        with suppress(OSError):  # the terminal may be gone
            err.print(f"Stopped. Everything done so far is kept; go on with:\n  {again}", soft_wrap=True)
        raise typer.Exit(130) from None
    except (RunStopped, OSError) as error:
        what = str(error) if isinstance(error, RunStopped) else explain(error)
        err.print(
            styled("error:", "red"),
            f"{what}\nStopped; what is done is kept, and nothing of this counts as a method's result. "
            "Then start the same command again.",
            soft_wrap=True,
        )
        raise typer.Exit(1) from None


def _check_success(folder: Path) -> None:
    """Exit code 1 where no method segmented anything."""
    results = read_results(folder)
    if not (results[results.kind == "method"].status == "ok").any():
        err.print(
            styled("error:", "red"),
            "nothing succeeded: no case was segmented by any method; the report has the reasons",
        )
        raise typer.Exit(1)
