"""Run folders made up for tests: plausible results without running anything."""

import json
from pathlib import Path

import numpy as np
import pandas as pd

from dlfbench.records.results import REGISTRATION_COLUMNS, RESULT_COLUMNS, TIMING_COLUMNS, write_results, write_table

QUALITY = {"mv": 0.86, "svwv": 0.868, "jlf": 0.88}
BOUNDS = {"oracle_one": 0.999, "oracle05": 0.995, "oracle10": 0.98, "oracle50": 0.86, "candidate": 0.77}
LABELS = {1: "anterior", 2: "posterior", 3: "tail <b>"}
LOSS = {"in-domain": 0.0, "uint8": 0.03}


def make_results(persons=12, methods=QUALITY, bounds=BOUNDS, labels=LABELS, seed=0):
    """Two test sets of so many persons with two cases each (left and right)."""
    rng = np.random.default_rng(seed)
    rows = []
    for test_set, loss in LOSS.items():
        for person in range(persons):
            ease = rng.normal(0, 0.02)
            for side in "LR":
                case = f"{test_set}-{person:02d}{side}"
                about = {"fold": 0, "test_set": test_set, "case": case, "person": f"{test_set}-{person:02d}"}
                for kind, qualities in (("method", methods), ("bound", bounds)):
                    for method, quality in qualities.items():
                        for value, name in labels.items():
                            dice = quality - loss * (kind == "method") + ease - 0.01 * value + rng.normal(0, 0.008)
                            head = {"method": method, "kind": kind, **about, "label": value, "label_name": name}
                            rows.append({**head, **metrics(min(dice, 1), rng)})
    results = pd.DataFrame(rows, columns=list(RESULT_COLUMNS))
    reference = results.groupby(["case", "label"])["reference_volume_mm3"].transform("first")
    volumes = {"reference_volume_mm3": reference, "prediction_volume_mm3": reference * (1 + results["volume_error"])}
    return results.assign(**volumes)


def metrics(dice, rng):
    reference = rng.uniform(1200, 2000)
    error = rng.normal(-0.02, 0.06)
    return {
        "dice": dice,
        "hd95_mm": 8 * (1 - dice) + rng.uniform(0, 0.3),
        "assd_mm": 3 * (1 - dice),
        "surface_dice": min(1.0, dice + 0.08),
        "volume_error": error,
        "reference_volume_mm3": reference,
        "prediction_volume_mm3": reference * (1 + error),
        "reference_empty": False,
        "prediction_empty": False,
        "status": "ok",
        "reason": "",
    }


def fail(results, method, case, reason="RuntimeError: <script>alert(1)</script>"):
    """The same results with one case of a method failed."""
    results = results.copy()
    hit = (results["method"] == method) & (results["case"] == case)
    results.loc[hit, ["dice", "hd95_mm", "assd_mm", "surface_dice", "volume_error"]] = np.nan
    results.loc[hit, ["reference_volume_mm3", "prediction_volume_mm3"]] = np.nan
    results.loc[hit, ["status", "reason"]] = ["failed", reason]
    return results


def make_timings(results):
    rows = []
    for row in results.drop_duplicates(["method", "case"]).itertuples():
        if row.kind == "method":
            cost = {"wall_s": 2.0, "cpu_s": 1.9, "peak_bytes": 4e8, "device": "cpu", "threads": 1, "status": "ok"}
            rows.append({"task": "segmentation", "method": row.method, "fold": 0, "case": row.case, **cost})
    rows.append({"task": "registration", "case": "a", "atlas": "atlas-1", "wall_s": 2.0, "status": "ok"})
    return pd.DataFrame(rows, columns=list(TIMING_COLUMNS))


def make_run(folder: Path, results=None) -> Path:
    """Writes a run folder and returns it."""
    results = make_results() if results is None else results
    write_results(results, folder)
    write_table(make_timings(results), folder / "timings.parquet")
    target = "in-domain-00L"
    registrations = [(target, "atlas-1", "", True, 2.0), (target, "atlas-2", "folded: 3% of voxels", False, None)]
    write_table(pd.DataFrame(registrations, columns=list(REGISTRATION_COLUMNS)), folder / "registrations.parquet")
    found = set(results.loc[results["kind"] == "method", "method"])
    methods = [*(name for name in QUALITY if name in found), *sorted(found - set(QUALITY))]
    tables = "".join(f'[methods."{name}"]\nuse = "{name}"\n' for name in methods)
    folder.joinpath("study.toml").write_text(f'name = "made-up"\nseed = 3\n[data]\ndataset = "nowhere"\n{tables}')
    tests = {name: sorted(set(group["case"])) for name, group in results.groupby("test_set")}
    splits = {"folds": [{"fold": 0, "train": ["atlas-1", "atlas-2"], "tests": tests}]}
    folder.joinpath("splits.json").write_text(json.dumps(splits))
    environment = {"versions": {"python": "3.11.0", "dlfbench": "0.1.0"}, "workers": 2, "threads": 1, "device": "cpu"}
    folder.joinpath("environment.json").write_text(json.dumps(environment))
    return folder
