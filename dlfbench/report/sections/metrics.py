"""Ranks by every metric: does another metric tell another story?"""

import numpy as np

from dlfbench.metrics.definitions import Metric
from dlfbench.metrics.known import METRICS
from dlfbench.report.basis.basis import Basis
from dlfbench.report.basis.scores import ALL_LABELS
from dlfbench.report.section import Content, Section
from dlfbench.report.shown import format as say
from dlfbench.report.shown.tables import Cell, Table


def make(basis: Basis) -> Content | None:
    """One table: methods by score, and in each test set their rank by each metric."""
    if len(basis.methods) < 2:
        return None
    silent = {name: [m for m in METRICS if _says_nothing(basis, name, m)] for name in basis.main_sets}
    return Content(
        text=[text for metric in METRICS if (text := _silence(basis, metric, silent))],
        tables={"ranks_by_metric": _table(basis, silent)},
    )


METRIC_RANKS = Section(name="metrics", title="Ranks by metric", make=make)


def _table(basis: Basis, silent: dict[str, list[Metric]]) -> Table:
    columns = ("method", *[metric.title for metric in METRICS] * len(basis.main_sets))
    ranks = {
        (name, metric.name): {} if metric in silent[name] else _ranks(basis, name, metric)
        for name in basis.main_sets
        for metric in METRICS
    }
    rows = tuple(
        (Cell(method), *(_cell(basis, name, method, metric, ranks[name, metric.name])
                         for name in basis.main_sets for metric in METRICS))
        for method in basis.by_score
    )  # fmt: skip
    spans = (("", 1), *((name, len(METRICS)) for name in basis.main_sets))
    return Table(title="Ranks by each metric, over all labels", columns=columns, rows=rows, spans=spans)


def _ranks(basis: Basis, test_set: str, metric: Metric) -> dict[str, int]:
    """1 for the best mean; methods of equal means, unrounded, share the better rank; incomplete ones have none."""
    means = {}
    for method in basis.methods:
        row = basis.row(test_set, method, ALL_LABELS, metric.name)
        if row is not None and row["complete"] and not np.isnan(row["mean"]):
            means[method] = float(row["mean"]) * (-1 if metric.higher_is_better else 1)
    return {method: 1 + sum(other < mean for other in means.values()) for method, mean in means.items()}


def _cell(basis: Basis, test_set: str, method: str, metric: Metric, ranks: dict[str, int]) -> Cell:
    row = basis.row(test_set, method, ALL_LABELS, metric.name)
    mean = float("nan") if row is None else float(row["mean"])
    if method not in ranks:
        return Cell(say.NONE, detail=say.number(mean, metric.name))
    rank = ranks[method]
    return Cell(str(rank), rank, f"rank rank{min(rank, 4)}", detail=say.number(mean, metric.name))


def _says_nothing(basis: Basis, test_set: str, metric: Metric) -> bool:
    """Whether all means are written alike: a rank would be by rounding errors."""
    rows = [basis.row(test_set, method, ALL_LABELS, metric.name) for method in basis.methods]
    means = {say.number(row["mean"], metric.name) for row in rows if row is not None}
    return len(rows) > 1 and len(means) == 1


def _silence(basis: Basis, metric: Metric, silent: dict[str, list[Metric]]) -> str:
    """What a metric that is the same for all methods says about itself, and what to do."""
    names = [name for name, found in silent.items() if metric in found]
    if not names:
        return ""
    value = say.number(float(basis.row(names[0], basis.methods[0], ALL_LABELS, metric.name)["mean"]), metric.name)
    text = f"{metric.title} is {value} for every method in {', '.join(names)}: it tells nothing there."
    if metric.name == "surface_dice":
        tolerance_mm = basis.record.identity.tolerance_mm
        text += f" Its tolerance of {tolerance_mm:g} mm is wider than the errors; set a smaller one under [metrics]."
    return text
