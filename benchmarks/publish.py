"""From a run to a folder of `reports/`: what others may see, without paths of this machine.

Run as `python -m benchmarks.publish RUN.. reports/NAME`; several runs are merged. It writes the page (index.html),
tables as CSV, the main figures as SVG, and a run folder without label maps and models, so that
`dlfbench report MINE reports/NAME` puts a run of yours beside it; README.md is written by hand. Where the data's
licence asks for it, pictures of cases stay out of the page with `--without-images`, and what cases.tsv says of them
(age, sex, ..) out of the folder with `--without-columns`. Links to label maps always stay out.

`python -m benchmarks.publish --again reports/NAME..` makes page and tables again of what the folder holds, after a
change of the report. What it does not hold is no part of the page, but for pictures of cases: those of the page stay.
"""

import argparse
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd

from dlfbench.records.folder import RunFolder
from dlfbench.records.merge import merge
from dlfbench.records.record import Record, read_record, write_record
from dlfbench.report.basis.account import costs
from dlfbench.report.basis.basis import Basis
from dlfbench.report.page import make_report
from dlfbench.report.sections.training import CURVES, TRIED
from dlfbench.report.write import write_frames

FIGURES = re.compile(
    r"dots_dice|box_.*_dice_all-labels|generalization|critical-difference_.*|accuracy-time|oracle-curve|training_.*"
    r"|severity_.*|curve_.*|budgets_.*"
)


def main() -> None:
    """Publishes a run, or several as one."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", type=Path, nargs="*", metavar="RUN")
    parser.add_argument("out", type=Path)
    parser.add_argument(
        "--again", action="store_true", help="make pages and tables of published folders again, and nothing else"
    )
    parser.add_argument("--without-images", action="store_true", help="leave pictures of cases out of the page")
    parser.add_argument("--without-columns", action="store_true", help="leave out what cases.tsv says of cases")
    options = parser.parse_args()
    if options.again:
        for folder in (*options.runs, options.out):
            make_again(folder)
        return
    runs = [run.resolve() for run in options.runs]
    publish(runs, options.out, images=not options.without_images, columns=not options.without_columns)


def publish(runs: Sequence[Path], out: Path, *, images: bool, columns: bool = True) -> None:
    """Writes what may be published of a run, or of several as one, into a folder."""
    out.mkdir(parents=True, exist_ok=True)
    records = [read_record(run) for run in runs]
    # numbers and pictures come from the files of the runs, which the page does not name
    with_files = merge([without_folders(record) for record in records])
    report = make_report(Basis(with_files, with_images=images, with_links=False))
    (out / "index.html").write_text(report.page(out), encoding="utf-8")
    write_record(merge([without_paths(record, columns=columns) for record in records]), out)
    for run in runs:
        _copy_training(run, out, with_files.methods)
    write_frames(report.frames, out / "tables")
    (out / "figures").mkdir(exist_ok=True)
    for picture in report.pictures:
        if picture.kind == "svg" and FIGURES.fullmatch(picture.name):
            (out / "figures" / f"{picture.name}.svg").write_bytes(picture.content)


@dataclass(frozen=True)
class Published(Basis):
    """Of a published folder: without times, what it says of costs is the table that was made of them."""

    @cached_property
    def costs(self) -> pd.DataFrame:
        """Of the folder's times, or its table."""
        made = costs(self.record)
        table = self.record.folder / "tables" / "costs.csv"
        if not made.empty or not table.is_file():
            return made
        return pd.read_csv(table, dtype={"threads": str}, keep_default_na=False, na_values={"peak_bytes": [""]})


def make_again(folder: Path) -> None:
    """Makes page and tables of a published folder again; nothing else in it changes."""
    report = make_report(Published(read_record(folder), with_images=False, with_links=False))
    page = folder / "index.html"
    old = page.read_text(encoding="utf-8") if page.is_file() else ""
    page.write_text(with_pictures_of(old, report.page(folder)), encoding="utf-8")
    # of what the folder does not hold, the table that was made of it stays
    write_frames({name: frame for name, frame in report.frames.items() if len(frame)}, folder / "tables")


def with_pictures_of(old: str, page: str) -> str:
    """A page with the pictures of cases that an old one has: their sections, as they were."""
    for name in ("cases", "more-cases"):
        parts = {"section": rf'<section id="{name}".*?</section>', "link": rf'<a href="#{name}".*?</a>'}
        section, link = (re.search(pattern, old, re.DOTALL) for pattern in parts.values())
        if section is None or link is None or "data:image/webp" not in section[0]:
            continue
        if there := re.search(parts["section"], page, re.DOTALL):
            page = page.replace(there[0], section[0])
        else:  # where it was: before what came next
            after = re.search(r'<section id="([^"]+)"', old[section.end() :])
            assert after is not None
            page = page.replace(f'<section id="{after[1]}"', f'{section[0]}\n<section id="{after[1]}"', 1)
            page = page.replace(f'<a href="#{after[1]}"', f'{link[0]}\n<a href="#{after[1]}"', 1)
    return page


def without_paths(record: Record, *, columns: bool) -> Record:
    """The record with names in place of folders, and no files of cases; with the columns of cases.tsv or not."""
    left_out: dict[str, Any] = {"images": (), "reference": None, **({} if columns else {"columns": {}})}
    cases = {name: case.model_copy(update=left_out) for name, case in record.data.cases.items()}
    named = without_folders(record)
    data = record.data.model_copy(update={"cases": cases})
    return replace(named, folder=Path(record.folder.name), description=replace(named.description, data=data))


def without_folders(record: Record) -> Record:
    """The record with files and folders of the study (data, code, models) by their names alone."""
    return replace(record, description=replace(record.description, study=record.study.without_folders()))


def _copy_training(run: Path, out: Path, methods: Sequence[str]) -> None:
    """Training curves and tried settings of these methods, and the products that say whose; a run may have had more."""
    folder = RunFolder(run)
    for path in (path for name in (CURVES, TRIED) for path in folder.left_by_fits(name)):
        if folder.names_of("fit", path.parent.name).get("method") not in methods:
            continue
        for kept in (path, folder.product_path("fit", path.parent.name)):
            copy = out / kept.relative_to(run)
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_bytes(kept.read_bytes())


if __name__ == "__main__":
    main()
