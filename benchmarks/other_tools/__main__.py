"""Runs other tools on the same masks and writes docs/other-tools.md's tables.

Run as `python -m benchmarks.other_tools` in the checkout. Each tool runs in a virtual environment of its own, made in a
temporary folder with the version pinned below; those that dlfbench needs itself (MONAI, nnU-Net) run in this Python
where it has that version. `--python TOOL=PATH` takes a Python that is there; `--pin TOOL=VERSION` another version.
Exit code 1: a tool does something else than the words of `behaviours` say; the table says which.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import venv
from collections.abc import Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

from benchmarks.other_tools.behaviours import BEHAVIOURS, Behaviour, Value
from benchmarks.other_tools.measure import PACKAGES
from benchmarks.other_tools.scenes import scenes

HERE = Path(__file__).resolve().parent
PAGE = HERE.parents[1] / "docs" / "other-tools.md"
MARK = "<!-- below: written by python -m benchmarks.other_tools -->"
PINS = {
    "dlfbench": None,
    "medpy": "0.5.2",
    "monai": "1.6.1",
    "surface-distance": "0.1",
    "SimpleITK": "2.5.7",
    "seg-metrics": "1.2.8",
    "panoptica": "2.1.7",
    "nnunet": "2.8.1",
}
METRICS = {
    "dice": "Dice",
    "hd_mm": "Hausdorff distance, mm",
    "hd95_mm": "HD95, mm",
    "assd_mm": "average symmetric surface distance, mm",
    "surface_dice": "surface Dice",
}
MORE = {
    "jaccard": "Jaccard",
    "average_hd_mm": "average Hausdorff distance, mm",
    "surface_dice_by_area": "surface Dice by area",
    "instance_hd95_mm": "HD95 by instance, mm",
}
# the distances of other definitions beside those of the same name
STANDS_FOR = {"average_hd_mm": "assd_mm", "surface_dice_by_area": "surface_dice", "instance_hd95_mm": "hd95_mm"}
Found = Mapping[str, Mapping[str, Any]]


def main() -> int:
    """Measures all tools, writes the page; the number of behaviours that changed is the exit code."""
    options = _parse()
    pins = {**PINS, **dict(pin.split("=", 1) for pin in options.pin)}
    pythons = dict(python.split("=", 1) for python in options.python)
    found = {tool: _measure(tool, pin, pythons.get(tool)) for tool, pin in pins.items()}
    changed = [b for b in BEHAVIOURS if _now(b, found) != b.seen]
    written = PAGE.read_text(encoding="utf-8").split(MARK)[0]
    PAGE.write_text(f"{written}{MARK}\n\n{_behaviours(found)}\n{_values(found)}", encoding="utf-8")
    for behaviour in changed:
        print(f"changed: {behaviour.tool}: {behaviour.words} Seen {behaviour.seen}, now {_now(behaviour, found)}")
    print(f"{PAGE}: {len(BEHAVIOURS)} behaviours of {len(found) - 1} tools, {len(changed)} changed")
    return min(len(changed), 1)


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--python", action="append", default=[], metavar="TOOL=PATH", help=", ".join(PACKAGES))
    parser.add_argument("--pin", action="append", default=[], metavar="TOOL=VERSION")
    return parser.parse_args()


def _measure(tool: str, pin: str | None, python: str | None) -> Mapping[str, Any]:
    """What `measure.py` says of one tool, in the Python that has it."""
    if python or _is_here(tool, pin):
        return _run(python or sys.executable, tool)
    with tempfile.TemporaryDirectory() as folder:
        venv.create(folder, with_pip=True)
        own = str(Path(folder) / "bin" / "python")
        print(f"{tool}: installing {PACKAGES[tool]} {pin}", file=sys.stderr)
        # not every tool brings NumPy, which `measure.py` needs
        install = [
            "-m",
            "pip",
            "install",
            "--quiet",
            "--disable-pip-version-check",
            f"{PACKAGES[tool]}=={pin}",
            "numpy>=2.3",
        ]
        subprocess.run([own, *install], check=True)
        return _run(own, tool)


def _is_here(tool: str, pin: str | None) -> bool:
    return tool == "dlfbench" or (tool in ("monai", "nnunet") and metadata.version(PACKAGES[tool]) == pin)


def _run(python: str, tool: str) -> Mapping[str, Any]:
    made = subprocess.run([python, str(HERE / "measure.py"), tool], check=True, stdout=subprocess.PIPE, text=True)
    return dict(json.loads(made.stdout))


def _now(behaviour: Behaviour, found: Found) -> Value:
    value: Value = found[behaviour.tool]["scenes"][behaviour.scene][behaviour.metric]
    return value


def _behaviours(found: Found) -> str:
    rows = [_row(behaviour, found) for behaviour in sorted(BEHAVIOURS, key=lambda b: list(scenes()).index(b.scene))]
    heads = ("masks", "metric", "tool", "what it does", "value", "dlfbench", "its rule, and why")
    return f"## What they do\n\n{_table(heads, rows)}"


def _row(behaviour: Behaviour, found: Found) -> Sequence[str]:
    now = _now(behaviour, found)
    value = _shown(now) if now == behaviour.seen else f"**now {_shown(now)}**, was {_shown(behaviour.seen)}"
    metric = STANDS_FOR.get(behaviour.metric, behaviour.metric)
    ours = found["dlfbench"]["scenes"][behaviour.scene].get(metric, "–")
    tool = f"{PACKAGES[behaviour.tool]} {found[behaviour.tool]['version']}"
    title = {**METRICS, **MORE}[behaviour.metric]
    return (scenes()[behaviour.scene].words, title, tool, behaviour.words, value, _shown(ours), behaviour.ours)


def _values(found: Found) -> str:
    """One table a metric: a row per scene, a column per tool that has the metric."""
    parts = ["## All values\n"]
    for metric, title in METRICS.items():
        tools = [tool for tool in found if metric in found[tool]["scenes"]["equal"]]
        heads = ("masks", *(f"{PACKAGES[tool]} {found[tool]['version']}" for tool in tools))
        rows = [
            (scene.words, *(_shown(found[tool]["scenes"][name][metric]) for tool in tools))
            for name, scene in scenes().items()
        ]
        parts.append(f"### {title[0].upper()}{title[1:]}\n\n{_table(heads, rows)}")
    return "\n".join(parts)


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [heads, ["---"] * len(heads), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _shown(value: Value) -> str:
    return value if isinstance(value, str) else f"{value:.4g}" if abs(value) < 1e6 else f"{value:.3g}"


if __name__ == "__main__":
    sys.exit(main())
