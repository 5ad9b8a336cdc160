"""`dlfbench plan` and `dlfbench meta`: how many people a comparison needs, and what several studies say together."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import numpy as np
import typer

from dlfbench.cli.console import out, print_table
from dlfbench.cli.flags import Metrics
from dlfbench.errors import InputError

if TYPE_CHECKING:
    from dlfbench.report.basis.meta import Pooled
    from dlfbench.report.basis.scores import Scores

Run = Annotated[Path, typer.Argument(help="Run folder, or a published study.", show_default=False)]
MetricName = Annotated[str, typer.Option("--metric", help="Which metric; over all labels.")]


def plan(
    run: Run,
    a: Annotated[str, typer.Argument(help="The method that should be better.", show_default=False)],
    b: Annotated[str, typer.Argument(help="The method that it is compared with.", show_default=False)],
    detect: Annotated[float, typer.Option(help="True mean difference to find; 0 with --margin.", min=0)] = 0.01,
    margin: Annotated[
        float | None, typer.Option(help="Show that A is not worse than B by more than this.", min=0)
    ] = None,
    persons: Annotated[int | None, typer.Option(help="How much so many people can find.", min=4)] = None,
    family: Annotated[int, typer.Option(help="How many comparisons share the level (Holm).", min=1)] = 1,
    alpha: Annotated[float, typer.Option(help="Level.", min=0.0001, max=0.5)] = 0.05,
    power: Annotated[float, typer.Option(help="Share of studies that should find it.", min=0.1, max=0.999)] = 0.8,
    test_set: Annotated[str | None, typer.Option(help="Default: the first one.")] = None,
    metric: MetricName = "dice",
    metrics: Metrics = None,
) -> None:
    """Says how many people a comparison needs, with a run as the pilot.

    The report's own test is simulated on differences drawn from the pilot's people.

    Examples:
      dlfbench plan RUN dlf jlf --detect 0.01

      dlfbench plan RUN dlf nnunet --margin 0.01 --persons 40
    """
    from dlfbench.report.basis import power as planning
    from dlfbench.report.basis.scores import scores_of

    scores = scores_of(run, test_set)
    pilot = scores.differences(*_checked(scores.methods, a, b), metric=_metric(metric))
    number = int((~np.isnan(pilot)).sum())
    planned = planning.Plan(alpha, family, margin)
    effect = 0.0 if margin is not None else detect
    try:
        needed = planning.persons_needed(pilot, effect, planned, target=power)
        reached = planning.power(pilot, effect, persons or number, planned, np.random.default_rng(0))
        least = None if margin is not None else planning.detectable(pilot, persons or number, planned, target=power)
    except ValueError as error:
        raise InputError(f"{run}, test set {scores.test_set}: {error}") from None
    sought = f"not worse by more than {margin:g}" if margin is not None else f"better by {detect:g}"
    mean, sd = np.nanmean(pilot), np.nanstd(pilot, ddof=1)
    rows = [
        ("sought", f"{a} {sought} than {b} in {metric}, at {alpha:g} shared by {family}"),
        ("pilot", f"{number} people of {scores.test_set}: {a} better by {mean:.4f}, sd {sd:.4f}"),
        (f"people for {power:.0%} power", "more than 5000" if needed is None else str(needed)),
        (f"power with {persons or number} people", f"{reached:.0%}"),
    ]
    if least is not None:
        rows.append((f"found with {persons or number} people at {power:.0%}", f"a true difference of {least:.4f}"))
    print_table("", ["", ""], rows)


def meta(
    runs: Annotated[list[Path], typer.Argument(help="Run folders or published studies.", show_default=False)],
    compare: Annotated[str, typer.Option(help="The two methods, such as dlf,jlf.", show_default=False)],
    metric: MetricName = "dice",
    metrics: Metrics = None,
) -> None:
    """Pools the difference of two methods over several studies, and says how far the studies agree.

    Every test set counts as a study, but for changed copies of another. Their people should be different ones.

    Example:
      dlfbench meta reports/hippocampus-cv reports/mtl-official --compare dlf,jlf
    """
    from dlfbench.report.basis.meta import Effect, pool, shared_people
    from dlfbench.report.basis.scores import original_scores

    a, b = _pair(compare)
    names = [run.name for run in runs] if len({run.name for run in runs}) == len(runs) else [str(run) for run in runs]
    if len(set(names)) < len(runs):
        raise InputError(f"expected different runs, found one twice: {', '.join(names)}")
    by_run = {name: original_scores(run) for name, run in zip(names, runs, strict=True)}
    studies = {f"{name}: {one.test_set}": one for name, of_run in by_run.items() for one in of_run}
    both = {name: one for name, one in studies.items() if {a, b} <= set(one.methods)}
    if not both:
        raise InputError(_nobody_has({name: of_run[0].methods for name, of_run in by_run.items() if of_run}, a, b))
    chosen = _metric(metric)
    try:
        pooled = pool([Effect(name, one.paired([(a, b)], metric=chosen)[:, 0]) for name, one in both.items()])
    except ValueError as error:
        raise InputError(f"{a} and {b}: {error}; looked at {', '.join(studies)}") from None
    if twice := shared_people({name: one.persons for name, one in both.items()}):
        said = f"people of the same names in two studies; if they are the same, they count twice: {'; '.join(twice)}"
        out.print(said, style="yellow", soft_wrap=True)
    if pooled.left_out:
        said = f"left out, with fewer than two people or the same difference for all: {', '.join(pooled.left_out)}"
        out.print(said, style="yellow", soft_wrap=True)
    _print_pooled(pooled, f"{a} less {b}, {metric}")
    _print_ranks(studies)


def _nobody_has(methods: Mapping[str, tuple[str, ...]], a: str, b: str) -> str:
    """That no run has both methods, and which methods (by run) there are."""
    lacking = [repr(name) for name in (a, b) if not any(name in known for known in methods.values())]
    what = f"no run has a method {' or '.join(lacking)}" if lacking else f"no run has both {a!r} and {b!r}"
    return f"--compare: {what}; there are: " + "; ".join(f"{name}: {', '.join(of)}" for name, of in methods.items())


def _print_pooled(pooled: "Pooled", title: str) -> None:
    rows = [
        (row.study, row.persons, f"{row.difference:+.4f}", f"{row.low:+.4f} to {row.high:+.4f}", f"{row.weight:.0%}")
        for row in pooled.studies.itertuples()
    ]
    rows.append(("all", "", f"{pooled.difference:+.4f}", f"{pooled.low:+.4f} to {pooled.high:+.4f}", ""))
    columns = ["study", "people", "difference", "95% CI", "weight"]
    print_table(title, columns, rows, right=columns[1:])
    low, high = pooled.expected
    further = "not told by two studies" if np.isnan(low) else f"{low:+.4f} to {high:+.4f}"
    out.print(
        f"p {pooled.p:.3g} (random effects, Hartung-Knapp); between studies: sd {pooled.tau:.4f}, "
        f"{pooled.i2:.0%} of the variance; a further study's true difference: {further}",
        soft_wrap=True,
    )


def _print_ranks(studies: "Mapping[str, Scores]") -> None:
    """Of the methods that all studies have, over the studies in which each of them has a result for every case."""
    from dlfbench.report.basis.meta import consensus_ranking

    first, *others = studies.values()
    shared = [name for name in first.methods if all(name in one.methods for one in others)]
    means = np.array(
        [[one.mean(name) if one.complete(name) else np.nan for name in shared] for one in studies.values()]
    )
    ranks, whole = consensus_ranking(means), int((~np.isnan(means).any(axis=1)).sum())
    if shared and whole:
        order = ", ".join(f"{shared[i]} {ranks[i]:.2f}" for i in np.argsort(ranks))
        out.print(f"mean rank by Dice over {whole} of {len(studies)} studies: {order}", soft_wrap=True)


def _pair(text: str) -> tuple[str, str]:
    names = [name.strip() for name in text.split(",")]
    if len(names) != 2 or not all(names) or names[0] == names[1]:
        raise InputError(f"--compare: expected two methods such as dlf,jlf, found {text!r}")
    return names[0], names[1]


def _checked(methods: tuple[str, ...], *names: str) -> tuple[str, ...]:
    lacking = [name for name in names if name not in methods]
    if lacking:
        raise InputError(f"no method {lacking[0]!r} in these results; there are: {', '.join(methods)}")
    if len(set(names)) < len(names):
        raise InputError(f"expected two methods, found {names[0]!r} twice; there are: {', '.join(methods)}")
    return names


def _metric(name: str) -> str:
    from dlfbench.metrics.known import METRICS
    from dlfbench.plugins import unknown

    known = [metric.name for metric in METRICS]
    if name not in known:
        raise InputError(f"--metric: {unknown('metric', name, known)}")
    return name
