"""A file where a folder should be, or a disk that is full: one line with path and reason, whatever the command."""

import errno
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import pytest

from builders import write_dataset
from dlfbench.files import write_whole
from synthetic_run import make_run

Cli = Callable[..., tuple[int, str]]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "notes.txt"
    path.write_text("precious")
    return path


def lines(printed: str) -> list[str]:
    assert "Traceback" not in printed
    return [line for line in printed.splitlines() if "error:" in line]


@pytest.mark.parametrize("flag", ["--out", "--cache"])
@pytest.mark.parametrize("inside", [False, True])
def test_a_run_takes_no_file_for_a_folder(flag: str, inside: bool, file: Path, tmp_path: Path, dlfbench: Cli) -> None:
    data = write_dataset(tmp_path / "data", people=2, sides="L")
    given = file / "sub" if inside else file
    for more in ([], ["--dry-run"]):
        code, printed = dlfbench("run", "--data", data, "--methods", "mv", "--folds", "2", flag, given, *more)
        assert code == 2
        assert lines(printed) == [f"error: {file}: expected a folder, found a file; give another {flag}"]
    assert file.read_text() == "precious"


@pytest.mark.parametrize(
    "command",
    [
        ["report", "RUN", "--out"],
        ["export-bids", "RUN", "--out"],
        ["segment", "RUN", "mv", "x.nii.gz", "--out"],
        ["score", "--run", "RUN", "--predictions", "RUN", "--out"],
    ],
)
def test_other_commands_take_none_either(command: list[str], file: Path, tmp_path: Path, dlfbench: Cli) -> None:
    run = make_run(tmp_path / "run")
    code, printed = dlfbench(*[str(run) if word == "RUN" else word for word in command], file)
    assert code == 2
    assert lines(printed) == [f"error: {file}: expected a folder, found a file; give another --out"]


def full(*words: Any, **more: Any) -> NoReturn:
    """Writing to a full disk: the file is open already, so its name is not told."""
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_a_full_disk_ends_a_report_with_one_line(
    tmp_path: Path, dlfbench: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = make_run(tmp_path / "run")
    monkeypatch.setattr(Path, "write_bytes", full)
    code, printed = dlfbench("report", run, "--out", tmp_path / "page")
    assert code == 1
    (line,) = lines(printed)
    assert line.startswith(f"error: {tmp_path / 'page'}")
    assert line.endswith(": No space left on device; make room")


def test_a_full_disk_ends_an_export_with_one_line(
    tmp_path: Path, dlfbench: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dlfbench.use.package.write_package", lambda wanted, out: write_whole(out, full))
    code, printed = dlfbench("export", tmp_path, "mv", tmp_path / "mv.zip")
    assert code == 1
    assert lines(printed) == [f"error: {tmp_path / 'mv.zip'}: No space left on device; make room"]
    assert not list(tmp_path.iterdir())


def test_a_file_that_is_read_while_another_is_written_keeps_its_name(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError) as error:
        write_whole(tmp_path / "new", lambda part: (tmp_path / "absent").read_bytes())
    assert error.value.filename == str(tmp_path / "absent")
