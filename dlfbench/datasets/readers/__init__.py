"""Readers of the layouts in which the field keeps its data, one module a layout.

A data set of a layout is written `KIND:SOURCE`, or with options `KIND[option=value]:SOURCE`. KIND is one of ours, an
entry point of the group `dlfbench.readers`, or `FILE.py:CLASS`.
"""

import re
from dataclasses import is_dataclass
from pathlib import Path

from dlfbench import plugins
from dlfbench.datasets.cases import Dataset, double_names
from dlfbench.datasets.readers.ashs import Ashs
from dlfbench.datasets.readers.bids import Bids
from dlfbench.datasets.readers.folder import Folder
from dlfbench.datasets.readers.freesurfer import FreeSurfer
from dlfbench.datasets.readers.interface import Found, Reader
from dlfbench.datasets.readers.msd import Msd
from dlfbench.errors import InputError
from dlfbench.parameters import build
from dlfbench.plugin_files import absolute, is_file
from dlfbench.segmenters.specs import parse_method, with_changed

OWN: dict[str, type[Reader]] = {"ashs": Ashs, "bids": Bids, "folder": Folder, "freesurfer": FreeSurfer, "msd": Msd}

_SOURCE = re.compile(r"(?P<kind>(?P<use>[\w.-]+|[^\[\]]+\.py:\w+)(?:\[.*\])?):(?P<source>.+)", re.S)


def known_kinds() -> list[tuple[str, type[Reader] | None, str]]:
    """Name, class and, where it is not available, the reason: ours, then those of plugins."""
    found = plugins.plugins(plugins.READERS).values()
    return [(name, kind, "") for name, kind in OWN.items()] + [(p.name, p.loaded, p.reason) for p in found]


def make_reader(text: str) -> Reader:
    """The reader of `KIND` or `KIND[option=value,...]`.

    Raises:
        InputError: Unknown kind or option, wrong value, or not a reader.
    """
    _, table = parse_method(text)
    use = table.pop("use")
    if use not in OWN and not is_file(use) and use not in plugins.names(plugins.READERS):
        raise InputError(plugins.unknown("kind of data", use, [*OWN, *plugins.names(plugins.READERS)]))
    kind = OWN.get(use) or plugins.load(plugins.READERS, use)
    if not (isinstance(kind, type) and issubclass(kind, Reader) and is_dataclass(kind)):
        raise InputError(f"kind of data {use!r}: expected a frozen dataclass of dlfbench.Reader, found {kind!r}")
    return build(kind, table, where=f"kind of data {use!r}")


def is_source(text: str) -> bool:
    """Whether the text is `KIND:SOURCE` of a kind that is known."""
    match = _SOURCE.fullmatch(text)
    if match is None or (is_file(text) and not Path(match["source"]).exists()):
        return False  # `FILE.py:NAME` is a dataset of a file
    return match["use"] in OWN or is_file(match["use"]) or match["use"] in plugins.names(plugins.READERS)


def absolute_source(text: str, folder: Path) -> str:
    """The same `KIND:SOURCE`, whose path starts at the root, as do options that are files; others start at `folder`."""
    match = _SOURCE.fullmatch(text)
    assert match is not None
    kind = match["kind"].replace(match["use"], absolute(match["use"], folder), 1)
    kind = with_changed(kind, _file_options(match["use"]), lambda path: str((folder / path).resolve()))
    return f"{kind}:{(folder / match['source']).resolve()}"


def _file_options(use: str) -> tuple[str, ...]:
    """Which options are files; none of a reader in a single file, which is not run before somebody agreed."""
    reader = next((kind for name, kind, _ in known_kinds() if name == use), None)
    return getattr(reader, "file_options", ())


def read_source(kind: str, source: Path) -> Found:
    """Finds the cases of a data set in its own layout; no image is read.

    Raises:
        InputError: Every problem of the layout; or the reader of a plugin failed.
    """
    reader = make_reader(kind)
    if not source.exists():
        raise InputError(f"{source}: not found; give the {kind} data set's folder")
    try:
        data = reader.read(source)
    except InputError:
        raise
    except Exception as error:  # anything may go wrong in a stranger's reader
        raise InputError(f"{source}: reading it as {kind} failed: {type(error).__name__}: {error}") from error
    if not data.cases:
        raise InputError(f"{source}: expected cases in the layout of {kind}, found none")
    if doubles := double_names(data.cases):
        raise InputError(doubles)
    return data


def open_source(text: str) -> Dataset:
    """Opens `KIND:SOURCE` where it lies, without a copy.

    Raises:
        InputError: Not usable, or it has to be imported first (the command is said).
    """
    match = _SOURCE.fullmatch(text)
    assert match is not None
    found = read_source(match["kind"], Path(match["source"]))
    why = found.why_not_in_place()
    if why:
        raise InputError(
            f"{match['source']}: cannot be used without a copy: {why}; run: "
            f"dlfbench data import '{match['kind']}' {match['source']} --out FOLDER"
        )
    return found.dataset()
