"""Public datasets: downloaded with their checksum, or taken from a tar or folder that is already here."""

import hashlib
import os
import shutil
import tempfile
from pathlib import Path

import platformdirs

from dlfbench.datasets.cases import Dataset
from dlfbench.datasets.decathlon import read_decathlon
from dlfbench.datasets.importing import import_dataset
from dlfbench.datasets.public import PUBLIC
from dlfbench.datasets.readers.msd import Msd
from dlfbench.datasets.storage import write_storage_groups
from dlfbench.errors import InputError
from dlfbench.plugins import unknown

MSD_TASKS = {name: found.task for name, found in PUBLIC.items() if found.task}


def default_data_folder() -> Path:
    """`DLFBENCH_DATA`, else the user's data folder."""
    return Path(os.environ.get("DLFBENCH_DATA") or platformdirs.user_data_dir("dlfbench"))


def is_here(name: str) -> bool:
    """Whether a task of the Decathlon has been fetched."""
    return (default_data_folder() / MSD_TASKS[name]).is_dir()


def open_msd(name: str) -> Dataset:
    """A task of the Decathlon, where it has been fetched."""
    folder = default_data_folder() / MSD_TASKS[name]
    if not is_here(name):
        raise InputError(f"{name} is not here yet ({folder}); run: dlfbench data get {name}")
    return read_decathlon(folder)


def get_msd(name: str, *, folder: Path, source: Path | None = None) -> Dataset:
    """Fetches a task of the Medical Segmentation Decathlon into FOLDER/TASK.

    4D images are split into their modalities; the hippocampus gets a `cases.tsv` of groups.

    Args:
        name: Such as `msd-hippocampus`.
        folder: Where datasets are kept.
        source: A tar of the task, or its unpacked folder; downloaded where None.

    Raises:
        InputError: Unknown name, no network, wrong checksum, or not an MSD folder. Nothing half-written is left.
    """
    if name in PUBLIC and PUBLIC[name].by_hand:
        raise InputError(f"{name}: its authors give it out themselves; {PUBLIC[name].steps}")
    if name not in MSD_TASKS:
        raise InputError(unknown("download", name, PUBLIC))
    final = folder / MSD_TASKS[name]
    if final.is_dir():
        return read_decathlon(final)
    if source is not None and source.is_dir():
        read_decathlon(source)  # its problems are told of the user's folder, not of a copy
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder, prefix=".getting-") as scratch:
        made = Path(scratch) / final.name
        if source is not None and source.is_dir():
            shutil.copytree(source, made)
        else:
            _unpack(name, Path(scratch), source)
        if name == "msd-hippocampus":
            write_storage_groups(read_decathlon(made), made)
        os.replace(_split(made), final)
    return read_decathlon(final)


def _split(folder: Path) -> Path:
    """The folder, or a copy of it beside it whose 4D images are split into their modalities."""
    data = Msd().read(folder)
    if not data.why_not_in_place():
        return folder
    copy = folder.with_name(f"{folder.name}-split")
    import_dataset(data, copy)
    return copy


def _unpack(name: str, scratch: Path, source: Path | None) -> None:
    """Downloads (or takes) the tar, checks its MD5 against MONAI's table and unpacks it."""
    from monai.apps.datasets import DecathlonDataset
    from monai.apps.utils import download_url, extractall

    task = MSD_TASKS[name]
    url, md5 = DecathlonDataset.resource[task], DecathlonDataset.md5[task]
    tar = source or scratch / f"{task}.tar"
    if source is None:
        try:
            download_url(url, tar, hash_val=None, progress=True)
        except Exception as error:  # urllib, gdown and sockets raise many kinds
            raise InputError(
                f"{url}: cannot be downloaded ({type(error).__name__}: {error}); fetch it elsewhere, then: "
                f"dlfbench data get {name} --source {task}.tar"
            ) from error
    if not tar.is_file():
        raise InputError(f"{tar}: file not found; give a tar of {task} or its unpacked folder")
    sum_ = _md5(tar)
    if sum_ != md5:
        raise InputError(
            f"{source or url}: expected MD5 {md5}, found {sum_} ({tar.stat().st_size} bytes); "
            f"the file is damaged or not {task}: fetch it again"
        )
    extractall(tar, scratch, has_base=False, file_type="tar") if source else extractall(tar, scratch)


def _md5(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
