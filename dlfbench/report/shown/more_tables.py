"""Tables of generalization, volumes, cost, failures and registrations."""

import os
from pathlib import Path

import numpy as np
import pandas as pd

from dlfbench.report.basis.analysis import Analysis
from dlfbench.report.basis.repeatability import REFERENCE
from dlfbench.report.basis.scores import ALL_LABELS, Scores
from dlfbench.report.shown import format as say
from dlfbench.report.shown.tables import Cell, Table

_WORST = 10
_TASKS = {
    "registration": "registration of one atlas",
    "fit": "training",
    "segmentation": "segmentation of one case",
    "score": "scoring of one case",
    "bounds": "bounds of one case",
}


def drop_table(analysis: Analysis) -> Table:
    """Loss of each method from the first test set to each other."""
    columns = ("test set", "label", "metric", "method", "mean at home", "mean there", "loss", "95% CI")
    rows = tuple(
        (
            Cell(row["away"]),
            Cell(row["label"]),
            Cell(say.TITLES[row["metric"]]),
            Cell(row["method"]),
            Cell(say.number(row["home_mean"], row["metric"]), row["home_mean"]),
            Cell(say.number(row["away_mean"], row["metric"]), row["away_mean"]),
            Cell(say.number(row["drop"], row["metric"], signed=True), row["drop"]),
            Cell(say.limits(row["low"], row["high"], row["metric"], signed=True), row["low"]),
        )
        for _, row in analysis.drops.iterrows()
    )
    return Table("Loss from the first test set", columns, rows, text_columns=4, filters=("test set", "label", "metric"))


def drop_difference_table(analysis: Analysis) -> Table:
    """Whether one method loses more Dice than another."""
    columns = ("test set", "label", "a", "b", "loss of a − loss of b", "95% CI", "p", "p (Holm)")
    rows = tuple(
        (
            Cell(row["away"]),
            Cell(row["label"]),
            Cell(row["a"]),
            Cell(row["b"]),
            Cell(say.fixed(row["difference"], 4, signed=True), row["difference"]),
            Cell(f"{say.fixed(row['low'], 4, signed=True)} to {say.fixed(row['high'], 4, signed=True)}", row["low"]),
            Cell(say.p_value(row["p"]), row["p"]),
            Cell(say.p_value(row["p_holm"]), row["p_holm"]),
        )
        for _, row in analysis.drop_differences.iterrows()
    )
    return Table("Differences of losses, Dice", columns, rows, text_columns=4, filters=("test set", "label"))


def bounds_table(analysis: Analysis) -> Table:
    """Dice of the oracle at each threshold and of a single candidate, per test set."""
    columns = ("test set", "bound", *(f"Dice {label}" for label in analysis.labels))
    rows = []
    for scores in analysis.scores:
        for bound in analysis.bounds:
            found = [analysis.row(scores.test_set, bound, label, "dice") for label in analysis.labels]
            cells = [Cell(say.mean_sd(row["mean"], row["sd"], "dice"), row["mean"]) for row in found if row is not None]
            if cells:
                rows.append((Cell(scores.test_set), Cell(say.method_title(bound)), *cells))
    return Table("Bounds", columns, tuple(rows), text_columns=2)


def volume_table(analysis: Analysis) -> Table:
    """Bias and limits of agreement of volumes."""
    columns = (
        *("test set", "label", "method", "n", "mean reference (mm³)", "bias (mm³)", "limits of agreement (mm³)"),
        *("bias (%)", "limits of agreement (%)", "correlation"),
    )
    rows = tuple(_volume_row(row) for _, row in analysis.volumes.iterrows() if row["n"])
    return Table("Volumes", columns, rows, text_columns=3, filters=("test set", "label"))


def _volume_row(row: pd.Series) -> tuple[Cell, ...]:
    label = "sum of labels" if row["label"] == ALL_LABELS else row["label"]
    return (
        Cell(row["test_set"]),
        Cell(label),
        Cell(row["method"]),
        Cell(str(row["n"]), row["n"]),
        Cell(say.fixed(row["reference_mm3"], 0), row["reference_mm3"]),
        Cell(say.fixed(row["bias_mm3"], 0, signed=True), row["bias_mm3"]),
        _span(row, "mm3", 0),
        Cell(say.fixed(row["bias_percent"], 1, signed=True), row["bias_percent"]),
        _span(row, "percent", 1),
        Cell(say.fixed(row["correlation"], 3), row["correlation"]),
    )


def _span(row: pd.Series, unit: str, decimals: int) -> Cell:
    """Limits of agreement."""
    low, high = row[f"low_{unit}"], row[f"high_{unit}"]
    text = f"{say.fixed(low, decimals, signed=True)} to {say.fixed(high, decimals, signed=True)}"
    return Cell(say.NONE if pd.isna(low) else text, low)


