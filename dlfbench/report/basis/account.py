"""What a run cost, what failed in it, and which registrations look wrong."""

import math
from collections.abc import Collection
from dataclasses import dataclass

import pandas as pd

from dlfbench import plugins
from dlfbench.errors import InputError
from dlfbench.plugin_files import is_file
from dlfbench.records.record import Record

COST_COLUMNS = [
    *("task", "method", "n", "failed", "median_s", "longest_s", "total_s", "total_cpu_s", "peak_bytes"),
    *("device", "threads"),
]
_NOT_RUN = "not run yet"
_NAN = float("nan")
FAILURE_COLUMNS = ["method", "kind", "fold", "test_set", "case", "status", "reason"]


def costs(record: Record) -> pd.DataFrame:
    """One row per kind of task and method, in the order of work: number, failures, wall and processor time, memory."""
    table = timings_of_results(record).copy()
    if table.empty:
        return pd.DataFrame(columns=COST_COLUMNS)
    table["method"] = table["method"].fillna("").astype(str)
    rows = [
        {"task": task, "method": method, **_cost(group)}
        for (task, method), group in table.groupby(["task", "method"], sort=False)
    ]
    costs_ = pd.DataFrame(rows, columns=COST_COLUMNS)
    tasks = {name: i for i, name in enumerate(("registration", "fit", "segmentation", "score", "bounds"))}
    methods = {name: i for i, name in enumerate(("", *record.methods))}
    order = pd.DataFrame({"t": costs_["task"].map(tasks).fillna(9), "m": costs_["method"].map(methods).fillna(999)})
    return costs_.loc[order.sort_values(["t", "m"], kind="stable").index].reset_index(drop=True)


def timings_of_results(record: Record) -> pd.DataFrame:
    """The timings less what was done for learning curves."""
    ours = [fold.index for fold in record.folds]
    fold = record.timings["fold"]
    return record.timings[fold.isna() | fold.isin(ours)] if ours else record.timings


def _cost(group: pd.DataFrame) -> dict[str, object]:
    wall_s = group["wall_s"].astype(float)
    return {
        "n": len(group),
        "failed": int((group["status"] != "ok").sum()),
        "median_s": wall_s.median(),
        "longest_s": wall_s.max(),
        "total_s": wall_s.sum(),
        "total_cpu_s": group["cpu_s"].astype(float).sum(),
        "peak_bytes": group["peak_bytes"].astype(float).max(),
        "device": ", ".join(sorted(group["device"].dropna().astype(str).unique())),
        "threads": ", ".join(f"{n:g}" for n in sorted(group["threads"].dropna().astype(float).unique())),
    }


@dataclass(frozen=True, kw_only=True)
class Times:
    """What a method takes, one task after the other; NaN where it is not recorded.

    Attributes:
        train_s: Median over folds.
        train_registration_s: Registering the training cases to one another, of methods that train on that.
        case_s: Median over cases.
        case_registration_s: Registering the atlases to a case; 0 for methods without atlases.
    """

    train_s: float
    train_registration_s: float
    case_s: float
    case_registration_s: float

    @property
    def training_s(self) -> float:
        """Both parts; 0 where there is nothing to train."""
        return self.train_s + self.train_registration_s

    @property
    def whole_case_s(self) -> float:
        """Both parts."""
        return self.case_s + self.case_registration_s


def times(record: Record, costs_: pd.DataFrame) -> dict[str, Times]:
    """Time for training and for a case, registrations included, by method.

    Registrations are shared by all methods and folds: here each method bears those that it would need alone, at the
    median time of one in its run.
    """
    seconds = costs_.set_index(["task", "method"])["median_s"].astype(float)
    timed = any(costs_["task"] == "segmentation")
    train = _training_cases(record)
    needed = {}
    for method in record.methods:
        registered = registers(record, method) if timed else None
        run = _run_with_registrations(record, method)
        one_s = one_registration_s(run)
        case_s = float(seconds.get(("segmentation", method), _NAN))
        needed[method] = Times(
            train_s=_training_s(seconds, (method, *members(record, method)), none=_NAN if math.isnan(case_s) else 0.0),
            train_registration_s=_of(registered, "training", train * (train - 1) * one_s),
            case_s=case_s,
            case_registration_s=_of(registered, "cases", _median_atlases(run) * one_s),
        )
    return needed


