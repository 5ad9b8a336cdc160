"""From a run to a folder of `reports/`: what others may see, without paths of this machine.

Run as `python -m benchmarks.publish RUN reports/NAME [--without-images]`. It writes the page (index.html), tables as
CSV, the main figures as SVG, all results and the study; README.md is written by hand. Pictures of cases stay out of the
page with `--without-images`, where the data's licence asks for it; links to label maps always do.
"""

import argparse
import re
import shutil
from dataclasses import replace
from pathlib import Path

from dlfbench.report.analysis import Analysis, analyse_record
from dlfbench.report.gallery import CasePicture
from dlfbench.report.html import Figures, draw, render
from dlfbench.report.record import Record, read_record
from dlfbench.report.write import full_tables

FIGURES = re.compile(
    r"box_.*_dice_all-labels|generalization|critical-difference_.*|accuracy-time|oracle-curve|training_.*|severity_.*"
)
TABLES = ("summary", "comparisons", "losses", "costs", "ranks", "repeatability", "failures")


def main() -> None:
    """Publishes a run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--without-images", action="store_true", help="leave pictures of cases out of the page")
    options = parser.parse_args()
    publish(options.run.resolve(), options.out, images=not options.without_images)


def publish(run: Path, out: Path, *, images: bool) -> None:
    """Writes what may be published of a run into a folder."""
    out.mkdir(parents=True, exist_ok=True)
    record = read_record(run)
    shown = without_paths(record)
    # pictures are drawn from the files of the run, the page without knowing where they are
    drawn = draw(analyse_record(replace(shown, folder=run, data=record.data)), out)
    figures = replace(drawn, gallery=_without_links(drawn) if images else {})
    analysis = analyse_record(shown)
    (out / "index.html").write_text(render(analysis, figures, out), encoding="utf-8")
    (out / "study.toml").write_text(shown.study_text, encoding="utf-8")
    shutil.copyfile(run / "results.parquet", out / "results.parquet")
    _write_tables(analysis, out)
    for picture in figures.all:
        if picture.kind == "svg" and FIGURES.fullmatch(picture.name):
            (out / f"{picture.name}.svg").write_bytes(picture.content)


def without_paths(record: Record) -> Record:
    """The record with the dataset's name in place of its folder, and no files."""
    dataset = str(record.study["data"]["dataset"])
    cases = {
        name: {key: value for key, value in about.items() if key not in ("images", "reference")}
        for name, about in record.data["cases"].items()
    }
    return replace(
        record,
        folder=Path(record.name),
        study={**record.study, "data": {**record.study["data"], "dataset": Path(dataset).name}},
        study_text=record.study_text.replace(dataset, Path(dataset).name),
        data={**record.data, "cases": cases},
    )


def _without_links(figures: Figures) -> dict[str, list[CasePicture]]:
    return {name: [replace(case, links=()) for case in cases] for name, cases in figures.gallery.items()}


def _write_tables(analysis: Analysis, out: Path) -> None:
    for name, table in full_tables(analysis).items():
        if name in TABLES and not table.empty:
            table.to_csv(out / f"{name}.csv", index=False, float_format="%.6g", lineterminator="\n")


if __name__ == "__main__":
    main()