def rank_table(analysis: Analysis) -> Table:
    """Ranks under each rule, per test set and method."""
    rules = tuple(analysis.rankings[0].ranks) if analysis.rankings else ()
    columns = ("test set", "method", *(f"by {rule}" for rule in rules), "mean rank over persons", "first in resamples")
    rows = []
    for ranking in analysis.rankings:
        for place, method in enumerate(ranking.methods):
            first = ranking.shares[place, 0]
            rows.append(
                (
                    Cell(ranking.test_set),
                    Cell(method),
                    *(Cell(say.fixed(ranks[place], 0), float(ranks[place])) for ranks in ranking.ranks.values()),
                    Cell(say.fixed(ranking.mean_rank[place], 2), float(ranking.mean_rank[place])),
                    Cell(say.NONE if np.isnan(first) else f"{100 * first:.0f}%", float(first)),
                )
            )
    return Table("Ranks by Dice over all labels", columns, tuple(rows), text_columns=2)


def repeatability_table(analysis: Analysis) -> Table:
    """Volume differences between two scans of a person, and Dice of the two segmentations."""
    columns = (
        *("test set", "label", "method", "pairs", "mean |difference| (%)", "sd of difference (%)", "bias (mm³)"),
        *("limits of agreement (mm³)", "Dice, aligned"),
    )
    rows = tuple(
        (
            Cell(row["test_set"]),
            Cell("sum of labels" if row["label"] == ALL_LABELS else row["label"]),
            Cell(row["method"], style="bound" if row["method"] == REFERENCE else ""),
            Cell(str(row["pairs"]), row["pairs"]),
            Cell(say.fixed(row["difference_percent"], 1), row["difference_percent"]),
            Cell(say.fixed(row["spread_percent"], 1), row["spread_percent"]),
            Cell(say.fixed(row["bias_mm3"], 0, signed=True), row["bias_mm3"]),
            _span(row, "mm3", 0),
            Cell(say.number(row["dice"], "dice"), row["dice"]),
        )
        for _, row in analysis.repeatability.iterrows()
    )
    return Table("Two scans of one person", columns, rows, text_columns=3, filters=("test set", "label"))


def worst_table(analysis: Analysis, page_folder: Path) -> Table:
    """The ten lowest mean Dice values of any case and method; the case leads to the segmentation."""
    lowest = sorted(found for scores in analysis.scores for found in _lowest(scores, analysis.methods))[:_WORST]
    columns = ("case", "person", "test set", "method", f"Dice {ALL_LABELS}", f"HD95 {ALL_LABELS} (mm)")
    rows = tuple(
        (
            Cell(case, link=_segmentation(analysis, test_set, case, method, page_folder)),
            Cell(person),
            Cell(test_set),
            Cell(method),
            Cell(say.number(dice, "dice"), dice),
            Cell(say.number(hd95, "hd95_mm"), hd95),
        )
        for dice, test_set, case, method, person, hd95 in lowest
    )
    return Table("The ten lowest Dice values", columns, rows, text_columns=4)


def _lowest(scores: Scores, methods: tuple[str, ...]) -> list[tuple[float, str, str, str, str, float]]:
    """(Dice, test set, case, method, person, HD95) of the lowest values of a test set."""
    at = [scores.methods.index(method) for method in methods]
    dice, hd95 = (scores.values[metric][:, at, -1] for metric in ("dice", "hd95_mm"))
    places = [divmod(int(place), len(methods)) for place in np.argsort(dice, axis=None, kind="stable")[:_WORST]]
    return [
        (
            float(dice[case, m]),
            scores.test_set,
            scores.cases[case],
            methods[m],
            scores.persons[scores.person_of[case]],
            float(hd95[case, m]),
        )
        for case, m in places
        if not np.isnan(dice[case, m])
    ]


def _segmentation(analysis: Analysis, test_set: str, case: str, method: str, page_folder: Path) -> str:
    path = analysis.record.segmentations(test_set, case).get(method)
    return os.path.relpath(path, page_folder) if path else ""


def cost_table(analysis: Analysis) -> Table:
    """Time and memory of each kind of task and method."""
    columns = (
        *("work", "method", "done", "failed", "median time", "longest", "total wall time", "total processor time"),
        *("peak memory", "device", "threads"),
    )
    rows = tuple(
        (
            Cell(_TASKS.get(row["task"], row["task"])),
            Cell(row["method"]),
            Cell(str(row["n"]), row["n"]),
            Cell(str(row["failed"]), row["failed"], "lacking" if row["failed"] else ""),
            *(Cell(say.seconds(row[name]), row[name]) for name in ("median_s", "longest_s", "total_s", "total_cpu_s")),
            Cell(say.memory(row["peak_bytes"]), row["peak_bytes"]),
            Cell(row["device"], style="text"),
            Cell(row["threads"]),
        )
        for _, row in analysis.costs.iterrows()
    )
    return Table("Time and memory", columns, rows, text_columns=2)


def failure_table(analysis: Analysis) -> Table:
    """What gave no result, and why."""
    columns = ("method", "test set", "case", "fold", "status", "reason")
    rows = tuple(
        tuple(Cell(str(row[name])) for name in ("method", "test_set", "case", "fold", "status", "reason"))
        for _, row in analysis.failures.iterrows()
    )
    return Table("Without a result", columns, rows, text_columns=6, filters=("method", "test set"))


def registration_table(analysis: Analysis) -> Table:
    """Registrations that look wrong."""
    columns = ("target", "atlas", "what looks wrong")
    rows = tuple(
        tuple(Cell(str(row[name])) for name in ("target", "atlas", "flags"))
        for _, row in analysis.registrations.iterrows()
    )
    return Table("Flagged registrations", columns, rows, text_columns=3)