def _run_with_registrations(record: Record, method: str) -> Record:
    """The run of a method, or where that says nothing of registrations, what merged runs have in common."""
    own = record.run_of(method)
    return own if math.isfinite(one_registration_s(own)) else record


def one_registration_s(run: Record) -> float:
    """Median time of a registration, those of earlier runs among them; NaN where none is recorded."""
    of_builds_before = run.timings.loc[run.timings["task"] == "registration", "wall_s"].astype(float).median()
    recorded = float(run.registrations["wall_s"].astype(float).median())
    return float(of_builds_before) if math.isnan(recorded) else recorded


def _training_s(seconds: pd.Series, methods: Collection[str], none: float) -> float:
    """Of a method and its members, whose models are its own too; `none` where none was trained."""
    known = [float(seconds[("fit", method)]) for method in methods if ("fit", method) in seconds]
    return sum(known) if known else none


def members(record: Record, method: str) -> tuple[str, ...]:
    """The methods that a method combines, by their names; none where it combines none."""
    return record.run_of(method).environment.members.get(record.origin(method).method, ())


def _of(registered: Collection[str] | None, what: str, time_s: float) -> float:
    """The time where the method registers that; 0 where it does not, NaN where nobody knows."""
    return _NAN if registered is None else (time_s if what in registered else 0.0)


def registers(record: Record, method: str) -> Collection[str] | None:
    """What atlases are registered to for a method: `cases`, `training`; None where it is neither recorded nor known."""
    name, recorded = record.origin(method).method, record.run_of(method).environment.registers
    if name in recorded:
        return recorded[name]
    use = record.study.methods.get(method, {}).get("use", name)
    if is_file(use):  # a report runs no code that a run folder names
        return None
    try:
        kind = plugins.load(plugins.SEGMENTERS, use)
    except InputError:
        return None
    needs, trains = (getattr(kind, flag, default) for flag, default in _FLAGS.items())
    return [*["cases"] * (needs is True), *["training"] * (trains is True)] if isinstance(needs, bool) else None


_FLAGS = {"needs_atlases": True, "trains_on_atlases": False}  # as of a function that fuses


def _median_atlases(record: Record) -> float:
    """How many atlases a test case has."""
    tested = record.registrations[record.registrations["target"].isin(set(record.results["case"]))]
    counts = tested.groupby("target").size()
    return float(counts.median()) if len(counts) else float(_training_cases(record)) or _NAN


def _training_cases(record: Record) -> int:
    return max((len(fold.train) for fold in record.folds), default=0)


def failures(record: Record) -> pd.DataFrame:
    """One row per method, fold, test set and case without a result, and why."""
    rows = record.results[record.results["status"] != "ok"]
    return rows[FAILURE_COLUMNS].drop_duplicates(FAILURE_COLUMNS[:5]).reset_index(drop=True)


def flagged_registrations(record: Record) -> pd.DataFrame:
    """The registrations with flags; those not run yet have none."""
    flags = record.registrations["flags"].fillna("").astype(str)
    return record.registrations[(flags != "") & (flags != _NOT_RUN)].reset_index(drop=True)


def registration_counts(record: Record) -> dict[str, int]:
    """How many registrations were planned, made in this run, taken from the store, and not run yet."""
    made = record.registrations["made_in_this_run"].fillna(False).astype(bool)
    waiting = record.registrations["flags"].fillna("") == _NOT_RUN
    return {
        "planned": len(made),
        "made": int(made.sum()),
        "stored": int((~made & ~waiting).sum()),
        "waiting": int(waiting.sum()),
    }
