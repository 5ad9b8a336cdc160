"""`dlfbench export-bids`."""

from pathlib import Path
from typing import Annotated

import typer

from dlfbench.cli.console import out
from dlfbench.records.bids import export_bids


def export_bids_command(
    run: Annotated[Path, typer.Argument(help="Run folder.")],
    out_folder: Annotated[Path, typer.Option("--out", help="Where the derivatives are written: a folder a method.")],
) -> None:
    """Writes the segmentations of a run as BIDS derivatives, a derivative data set per method.

    Each goes where BIDS has its derivatives:

      dlfbench export-bids RUN --out BIDS/derivatives/dlfbench
    """
    for method, count in export_bids(run, out_folder).items():
        out.print(f"{method}: {count} label maps", soft_wrap=True)
    out.print(f"{out_folder}", soft_wrap=True)
