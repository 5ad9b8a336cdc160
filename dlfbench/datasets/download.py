"""Public datasets: downloaded with their checksum, or taken from a tar or folder that is already here."""

import os
import shutil
import tempfile
from pathlib import Path

import platformdirs

from dlfbench.cases import Dataset
from dlfbench.datasets.decathlon import read_decathlon
from dlfbench.errors import InputError
from dlfbench.plugins import unknown

MSD_TASKS = {"msd-hippocampus": "Task04_Hippocampus"}


def default_data_folder() -> Path:
    """`DLFBENCH_DATA`, else the user's data folder."""
    return Path(os.environ.get("DLFBENCH_DATA") or platformdirs.user_data_dir("dlfbench"))


def open_msd_hippocampus() -> Dataset:
    """The MSD hippocampus data, where they have been fetched."""
    folder = default_data_folder() / MSD_TASKS["msd-hippocampus"]
    if not folder.is_dir():
        raise InputError(f"msd-hippocampus is not here yet ({folder}); run: dlfbench data get msd-hippocampus")
    return read_decathlon(folder)


def get_msd(name: str, *, folder: Path, source: Path | None = None) -> Dataset:
    """Fetches a task of the Medical Segmentation Decathlon into FOLDER/TASK.

    Args:
        name: Such as `msd-hippocampus`.
        folder: Where datasets are kept.
        source: A tar of the task, or its unpacked folder; downloaded where None.

    Raises:
        InputError: Unknown name, no network, wrong checksum, or not an MSD folder. Nothing half-written is left.
    """
    if name not in MSD_TASKS:
        raise InputError(unknown("download", name, MSD_TASKS))
    task = MSD_TASKS[name]
    final = folder / task
    if final.is_dir():
        return read_decathlon(final)
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder, prefix=".getting-") as scratch:
        if source is not None and source.is_dir():
            shutil.copytree(source, Path(scratch) / task)
        else:
            _unpack(task, Path(scratch), source)
        read_decathlon(Path(scratch) / task)
        os.replace(Path(scratch) / task, final)
    return read_decathlon(final)


def _unpack(task: str, scratch: Path, source: Path | None) -> None:
    """Downloads (or takes) the tar, checks its MD5 and unpacks it, all by MONAI."""
    from monai.apps.datasets import DecathlonDataset
    from monai.apps.utils import check_hash, download_url, extractall

    url, md5 = DecathlonDataset.resource[task], DecathlonDataset.md5[task]
    tar = source or scratch / f"{task}.tar"
    if source is None:
        try:
            download_url(url, tar, hash_val=None, progress=True)
        except Exception as error:  # urllib, gdown and sockets raise many kinds
            raise InputError(
                f"{url}: cannot be downloaded ({type(error).__name__}: {error}); fetch it elsewhere, then: "
                f"dlfbench data get NAME --source {task}.tar"
            ) from error
    if not tar.is_file():
        raise InputError(f"{tar}: file not found; give a tar of {task} or its unpacked folder")
    if not check_hash(tar, md5, "md5"):
        raise InputError(f"{tar}: expected MD5 {md5}, found another; the file is damaged or not {task}: fetch it again")
    extractall(tar, scratch, has_base=False, file_type="tar") if source else extractall(tar, scratch)
