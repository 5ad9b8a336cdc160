"""Fetching public datasets, without a network; more of it is in test_datasets.py."""

import hashlib
import shutil
import tarfile
from pathlib import Path

import pytest

from builders import write_dataset
from dlfbench.datasets.download import default_data_folder, get_msd
from dlfbench.datasets.known import known_datasets, open_dataset
from dlfbench.errors import InputError

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


def test_unknown_downloads_suggest_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="did you mean 'msd-hippocampus'"):
        get_msd("msd-hipocampus", folder=tmp_path)


def test_a_dataset_that_is_not_here_says_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DLFBENCH_DATA", str(tmp_path))
    with pytest.raises(InputError, match="run: dlfbench data get msd-hippocampus"):
        open_dataset("msd-hippocampus")
    assert {d.name: d.available for d in known_datasets()}["msd-hippocampus"] is False
