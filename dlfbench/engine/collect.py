"""From the products of tasks to the tables of a run. A task without a product is a row with status `missing`."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from functools import cache
from typing import Any

import numpy as np
import pandas as pd

from dlfbench.engine.plan import Plan
from dlfbench.engine.tasks.registration import RegistrationTask
from dlfbench.engine.tasks.scoring import BoundsTask
from dlfbench.engine.tasks.task import Place, Task
from dlfbench.metrics.calibration import CALIBRATION_COLUMNS
from dlfbench.metrics.definitions import Metric
from dlfbench.metrics.known import METRICS
from dlfbench.metrics.signs import SIGN_COLUMNS, SIGNS
from dlfbench.records.folder import Product
from dlfbench.records.results import (
    CALIBRATION,
    CANDIDATE_COLUMNS,
    CANDIDATES,
    CURVE,
    CURVE_COLUMNS,
    REGISTRATIONS,
    RESULT_COLUMNS,
    SIGNS_TABLE,
    TIMINGS,
    result_rows,
    write_results,
)
from dlfbench.study.splits import Fold

Read = Callable[[str, str], Product | None]

_NOT_RUN = Product("", "", "failed", "not run yet")


def collect(plan: Plan, place: Place) -> None:
    """Writes results, timings, registrations and, where posteriors are kept, calibration into the run folder."""
    folder = place.folder
    read: Read = cache(folder.read_product)  # of several tables each
    rows = [*_method_rows(plan, read, _scores(plan, plan.folds)), *_bound_rows(plan, read)]
    write_results(pd.DataFrame(rows, columns=list(RESULT_COLUMNS)), folder.root)
    TIMINGS.write(_timings(plan, read), folder.root)
    REGISTRATIONS.write(_registrations(plan, place, read), folder.root)
    if plan.fewer:
        CURVE.write(pd.DataFrame(list(_curve_rows(plan, read))), folder.root)
    CANDIDATES.write(pd.DataFrame(list(_candidate_rows(plan, read))), folder.root)
    SIGNS_TABLE.write(pd.DataFrame(list(_sign_rows(plan, read))), folder.root)
    if plan.posteriors:
        CALIBRATION.write(pd.DataFrame(list(_calibration_rows(plan, read))), folder.root)


def _scores(plan: Plan, folds: Sequence[Fold]) -> list[Task]:
    """The scores of these folds: those that results are made of, or those of learning curves."""
    indices = {fold.index for fold in folds}
    return [task for task in plan.of_kind("score") if task.names["fold"] in indices]


def _curve_rows(plan: Plan, read: Read) -> Iterable[dict[str, Any]]:
    """What methods scored with fewer training cases or atlases."""
    about = {fold.index: _about_fewer(plan, fold) for fold in plan.fewer}
    for row in _method_rows(plan, read, _scores(plan, plan.fewer)):
        said = {**row, **about[row["fold"]]}
        yield {column: said[column] for column in CURVE_COLUMNS}


def _about_fewer(plan: Plan, fold: Fold) -> dict[str, Any]:
    split = next(one.index for one in plan.folds if one.tests == fold.tests and set(fold.train) <= set(one.train))
    return {"split": split, "train_cases": len(fold.train), "atlases": fold.atlases, "draw": fold.draw}


def _method_rows(plan: Plan, read: Read, scores: Sequence[Task]) -> Iterable[dict[str, Any]]:
    for score in scores:
        product = _first_trouble(read, [("segmentation", score.needs[0]), ("score", score.key)])
        head = {"method": score.names["method"], "kind": "method"}
        yield from _case_rows(plan, head, score.names["fold"], score.names["case"], product)


def _sign_rows(plan: Plan, read: Read) -> Iterable[dict[str, Any]]:
    """What a segmentation's signs were, and its Dice in the end."""
    for score in _scores(plan, plan.folds):
        made = read("segmentation", score.needs[0])
        product = read("score", score.key)
        if made is None or product is None or not (made.ok and product.ok):
            continue
        of_label = {row["label"]: row for row in made.rows[0].get("signs", ())}
        head = {"method": score.names["method"]}
        for row in _case_rows(plan, head, score.names["fold"], score.names["case"], product):
            known = of_label.get(row["label"], {})
            yield {column: known.get(column) if column in SIGNS else row[column] for column in SIGN_COLUMNS}


