"""`dlfbench cache info | verify | clear`."""

from pathlib import Path
from typing import Annotated

import typer

from dlfbench.cli.console import file_progress, out, size
from dlfbench.cli.flags import Cache
from dlfbench.registration.store import WarpStore, default_cache_folder

app = typer.Typer(add_completion=False, help="The store of warped atlases that all runs share.", no_args_is_help=True)


@app.command()
def info(cache: Cache = None) -> None:
    """Says where the store is and how much it holds."""
    store = _store(cache)
    found = store.info()
    out.print(f"{store.root}: {found.entries} warped atlases, {size(found.size_bytes)}", soft_wrap=True)


@app.command()
def verify(cache: Cache = None) -> None:
    """Reads every entry and removes those that are damaged; they are made again when needed."""
    store = _store(cache)
    with file_progress("verifying") as progress:
        damaged = store.verify(progress)
    for key in damaged:
        out.print(f"damaged, removed: {key}")
    out.print(f"{store.info().entries} entries are sound, {len(damaged)} were damaged")


@app.command()
def clear(
    cache: Cache = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> None:
    """Removes every entry. Runs keep their results; registrations are made again where something needs them."""
    store = _store(cache)
    found = store.info()
    if not yes:
        typer.confirm(
            f"Remove {found.entries} warped atlases ({size(found.size_bytes)}) from {store.root}?", abort=True
        )
    store.clear()
    out.print(f"removed {found.entries} entries")


def _store(cache: Path | None) -> WarpStore:
    return WarpStore(cache or default_cache_folder())
