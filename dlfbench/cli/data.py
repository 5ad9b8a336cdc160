"""`dlfbench data list | info | check | look | import | get`."""

from pathlib import Path
from typing import Annotated

import typer

from dlfbench.cli.console import err, file_progress, out, print_table, styled
from dlfbench.cli.listing import print_datasets
from dlfbench.datasets.check import check_dataset, describe
from dlfbench.datasets.download import default_data_folder, get_msd
from dlfbench.datasets.importing import import_dataset
from dlfbench.datasets.known import open_dataset
from dlfbench.datasets.look.page import write_look
from dlfbench.datasets.people import image_digests, same_images
from dlfbench.datasets.public import PUBLIC
from dlfbench.datasets.readers import absolute_source, is_source, read_source
from dlfbench.files import file_name

_FEW_LINES = 12

app = typer.Typer(
    add_completion=False, help="Datasets: what is known, what is in one, whether it can be used.", no_args_is_help=True
)


@app.command("list")
def list_() -> None:
    """Lists the known datasets."""
    print_datasets()
    by_hand = [(p.name, f"{p.what} ({p.licence})") for p in PUBLIC.values() if p.by_hand]
    print_table("", ["given out by its authors", "what it is"], by_hand)
    out.print("How to get and import one of these: dlfbench data get NAME")


@app.command()
def info(dataset: Annotated[str, typer.Argument(help="Folder, name, or KIND:SOURCE.")]) -> None:
    """Says what is in a dataset: cases, people, modalities, labels, columns."""
    opened = open_dataset(dataset)
    found = describe(opened)
    out.print(styled(opened.name, "bold"), opened.description, soft_wrap=True)
    print_table("", ["what", "found"], found.rows())


@app.command()
def check(dataset: Annotated[str, typer.Argument(help="Folder, name, or KIND:SOURCE.")]) -> None:
    """Checks every file of a dataset; says each problem, where it is and what to do."""
    opened = open_dataset(dataset)
    with file_progress("checking") as progress:
        check_dataset(opened, progress)
    for warning in same_images(opened.cases, image_digests(opened.cases)):
        err.print(styled("look at:", "yellow"), f"{opened.name}: {warning}", soft_wrap=True)
    out.print(f"{opened.name}: {opened.in_words}, can be used.", soft_wrap=True)


@app.command()
def look(
    dataset: Annotated[str, typer.Argument(help="Folder, name, or KIND:SOURCE.")],
    out_file: Annotated[Path | None, typer.Option("--out", help="Page. Default: NAME-look.html here.")] = None,
) -> None:
    """Writes a page of every case: slices with contours, volumes with outliers, intensities by group, voxel sizes.

    One offline HTML file: what people look at before they believe a data set.
    """
    opened = open_dataset(dataset)
    page = out_file or Path(f"{file_name(opened.name)}-look.html")
    with file_progress("looking") as progress:
        lines = write_look(opened, page, progress)
    for line in lines[:_FEW_LINES]:
        out.print(line, soft_wrap=True)
    some = f", {_FEW_LINES} of them above" if len(lines) > _FEW_LINES else ""
    out.print(f"{page}: {len(opened.cases)} cases, {len(lines)} findings to look at{some}", soft_wrap=True)


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
    found, origin = read_source(kind, source), f"{kind}:{source.resolve()}"
    with file_progress("importing") as progress:
        origin = absolute_source(origin, Path.cwd()) if is_source(origin) else origin
        dataset, cases = import_dataset(found, out_folder, rigid=rigid, origin=origin, progress=progress)
    for case in cases:
        for modality, how in case.resampled.items():
            for flag in how.flags:
                err.print(styled("look at:", "yellow"), f"case {case.name}: {modality} {flag}", soft_wrap=True)
    out.print(f"{dataset.name}: {len(cases)} cases. {dataset.description}", soft_wrap=True)
    out.print(f"next: dlfbench data check {out_folder}", soft_wrap=True)


@app.command()
def get(
    name: Annotated[str, typer.Argument(help="Such as msd-hippocampus; `dlfbench data list`.")] = "msd-hippocampus",
    folder: Annotated[Path | None, typer.Option(help="Where to put it.")] = None,
    source: Annotated[Path | None, typer.Option(help="A tar file or folder that you have already.")] = None,
) -> None:
    """Downloads a public dataset and checks it; or takes a tar or a folder that is already here.

    Of one that its authors give out themselves, it says how to get it and how to import it.
    """
    dataset = get_msd(name, folder=folder or default_data_folder(), source=source)
    about = PUBLIC[name]
    out.print(f"{dataset.name}: {len(dataset.cases)} cases; use it with: dlfbench run --data {name}")
    out.print(f"licence {about.licence}; cite {about.citation}", soft_wrap=True)
