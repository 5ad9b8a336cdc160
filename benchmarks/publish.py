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

from dlfbench.report.analysis import analyse_record
from dlfbench.report.gallery import CasePicture
from dlfbench.report.html import Figures, draw, render
from dlfbench.report.record import Record, read_record
from dlfbench.report.write import write_tables

FIGURES = re.compile(
    r"box_.*_dice_all-labels|generalization|critical-difference_.*|accuracy-time|oracle-curve|training_.*|severity_.*"
)


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
    # numbers and pictures come from the files of the run; the page is written without knowing where they are
    found = analyse_record(replace(record, study=shown.study, study_text=shown.study_text))
    drawn = draw(found, out)
    figures = replace(drawn, gallery=_without_links(drawn) if images else {})
    analysis = replace(found, record=shown)
    (out / "index.html").write_text(render(analysis, figures, out), encoding="utf-8")
    (out / "study.toml").write_text(shown.study_text, encoding="utf-8")
    shutil.copyfile(run / "results.parquet", out / "results.parquet")
    write_tables(analysis, out / "tables")
    (out / "figures").mkdir(exist_ok=True)
    for picture in figures.all:
        if picture.kind == "svg" and FIGURES.fullmatch(picture.name):
            (out / "figures" / f"{picture.name}.svg").write_bytes(picture.content)


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


if __name__ == "__main__":
    main()
