"""Fetching public datasets, without a network; more of it is in test_datasets.py."""

import hashlib
import shutil
import tarfile
from pathlib import Path

import numpy as np
import pytest

from builders import write_dataset
from dlfbench.datasets.decathlon import read_decathlon
from dlfbench.datasets.download import MSD_TASKS, default_data_folder, get_msd
from dlfbench.datasets.known import known_datasets, open_dataset
from dlfbench.errors import InputError
from layouts import write_msd_4d

TASK = "Task04_Hippocampus"


@pytest.fixture
def tar(tmp_path: Path) -> Path:
    folder = write_dataset(tmp_path / "unpacked", people=2)
    with tarfile.open(tmp_path / "some.tar", "w") as file:
        file.add(folder, TASK)
    return tmp_path / "some.tar"


def md5(path: Path) -> str:
    return hashlib.md5(path.read_bytes()).hexdigest()


def declare_md5(digest: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from monai.apps.datasets import DecathlonDataset

    monkeypatch.setitem(DecathlonDataset.md5, TASK, digest)


def serve(file: Path, monkeypatch: pytest.MonkeyPatch, *, most_bytes: int | None = None) -> list[str]:
    """The file is what a download brings; returns the addresses that are asked for."""
    asked: list[str] = []

    def download(url: str, filepath: Path, **_: object) -> None:
        asked.append(url)
        Path(filepath).write_bytes(file.read_bytes()[:most_bytes])

    monkeypatch.setattr("monai.apps.utils.download_url", download)
    return asked


def test_a_download_is_unpacked_where_its_name_opens(
    tar: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    declare_md5(md5(tar), monkeypatch)
    asked = serve(tar, monkeypatch)
    monkeypatch.setenv("DLFBENCH_DATA", str(tmp_path / "data"))
    assert len(get_msd("msd-hippocampus", folder=default_data_folder()).cases) == 4
    assert len(open_dataset("msd-hippocampus").cases) == 4
    assert [url.rsplit("/", 1)[1] for url in asked] == [f"{TASK}.tar"]
    assert [path.name for path in (tmp_path / "data").iterdir()] == [TASK]


def test_what_is_there_is_not_fetched_again(tar: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    declare_md5(md5(tar), monkeypatch)
    asked = serve(tar, monkeypatch)
    get_msd("msd-hippocampus", folder=tmp_path / "data")
    get_msd("msd-hippocampus", folder=tmp_path / "data")
    assert len(asked) == 1


def test_a_cut_download_says_both_checksums(tar: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    declare_md5(md5(tar), monkeypatch)
    serve(tar, monkeypatch, most_bytes=1000)
    cut = hashlib.md5(tar.read_bytes()[:1000]).hexdigest()
    with pytest.raises(InputError, match=rf"^http.*expected MD5 {md5(tar)}, found {cut} \(1000 bytes\)"):
        get_msd("msd-hippocampus", folder=tmp_path / "data")
    assert list((tmp_path / "data").iterdir()) == []


def test_a_wrong_local_tar_says_both_checksums(tar: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=rf"some\.tar: expected MD5 \w+, found {md5(tar)}"):
        get_msd("msd-hippocampus", folder=tmp_path / "data", source=tar)


def test_a_source_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"gone\.tar: file not found"):
        get_msd("msd-hippocampus", folder=tmp_path / "data", source=tmp_path / "gone.tar")
    assert list((tmp_path / "data").iterdir()) == []


def test_a_damaged_source_folder_is_named_and_not_copied(tar: Path, tmp_path: Path) -> None:
    source = tmp_path / "unpacked"
    shutil.rmtree(source / "labelsTr")
    with pytest.raises(InputError, match="unpacked/labelsTr") as caught:
        get_msd("msd-hippocampus", folder=tmp_path / "data", source=source)
    assert all(problem.startswith(str(source)) for problem in caught.value.problems)
    assert not (tmp_path / "data").exists()


def test_a_task_with_4d_images_is_split(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    two = read_decathlon(write_dataset(tmp_path / "two", people=1, modalities=2))
    write_msd_4d(tmp_path / "unpacked", two)
    found = get_msd("msd-prostate", folder=tmp_path / "data", source=tmp_path / "unpacked")
    assert [path.name for path in (tmp_path / "data").iterdir()] == ["Task05_Prostate"]
    for case, expected in zip(found.cases, two.cases, strict=True):
        assert np.array_equal(case.read_target().images, expected.read_target().images)
    monkeypatch.setenv("DLFBENCH_DATA", str(tmp_path / "data"))
    assert open_dataset("msd-prostate").modalities == two.modalities


def test_what_authors_give_out_themselves_says_how(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="ashs: its authors give it out .*dlfbench data import ashs PACKAGE"):
        get_msd("ashs", folder=tmp_path)


def test_every_task_has_an_address_and_a_checksum_in_monai() -> None:
    from monai.apps.datasets import DecathlonDataset

    for task in MSD_TASKS.values():
        assert DecathlonDataset.resource[task].endswith(f"/{task}.tar")
        assert len(DecathlonDataset.md5[task]) == 32


def test_unknown_downloads_suggest_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="did you mean 'msd-hippocampus'"):
        get_msd("msd-hipocampus", folder=tmp_path)


def test_a_dataset_that_is_not_here_says_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DLFBENCH_DATA", str(tmp_path))
    with pytest.raises(InputError, match="run: dlfbench data get msd-hippocampus"):
        open_dataset("msd-hippocampus")
    assert {d.name: d.available for d in known_datasets()}["msd-hippocampus"] is False