def _calibration_rows(plan: Plan, read: Read) -> Iterable[dict[str, Any]]:
    for score in _scores(plan, plan.folds):
        product = read("score", score.key)
        if product is None or not product.ok:
            continue
        head, case, fold = {"method": score.names["method"]}, score.names["case"], score.names["fold"]
        counted = {row["label"]: row.get("calibration", ()) for row in product.rows}
        for row in _case_rows(plan, head, fold, case, product):
            about = {column: row[column] for column in CALIBRATION_COLUMNS if column in row}
            for place, counts in enumerate(counted.get(row["label"], ())):
                yield {**about, "bin": place, **counts}


def _bound_rows(plan: Plan, read: Read) -> Iterable[dict[str, Any]]:
    for task in plan.of_kind("bounds"):
        assert isinstance(task, BoundsTask)
        product = read("bounds", task.key) or _NOT_RUN
        by_bound: dict[str, list[dict[str, Any]]] = defaultdict(list)
        for row in product.rows:
            by_bound[row["bound"]].append(row)
        for bound, found in by_bound.items() if product.ok else [("candidate", []), ("oracle10", [])]:
            outcome = Product(task.key, "bounds", product.status, product.reason, rows=_mean_over_atlases(found))
            yield from _case_rows(plan, {"method": bound, "kind": "bound"}, task.names["fold"], task.case.name, outcome)


def _candidate_rows(plan: Plan, read: Read) -> Iterable[dict[str, Any]]:
    """What each single atlas of each case scored."""
    for task in plan.of_kind("bounds"):
        product = read("bounds", task.key)
        by_atlas: dict[str, list[dict[str, Any]]] = defaultdict(list)
        for row in product.rows if product is not None and product.ok else ():
            if row["bound"] == "candidate":
                by_atlas[str(row["atlas"])].append(row)
        for atlas, found in by_atlas.items():
            alone, about = Product(task.key, "bounds", "ok", rows=found), {"method": "candidate", "kind": "bound"}
            for row in _case_rows(plan, about, task.names["fold"], task.names["case"], alone):
                yield {column: atlas if column == "atlas" else row[column] for column in CANDIDATE_COLUMNS}


def _mean_over_atlases(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """One row per label: the mean of each metric, as it is compared, over the atlases that have it."""
    by_label: dict[int, list[dict[str, Any]]] = defaultdict(list)
    for row in rows:
        by_label[row["label"]].append(row)
    return [
        {**group[0], **{m.name: _mean([row[m.name] for row in group], m) for m in METRICS}}
        for group in by_label.values()
    ]


def _mean(values: list[Any], metric: Metric) -> float:
    finite = [metric.comparable(value) for value in values if value is not None and np.isfinite(value)]
    return float(np.mean(finite)) if finite else float("nan")


def _case_rows(plan: Plan, head: dict[str, Any], fold: int, case: str, product: Product) -> Iterable[dict[str, Any]]:
    """One row per test set and label or group; without metrics where the product failed."""
    by_label = {row["label"]: row for row in product.rows}
    person = plan.dataset.case(case).person
    status = "missing" if product is _NOT_RUN or product.reason == _NOT_RUN.reason else product.status
    for test_set, names in plan.fold(fold).tests.items():
        if case in names:
            about = {**head, "fold": fold, "test_set": test_set, "case": case, "person": person}
            values = by_label if product.ok else {}
            yield from result_rows(about, plan.dataset.labels, values, status=status, reason=product.reason)


def _first_trouble(read: Read, steps: list[tuple[str, str]]) -> Product:
    """The last product, or the first that failed or is missing."""
    product = _NOT_RUN
    for kind, key in steps:
        product = read(kind, key) or _NOT_RUN
        if not product.ok:
            return product
    return product


def _timings(plan: Plan, read: Read) -> pd.DataFrame:
    rows = []
    for task in plan.tasks.values():
        product = read(task.kind, task.key)
        if product is not None:
            rows.append(
                {"task": task.kind, **task.names, **product.cost, "status": product.status, "reason": product.reason}
            )
    return pd.DataFrame(rows)


def _registrations(plan: Plan, place: Place, read: Read) -> pd.DataFrame:
    rows = []
    for task in plan.of_kind("registration"):
        assert isinstance(task, RegistrationTask)
        product = read(task.kind, task.key)
        wall_s = float("nan")
        if product is not None:
            flags = list(product.rows[0]["flags"]) if product.ok else [f"failed: {product.reason}"]
            wall_s = product.cost.get("wall_s", wall_s)
        elif (kept := place.store.about(task.key)) is not None:
            flags, wall_s = list(kept.flags), kept.wall_s
        else:
            flags = ["not run yet"]
        names = {"target": task.names["case"], "atlas": task.names["atlas"]}
        made = {"made_in_this_run": product is not None, "wall_s": wall_s}
        rows.append({**names, "flags": "; ".join(flags), **made})
    return pd.DataFrame(rows)
