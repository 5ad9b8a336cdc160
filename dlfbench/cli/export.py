"""`dlfbench export` and `dlfbench export-bids`."""

from pathlib import Path
from typing import Annotated

import typer

from dlfbench.cli.console import err, out, styled
from dlfbench.cli.flags import MethodOf, RunOf
from dlfbench.errors import InputError
from dlfbench.files import check_folder
from dlfbench.records.bids import export_bids


def export_bids_command(
    run: RunOf,
    out_folder: Annotated[Path, typer.Option("--out", help="Where the derivatives are written: a folder a method.")],
) -> None:
    """Writes the segmentations of a run as BIDS derivatives, a derivative data set per method.

    Each goes where BIDS has its derivatives:

      dlfbench export-bids RUN --out BIDS/derivatives/dlfbench
    """
    check_folder(out_folder, "--out")
    for method, count in export_bids(run, out_folder).items():
        out.print(f"{method}: {count} label maps", soft_wrap=True)
    out.print(f"{out_folder}", soft_wrap=True)


def export(
    run: RunOf,
    method: MethodOf,
    package: Annotated[Path, typer.Argument(metavar="OUT.zip", help="The package; new.", show_default=False)],
    with_atlases: Annotated[
        bool,
        typer.Option("--with-atlases", help="Images and label maps of the training cases too: fusion needs them."),
    ] = False,
    licence: Annotated[str, typer.Option(help="Under which it may be used; stands in the model card.")] = "",
    own_form: Annotated[
        bool,
        typer.Option("--own-form", help="As the method's own tool installs it (nnunet), for people without dlfbench."),
    ] = False,
    fold: Annotated[int | None, typer.Option(help="With --own-form: this fold's model alone.")] = None,
) -> None:
    """Packs a method of a run as one file: models without pickle, how it was trained and tested, a model card.

    Examples:
      dlfbench export runs/mine unet unet.zip

      dlfbench segment unet.zip unet new/ --out segmented

      dlfbench export runs/mine nnunet nnunet.zip --own-form --fold 0
    """
    from dlfbench.use.package import Wanted, write_own_form, write_package

    if own_form:
        folds = write_own_form(Wanted(run.resolve(), method, fold=fold), package)
        out.print(f"{package}: folds {', '.join(map(str, folds))}; it holds pickled files", soft_wrap=True)
        return
    if fold is not None:
        raise InputError("--fold: a package holds every fold; `dlfbench segment --fold` chooses one")
    needs = write_package(Wanted(run.resolve(), method, with_atlases, licence), package)
    size_mb = package.stat().st_size / 1e6
    out.print(f"{package}: {size_mb:.1f} MB", soft_wrap=True)
    if needs and not with_atlases:
        warn = f"{method} fuses atlases, which are not inside; --with-atlases packs them (people's images: may you?)"
        err.print(styled("warning:", "yellow"), warn, soft_wrap=True)
