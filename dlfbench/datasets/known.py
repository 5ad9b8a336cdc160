"""Datasets by name or folder."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from dlfbench import plugins
from dlfbench.datasets.cases import Dataset
from dlfbench.datasets.decathlon import read_decathlon
from dlfbench.datasets.download import MSD_TASKS, is_here, open_msd
from dlfbench.datasets.phantom import open_phantom
from dlfbench.datasets.public import PUBLIC
from dlfbench.datasets.readers import is_source, open_source
from dlfbench.errors import InputError
from dlfbench.plugin_files import is_file
from dlfbench.plugins import unknown

_OWN: dict[str, Callable[[], Dataset]] = {
    "phantom": open_phantom,
    **{name: partial(open_msd, name) for name in MSD_TASKS},
}


@dataclass(frozen=True)
class KnownDataset:
    """A dataset that has a name.

    Attributes:
        name: What users write.
        description: One line.
        available: Whether it can be opened now.
        reason: Why not, and what to do.
    """

    name: str
    description: str
    available: bool
    reason: str = ""


def has_name(source: str) -> bool:
    """Whether this is the name of a dataset, rather than a place."""
    return source in _OWN or source in plugins.plugins(plugins.DATASETS)


def open_dataset(source: str | Path) -> Dataset:
    """Opens a dataset by name, a folder in MSD or nnU-Net raw layout, or `KIND:SOURCE` of another layout.

    Raises:
        InputError: Unknown, not available, or not usable.
    """
    name = str(source)
    if name in _OWN:
        return _OWN[name]()
    if is_source(name):
        return open_source(name)
    if is_file(name):
        return _open_plugin(name)
    found = plugins.plugins(plugins.DATASETS)
    if name in found:
        return _open_plugin(name)
    if Path(source).exists() or "/" in name:
        return read_decathlon(Path(source))
    raise InputError(f"{unknown('dataset', name, [*_OWN, *found])}; or give the path of a folder")


def _open_plugin(name: str) -> Dataset:
    opener = plugins.load(plugins.DATASETS, name)
    try:
        dataset = opener()
    except InputError:
        raise
    except Exception as error:  # anything may go wrong in a stranger's function
        raise InputError(f"dataset {name!r}: opening it failed: {type(error).__name__}: {error}") from error
    if not isinstance(dataset, Dataset):
        raise InputError(
            f"dataset {name!r}: expected a dlfbench.Dataset from its plugin, found {type(dataset).__name__}"
        )
    return dataset


def known_datasets() -> list[KnownDataset]:
    """Every dataset that has a name: ours, and plugins of the group `dlfbench.datasets`."""
    own = [
        KnownDataset("phantom", "embedded synthetic anatomy: two modalities, left and right, three groups", True),
        *(_known_msd(name) for name in MSD_TASKS),
    ]
    taken = "dlfbench has a dataset of this name; the plugin must choose another"
    others = [(p, p.reason or (taken if p.name in _OWN else "")) for p in plugins.plugins(plugins.DATASETS).values()]
    return own + [KnownDataset(p.name, p.summary or p.source, not reason, reason) for p, reason in others]


def _known_msd(name: str) -> KnownDataset:
    text = f"{PUBLIC[name].what} ({PUBLIC[name].licence})"
    if not is_here(name):
        return KnownDataset(name, text, False, f"dlfbench data get {name}")
    try:
        open_msd(name)
    except InputError as error:
        return KnownDataset(name, text, False, error.problems[0])
    return KnownDataset(name, text, True)
