"""`dlfbench data list | info | check | import | get`."""

from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from dlfbench.cli.console import err, file_progress, out, print_table
from dlfbench.cli.listing import print_datasets
from dlfbench.datasets.check import check_dataset, describe
from dlfbench.datasets.download import default_data_folder, get_msd
from dlfbench.datasets.importing import import_dataset
from dlfbench.datasets.known import open_dataset
from dlfbench.datasets.readers import read_source

app = typer.Typer(help="Datasets: what is known, what is in one, whether it can be used.", no_args_is_help=True)


@app.command("list")
def list_() -> None:
    """Lists the known datasets."""
    print_datasets()


@app.command()
def info(dataset: Annotated[str, typer.Argument(help="Folder or name.")]) -> None:
    """Says what is in a dataset: cases, people, modalities, labels, columns."""
    opened = open_dataset(dataset)
    found = describe(opened)
    out.print(f"[bold]{opened.name}[/] {opened.description}")
    print_table("", ["what", "found"], found.rows())


@app.command()
def check(folder: Annotated[str, typer.Argument(help="Folder or name.")]) -> None:
    """Checks every file of a dataset; says each problem, where it is and what to do."""
    opened = open_dataset(folder)
    with file_progress("checking") as progress:
        check_dataset(opened, progress)
    out.print(f"{opened.name}: {len(opened.cases)} cases can be used.")


@app.command("import")
def import_(
    kind: Annotated[
        str, typer.Argument(help="ashs, bids, folder, freesurfer or msd, with options as KIND[option=value,...].")
    ],
    source: Annotated[Path, typer.Argument(help="Folder of the data in their own layout.")],
    out_folder: Annotated[Path, typer.Option("--out", help="Where the copy is made.")],
    rigid: Annotated[
        bool, typer.Option("--rigid", help="Register modalities on other grids to the one that was labelled.")
    ] = False,
) -> None:
    """Copies data of another layout into a folder that every command takes, each case on one grid.

    Labels are never resampled: modalities that are on another grid than the label map are resampled onto its, once.
    What was done is in FOLDER/import.json and in every report. Options of each kind: `dlfbench list readers`.

      dlfbench data import ashs PACKAGE --out FOLDER

      dlfbench data import 'freesurfer[structures=17,53]' SUBJECTS --out FOLDER

      dlfbench data import 'bids[images=T1w,T2w,derivative=manual]' BIDS --out FOLDER

      dlfbench data import 'folder[images=T1:img/{case}.nrrd,labels=seg/{case}.nrrd]' FOLDER --out COPY
    """
    found = read_source(kind, source)
    with file_progress("importing") as progress:
        dataset, cases = import_dataset(
            found, out_folder, rigid=rigid, origin=f"{kind}:{source.resolve()}", progress=progress
        )
    for case in cases:
        for modality, how in case.resampled.items():
            for flag in how.flags:
                err.print(f"[yellow]look at:[/] case {escape(case.name)}: {escape(modality)} {flag}", soft_wrap=True)
    out.print(f"{escape(dataset.name)}: {len(cases)} cases. {escape(dataset.description)}", soft_wrap=True)
    out.print(f"next: dlfbench data check {out_folder}", soft_wrap=True)


@app.command()
def get(
    name: Annotated[str, typer.Argument(help="msd-hippocampus")] = "msd-hippocampus",
    folder: Annotated[Path | None, typer.Option(help="Where to put it.")] = None,
    source: Annotated[Path | None, typer.Option(help="A tar file or folder that you have already.")] = None,
) -> None:
    """Downloads a public dataset and checks it; or takes a tar or a folder that is already here."""
    dataset = get_msd(name, folder=folder or default_data_folder(), source=source)
    out.print(f"{dataset.name}: {len(dataset.cases)} cases; use it with: dlfbench run --data {name}")
