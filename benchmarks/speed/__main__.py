"""Times dlfbench against rival tools and writes the table to reports/speed/.

Run as `python -m benchmarks.speed [--data FOLDER] [--targets 10] [--threads 2]` in the checkout, with the rivals
installed (`pip install -e ".[dev]"`); a rival that is missing has a row that says so.
"""

import argparse
import csv
import math
import os
from collections.abc import Callable, Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Any


def main() -> None:
    """Prints the table and writes it as Markdown and CSV."""
    options = parse()
    # before ITK is loaded, which reads it once
    os.environ["ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS"] = str(options.threads)
    from benchmarks.speed.measure import Row, Spent, machine

    about = {**machine(), "threads": str(options.threads), "data": Path(options.data).name}
    rows: list[Row] = []
    for name, part in _parts(options).items():
        try:
            rows += part()
        except ModuleNotFoundError as error:
            nothing = Spent(math.nan, math.nan)
            rows.append(Row(name, "", "", nothing, nothing, 0, f"not measured: {error.name} is not installed"))
    print(_write(options.out, about, [row.cells for row in rows]))


def parse() -> argparse.Namespace:
    """Flags of this and of `benchmarks.speed.growth`."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default="phantom", help="name or folder of a dataset")
    parser.add_argument("--train-on", help="as of `dlfbench run`: which cases are atlases")
    parser.add_argument("--hold-out", type=float, default=0.2, help="as of `dlfbench run`")
    parser.add_argument("--train-cases", type=int, default=20, help="number of atlases")
    parser.add_argument("--targets", type=int, default=10)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--only", default="jlf,voting,metrics,registration,training", help="parts of the table")
    parser.add_argument("--before", type=Path, help="another checkout of dlfbench, whose JLF takes its turn too")
    parser.add_argument("--out", type=Path, default=Path("reports/speed"))
    return parser.parse_args()


def study_of(options: argparse.Namespace) -> Any:
    """The study whose test cases are the problems."""
    from dlfbench.study.tables import make_study

    protocol = {"train": options.train_on, "hold_out": options.hold_out, "train_cases": options.train_cases}
    tables = {"data": {"dataset": options.data}, "protocol": {k: v for k, v in protocol.items() if v is not None}}
    return make_study(tables)


def _parts(options: argparse.Namespace) -> dict[str, Callable[[], Iterable[Any]]]:
    """What to measure, by name."""
    from benchmarks.speed import fusion, metrics, registration_store, training_step
    from dlfbench.datasets.known import open_dataset

    @cache
    def chosen() -> Any:
        """The problems: registered when a part asks for them."""
        return fusion.problems(study_of(options), options.targets)

    parts: dict[str, Callable[[], Iterable[Any]]] = {
        "jlf": lambda: fusion.jlf_rows(chosen(), options.threads, options.before),
        "voting": lambda: fusion.voting_rows(chosen(), options.threads),
        "metrics": lambda: metrics.metric_rows(chosen()),
        "registration": lambda: registration_store.rows(open_dataset(options.data), options.targets),
        "training": lambda: training_step.training_rows(40, options.threads),
    }
    return {name: parts[name] for name in options.only.split(",")}


def _write(folder: Path, about: Mapping[str, str], table: list[dict[str, str]]) -> str:
    """Writes speed.csv and speed.md, and gives the text of the latter."""
    from benchmarks.speed.measure import markdown_table

    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "speed.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, list(table[0]))
        writer.writeheader()
        writer.writerows(table)
    lines = [f"- {name}: {value}" for name, value in about.items()]
    lines += ["", *markdown_table(table[0], (row.values() for row in table))]
    text = "\n".join(["# Speed against other tools", "", "Medians over problems; tools take turns.", "", *lines, ""])
    (folder / "speed.md").write_text(text)
    return text


if __name__ == "__main__":
    main()
