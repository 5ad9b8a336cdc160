"""`dlfbench score`: label maps that were made elsewhere."""

from pathlib import Path
from typing import Annotated

import typer

from dlfbench.cli.console import err, out, print_table, styled
from dlfbench.cli.flags import LabelMap, Metrics
from dlfbench.cli.report import check_success, finish
from dlfbench.errors import InputError
from dlfbench.files import check_folder
from dlfbench.metrics.others import OtherTool
from dlfbench.records.folder import RunFolder
from dlfbench.records.others import find_tools, means_beside, score_as
from dlfbench.records.predictions import (
    against_references,
    beside_run,
    score_predictions,
    with_mapping,
    with_references,
)
from dlfbench.records.results import read_results

_FEW = 10


def score(
    predictions: Annotated[Path, typer.Option(help="Folder of label maps: CASE.nii.gz.")],
    references: Annotated[
        Path | None, typer.Option(help="Folder of reference label maps of the same names, such as labelsTr.")
    ] = None,
    name: Annotated[str, typer.Option(help="What results and report call it.")] = "predictions",
    run: Annotated[
        Path | None, typer.Option(help="Score the cases of this run, in its test sets, to be merged with it.")
    ] = None,
    out_folder: Annotated[Path | None, typer.Option("--out", help="Folder. Default: runs/scored-NAME.")] = None,
    label_map: LabelMap = None,
    as_tools: Annotated[
        list[str] | None,
        typer.Option("--as", help="Also by the definitions of medpy, monai, surface-distance or nnunet; repeatable."),
    ] = None,
    metrics: Metrics = None,
) -> None:
    """Scores predictions without running anything, and writes a run folder and a report of them.

    With --run, a prediction that is missing is a row with the reason, and both can be shown in one report:

      dlfbench score --predictions published --run runs/mine --name published

      dlfbench report runs/mine runs/scored-published

    With --as, as-TOOL.csv beside the results holds what that tool says of the same label maps.
    """
    tools = find_tools(as_tools or ())
    folder = out_folder or Path("runs") / f"scored-{name}"
    check_folder(folder, "--out")
    if run is None and references is None:
        raise InputError("expected --references FOLDER, or --run RUN with references of its own; found neither")
    if run is None:
        assert references is not None
        scoring = against_references(name, predictions.resolve(), references.resolve())
    else:
        scoring = beside_run(name, predictions.resolve(), run)
        scoring = with_references(scoring, references.resolve()) if references else scoring
    scoring = with_mapping(scoring, label_map) if label_map else scoring
    scored = score_predictions(scoring, folder.resolve())
    _tell_what_is_not_scored(scored)
    for tool in tools:
        _print_beside(scored, tool)
    finish(scored)
    check_success(scored, "no case could be scored")


def _tell_what_is_not_scored(run: Path) -> None:
    """Each case without a score, and why; where they are many, how many more."""
    rows = read_results(run)
    lost = rows[rows["status"] != "ok"].drop_duplicates("case")
    for case, status, reason in lost[["case", "status", "reason"]].head(_FEW).itertuples(index=False):
        err.print(styled(f"{status}:", "yellow"), f"case {case}: {reason}", soft_wrap=True)
    if len(lost) > _FEW:
        err.print(f"and {len(lost) - _FEW} more; {RunFolder(run).results_csv} has the reasons", soft_wrap=True)


def _print_beside(run: Path, tool: OtherTool) -> None:
    """Scores with another tool, and prints its means beside ours."""
    rows = means_beside(score_as(run, tool), tool)
    columns = ("method", "metric", "dlfbench", tool.name, "rows of both", "rows")
    print_table(f"as {tool.name}: means where both have a value", columns, rows, right=columns[2:])
    out.print(f"{tool.definition} Each row: {run / f'as-{tool.name}.csv'}", soft_wrap=True)
