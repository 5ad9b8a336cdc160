"""Planning and resuming studies of many tasks: `python -m benchmarks.speed.planning 10000 100000`.

Every task is planned; for the resume check every task has its product. Files are tiny: the disk is not measured. Rows
are added to the table in reports/speed/.
"""

import argparse
import resource
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.speed.measure import machine, markdown_table
from dlfbench.datasets.cases import Case, Dataset, LabelSet
from dlfbench.engine.execute import pending
from dlfbench.engine.plan import Plan, make_plan
from dlfbench.engine.tasks.task import Place, Task
from dlfbench.images import Grid, write_image
from dlfbench.records.folder import Product
from dlfbench.study.tables import make_study

LABELS = LabelSet((0, 1), ("background", "one"))


def make_dataset(folder: Path, cases: int) -> Dataset:
    """Cases of tiny files, each with other voxels."""
    made = []
    for number in range(cases):
        path = folder / f"case{number:05d}.nii"
        write_image(path, np.full((4, 4, 4), number, np.int16), Grid.of((4, 4, 4), np.eye(4)))
        made.append(Case(path.stem, (path,), path))
    return Dataset("many", ("image",), LABELS, tuple(made))


def finish(plan: Plan, place: Place) -> None:
    """Writes a product for each task, without waiting for the disk."""
    for task in plan.tasks.values():
        left = {}
        if task.kind == "segmentation":
            path = place.folder.segmentation_path(task.names["method"], task.names["fold"], task.names["case"])
            place.folder.make(path).write_bytes(b"a label map" * 500)
            left = place.folder.left([path]).files
        if task.kind == "registration":
            entry = place.store._path(task.key)
            entry.parent.mkdir(parents=True, exist_ok=True)
            entry.touch()
        product = Product(task.key, task.kind, "ok", "", task.names, {"wall_s": 1.0}, _rows(task), left)
        place.folder.make(place.folder.product_path(task.kind, task.key)).write_text(product.text)


def measure(tasks: int, *, resume: bool) -> dict[str, float]:
    """CPU seconds and memory for a study of about so many tasks."""
    cases = max(12, round((tasks / 0.25) ** 0.5))  # half are tested, with the other half as atlases
    with tempfile.TemporaryDirectory() as scratch:
        dataset = make_dataset(Path(scratch), cases)
        study = make_study({"methods": {"mv": {}, "jlf": {}}, "protocol": {"hold_out": 0.5}})
        started, before = time.process_time(), _peak_mb()
        plan = make_plan(study, dataset)
        planned_s, peak = time.process_time() - started, _peak_mb()
        place = Place(Path(scratch) / "run", Path(scratch) / "cache")
        row = {"tasks": len(plan.tasks), "planning, CPU s": planned_s, "planning, MB": peak - before}
        if resume:
            place.run.mkdir()
            finish(plan, place)
            started = time.process_time()
            assert not pending(plan.tasks, place)
            row["resume check, CPU s"] = time.process_time() - started
        return row


def _rows(task: Task) -> list[dict[str, Any]]:
    """What the task's product says, of the atlases too, which the resume check compares."""
    names = [one.atlas.name for one in task.registrations]
    if task.kind == "bounds":
        return [{"label": 1, "dice": 0.9, "bound": "candidate", "atlas": name} for name in names]
    return [{"label": 1, "dice": 0.9, "atlases": names, "left_out": []}]


def add(folder: Path, row: dict[str, float]) -> None:
    """Adds a row to planning.csv, in the place of an older one of as many tasks, and writes planning.md."""
    folder.mkdir(parents=True, exist_ok=True)
    path, rows = folder / "planning.csv", pd.DataFrame([row]).round(1)
    if path.exists():
        rows = pd.concat([pd.read_csv(path), rows]).drop_duplicates("tasks", keep="last").sort_values("tasks")
    rows.to_csv(path, index=False)
    about = [f"- {key}: {value}" for key, value in machine().items()]
    table = markdown_table(rows.columns, ([_shown(value) for value in values] for values in rows.to_numpy()))
    (folder / "planning.md").write_text("\n".join(["# Planning and resuming", "", *about, "", *table, ""]))


def _shown(value: float) -> str:
    return "not measured" if value != value else f"{value:,.1f}".removesuffix(".0")


def _peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("tasks", type=int, nargs="*", default=[10_000, 100_000])
    parser.add_argument("--no-resume", action="store_true", help="plan only")
    parser.add_argument("--out", type=Path, default=Path("reports/speed"))
    asked = parser.parse_args()
    for number in asked.tasks:
        found = measure(number, resume=not asked.no_resume)
        print(found, flush=True)
        add(asked.out, found)
