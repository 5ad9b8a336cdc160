"""`dlfbench data list | info | check | get`."""

from pathlib import Path
from typing import Annotated

import typer

from dlfbench.cli.console import file_progress, out, print_table
from dlfbench.cli.listing import print_datasets
from dlfbench.datasets.check import check_dataset, describe
from dlfbench.datasets.download import default_data_folder, get_msd
from dlfbench.datasets.known import open_dataset

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


@app.command()
def get(
    name: Annotated[str, typer.Argument(help="msd-hippocampus")] = "msd-hippocampus",
    folder: Annotated[Path | None, typer.Option(help="Where to put it.")] = None,
    source: Annotated[Path | None, typer.Option(help="A tar file or folder that you have already.")] = None,
) -> None:
    """Downloads a public dataset and checks it; or takes a tar or a folder that is already here."""
    dataset = get_msd(name, folder=folder or default_data_folder(), source=source)
    out.print(f"{dataset.name}: {len(dataset.cases)} cases; use it with: dlfbench run --data {name}")
