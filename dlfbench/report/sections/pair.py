"""Two methods: their differences in every test set, label and metric as a forest plot. The page lets people choose."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import pandas as pd

from dlfbench.metrics.known import METRICS
from dlfbench.report.basis.basis import Basis
from dlfbench.report.basis.comparison import LEVEL, MANY_METHODS, better_of
from dlfbench.report.basis.scores import ALL_LABELS
from dlfbench.report.section import Content, Section
from dlfbench.report.shown import format as say

_MANY_LABELS = 6
_WIDTH = 100.0  # of the drawing, in its own units; 50 is no difference


@dataclass(frozen=True, kw_only=True)
class Line:
    """One difference: where it is drawn, 0 to 100 with the better first method on the right, and what it says."""

    test_set: str
    label: str
    low: float
    at: float
    high: float
    difference: str
    interval: str
    p: str
    verdict: str
    toward: str


@dataclass(frozen=True, kw_only=True)
class Forest:
    """The differences of one pair: by metric, with what the right end of its scale is."""

    first: str
    second: str
    metrics: tuple[tuple[str, str, tuple[Line, ...]], ...]


def make(basis: Basis) -> Content | None:
    """A forest for each pair that may be chosen; the first is of the two best methods."""
    if len(basis.methods) < 2:
        return None
    rows = _rows(basis)
    by_pair = dict(list(rows.groupby(["a", "b"], sort=False)))
    forests = []
    for first, second in _pairs(basis.by_score):
        turned = (first, second) not in by_pair
        group = by_pair[(second, first) if turned else (first, second)]
        forests.append(Forest(first=first, second=second, metrics=tuple(_metrics(group, turned))))
    return Content(shown={"forests": forests, "methods": basis.by_score, "level": LEVEL})


PAIR = Section(name="pair", title="Two methods", make=make)


def _pairs(methods: Sequence[str]) -> list[tuple[str, str]]:
    """Every pair, the better first; of many methods the best against each."""
    if len(methods) > MANY_METHODS:
        return [(methods[0], other) for other in methods[1:]]
    return list(combinations(methods, 2))


def _rows(basis: Basis) -> pd.DataFrame:
    """Dice of each label and the other metrics over all labels in main test sets; elsewhere Dice over all labels."""
    rows = basis.comparisons
    whole, dice = rows["label"] == ALL_LABELS, rows["metric"] == METRICS[0].name
    main = rows["test_set"].isin(basis.main_sets)
    shown = (whole & (dice | main)) | (dice & main & (len(basis.labels) <= _MANY_LABELS + 1))
    return rows[shown]


def _metrics(group: pd.DataFrame, turned: bool) -> Iterator[tuple[str, str, tuple[Line, ...]]]:
    """By metric: its title, the difference at the ends of its scale, and its lines."""
    for metric in METRICS:
        of_metric = group[group["metric"] == metric.name]
        if of_metric.empty:
            continue
        scale = float(np.nan_to_num(of_metric[["low", "high", "difference"]].abs().to_numpy(float)).max()) or 1.0
        sign = (-1 if turned else 1) * (1 if metric.higher_is_better else -1)
        lines = tuple(_line(row, scale=scale, sign=sign, turned=turned) for _, row in of_metric.iterrows())
        yield say.TITLES[metric.name], say.number(scale, metric.name), lines


def _line(row: pd.Series, *, scale: float, sign: int, turned: bool) -> Line:
    """Args: sign: +1 where a difference a - b above 0 speaks for the pair's first method."""
    low, high = sorted(_place(sign * row[end] / scale) for end in ("low", "high"))
    flip = -1 if turned else 1
    ends = (-row["high"], -row["low"]) if turned else (row["low"], row["high"])
    better = better_of(row)
    return Line(
        test_set=row["test_set"],
        label=row["label"],
        low=low,
        at=_place(sign * row["difference"] / scale),
        high=high,
        difference=say.number(flip * row["difference"], row["metric"], signed=True),
        interval=say.limits(*ends, row["metric"], signed=True),
        p=say.p_value(row["p_holm"]),
        verdict=say.verdict(row),
        toward="" if not better else "first" if (better == row["a"]) != turned else "second",
    )


def _place(share: float) -> float:
    """A share of the scale as a place in the drawing; what is beyond its ends is drawn there."""
    if pd.isna(share):
        return _WIDTH / 2
    return round(_WIDTH / 2 * (1 + max(-1.0, min(1.0, share))), 1)
