"""`dlfbench segment`: new images, segmented by a method of a run."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dlfbench.cli.console import err, out, print_table, run_progress, styled
from dlfbench.cli.flags import Cache, Device, MethodOf, Trust, Workers
from dlfbench.cli.stopping import interruptible
from dlfbench.engine.work import Options
from dlfbench.files import check_folder
from dlfbench.plugin_files import consent

if TYPE_CHECKING:
    from dlfbench.use.segmented import Segmented


def segment(
    run: Annotated[
        Path, typer.Argument(help="Folder of a run, or a package of `dlfbench export`.", show_default=False)
    ],
    method: MethodOf,
    images: Annotated[
        list[Path], typer.Argument(help="NIfTI files, folders of them, or a cases.tsv beside them.", show_default=False)
    ],
    out_folder: Annotated[Path, typer.Option("--out", help="Where label maps go; new, or of the same call.")],
    fold: Annotated[
        int | None,
        typer.Option(help="Atlases and model of this fold alone. Default: of every fold, and their mean or vote."),
    ] = None,
    refit: Annotated[
        bool, typer.Option("--refit", help="Train anew on all cases of the run, and take all of them as atlases.")
    ] = False,
    workers: Workers = None,
    device: Device = "auto",
    cache: Cache = None,
    trust: Trust = False,
) -> None:
    """Segments new images with a method of a run: its atlases, its models, the same registration.

    Several modalities: CASE_0000.nii.gz, CASE_0001.nii.gz, .. in the order of the study's modalities. Label maps are
    written on each image's own grid and in its own voxel order; volumes.tsv has their sizes, quality.tsv the Dice that
    can be expected, index.html pictures. The same command again goes on where it was stopped.

    Examples:
      dlfbench segment runs/mine dlf new/ --out segmented

      dlfbench segment runs/mine jlf p1.nii.gz p2.nii.gz --fold 0 --out segmented
    """
    from dlfbench.use.segment import Request, foreign_code_of, prepare_segmenting, run_segmenting

    check_folder(out_folder, "--out")
    if trust:
        consent(*foreign_code_of(run))
    request = Request(run.resolve(), method, tuple(images), out_folder.resolve(), fold, refit)
    ready = prepare_segmenting(request, Options(cache=cache, workers=workers, device=device))
    for warning in ready.warnings:
        err.print(styled("warning:", "yellow"), warning, soft_wrap=True)
    with interruptible(), run_progress(ready.todo, ready.resources.workers) as progress:
        done = run_segmenting(ready, progress.watcher)
    rows = [(one.name, one.reason or "ok", _expected(one), len(one.all_flags)) for one in done]
    print_table("", ["image", "status", "expected Dice", "to look at"], rows, right=["to look at"])
    out.print(ready.teacher.told, soft_wrap=True)
    out.print(f"label maps, volumes.tsv, quality.tsv and pictures: {request.out / 'index.html'}", soft_wrap=True)
    if not any(one.path for one in done):
        raise typer.Exit(1)


def _expected(one: "Segmented") -> str:
    """Expected Dice of the label of which least is expected, and its bound."""
    known = [quality for quality in one.quality if quality.expected == quality.expected]
    if not known:
        return "–"
    least = min(known, key=lambda quality: quality.bound)
    return f"{least.expected:.2f}, above {least.bound:.2f} ({least.label})"
