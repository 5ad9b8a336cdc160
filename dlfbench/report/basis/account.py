"""What a run cost, what failed in it, and which registrations look wrong."""

import pandas as pd

from dlfbench.records.record import Record

COST_COLUMNS = [
    *("task", "method", "n", "failed", "median_s", "longest_s", "total_s", "total_cpu_s", "peak_bytes"),
    *("device", "threads"),
]
_NOT_RUN = "not run yet"
FAILURE_COLUMNS = ["method", "kind", "fold", "test_set", "case", "status", "reason"]


def costs(record: Record) -> pd.DataFrame:
    """One row per kind of task and method, in the order of work: number, failures, wall and processor time, memory."""
    table = record.timings.copy()
    if table.empty:
        return pd.DataFrame(columns=COST_COLUMNS)
    table["method"] = table["method"].fillna("").astype(str)
    rows = [
        {"task": task, "method": method, **_cost(group)}
        for (task, method), group in table.groupby(["task", "method"], sort=False)
    ]
    found = pd.DataFrame(rows, columns=COST_COLUMNS)
    tasks = {name: i for i, name in enumerate(("registration", "fit", "segmentation", "score", "bounds"))}
    methods = {name: i for i, name in enumerate(("", *record.methods))}
    order = pd.DataFrame({"t": found["task"].map(tasks).fillna(9), "m": found["method"].map(methods).fillna(999)})
    return found.loc[order.sort_values(["t", "m"], kind="stable").index].reset_index(drop=True)


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
