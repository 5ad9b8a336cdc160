"""A packed method segments as its run does, without the run; what is no such package is refused."""

import json
import shutil
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest

from builders import write_dataset
from dlfbench import plugin_files
from dlfbench.images import read_labels
from dlfbench.records.folder import RunFolder
from dlfbench.study.tables import make_study
from dlfbench.use.package import _packed
from dlfbench.use.unpacked import open_package

UNET = "unet[steps=2,preset=quick]"


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_dataset(tmp_path_factory.mktemp("data") / "tiny", people=4, sides="L")


@pytest.fixture
def made(data: Path, tmp_path_factory: pytest.TempPathFactory, dlfbench) -> Path:
    folder = tmp_path_factory.getbasetemp() / "packed-run"
    if not (folder / "results.parquet").is_file():
        command = ["run", "--data", data, "--hold-out", "0.5", "--methods", f"mv,{UNET}", "--out", folder]
        code, printed = dlfbench(*command, "--workers", "1")
        assert code == 0, printed
    return folder


@pytest.fixture
def package(made: Path, tmp_path: Path, dlfbench) -> Path:
    code, printed = dlfbench("export", made, UNET, tmp_path / "unet.zip", "--licence", "CC BY 4.0")
    assert code == 0, printed
    return tmp_path / "unet.zip"


def _segments_as_the_run(run: Path, method: str, package: Path, data: Path, out: Path, dlfbench) -> None:
    """Segments a test case of the run under a new name, from the package, while the run's data are away."""
    case = next((run / "segmentations" / "mv" / "fold0").iterdir()).name.removesuffix(".nii.gz")
    shutil.copy(data / "imagesTr" / f"{case}_0000.nii.gz", out.parent / "one.nii.gz")
    away = data.rename(data.with_name("away"))
    try:
        code, printed = dlfbench("segment", package, method, out.parent / "one.nii.gz", "--out", out, "--workers", "1")
    finally:
        away.rename(data)
    assert code == 0, printed
    expected, _ = read_labels(RunFolder(run).segmentation_path(method, 0, case))
    assert np.array_equal(read_labels(out / "one.nii.gz")[0], expected)


def test_a_packed_network_segments_as_the_run(package, made, data, tmp_path, dlfbench):
    with zipfile.ZipFile(package) as content:
        names, about = content.namelist(), json.loads(content.read("package.json"))
        card = content.read("README.md").decode()
    assert "models/0/model.pt.npz" in names
    assert not [name for name in names if name.endswith((".pt", ".pth", ".pkl"))]
    assert len(about["training_cases"]) == 2
    assert "| in-domain | front | 2 | 0 |" in card
    assert "Licence: CC BY 4.0" in card
    _segments_as_the_run(made, UNET, package, data, tmp_path / "out", dlfbench)


def test_fusion_is_packed_with_its_atlases(made, data, tmp_path, dlfbench):
    code, printed = dlfbench("export", made, "mv", tmp_path / "mv.zip", "--with-atlases")
    assert code == 0, printed
    _segments_as_the_run(made, "mv", tmp_path / "mv.zip", data, tmp_path / "out", dlfbench)


def test_fusion_without_atlases_is_told_when_packed_and_refused_when_used(made, data, tmp_path, dlfbench):
    code, printed = dlfbench("export", made, "mv", tmp_path / "mv.zip")
    assert code == 0
    assert "fuses atlases, which are not inside" in " ".join(printed.split())
    image = next((data / "imagesTr").iterdir())
    code, printed = dlfbench("segment", tmp_path / "mv.zip", "mv", image, "--out", tmp_path / "out")
    assert code == 2
    assert "make it with --with-atlases" in printed


def test_a_command_of_a_package_is_run_after_consent(data, tmp_path, monkeypatch, dlfbench):
    tool = tmp_path / "tool.py"
    tool.write_text(
        "import sys\nimport nibabel as nib\nimage = nib.load(sys.argv[1])\n"
        "nib.save(nib.Nifti1Image((image.get_fdata() > 30).astype('int16'), image.affine), sys.argv[2])\n"
    )
    command = f"tool=command[run='{sys.executable} {tool} {{target}} {{output}}']"
    run, package = tmp_path / "run", tmp_path / "tool.zip"
    flags = ["--data", data, "--hold-out", "0.5", "--methods", command, "--out", run, "--workers", "1"]
    code, printed = dlfbench("run", *flags)
    assert code == 0, printed
    code, printed = dlfbench("export", run, "tool", package)
    assert code == 0, printed
    monkeypatch.setattr(plugin_files, "_agreed", set())  # another machine
    monkeypatch.setattr(plugin_files, "_named_by_hand", set())
    image = next((data / "imagesTr").iterdir())
    segment = ["segment", package, "tool", image, "--out", tmp_path / "out"]
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "settings"))
    code, printed = dlfbench(*segment)
    assert (code, "read it, then give --trust" in printed) == (2, True)
    code, printed = dlfbench(*segment, "--trust")
    assert code == 0, printed
    (agreed,) = (tmp_path / "settings" / "dlfbench" / "trusted-files").read_text().splitlines()
    assert agreed.startswith("command line: ")
    assert str(tool) in agreed


DATA = """
from pathlib import Path
from dlfbench.datasets.decathlon import read_decathlon

def data():
    return read_decathlon(Path({folder!r}))
"""


def test_atlases_of_a_dataset_of_a_file_are_packed_with_their_groups(tmp_path, dlfbench):
    folder = write_dataset(tmp_path / "tiny", people=4, sides="L")
    header = json.loads((folder / "dataset.json").read_text())
    (folder / "dataset.json").write_text(json.dumps({**header, "labels": {**header["labels"], "whole": [1, 2]}}))
    (folder / "cases.tsv").write_text("case\tlabels\n" + "".join(f"p0{n}L\twhole\n" for n in range(4)))
    (tmp_path / "mydata.py").write_text(DATA.format(folder=str(folder)))
    flags = ["--data", f"{tmp_path / 'mydata.py'}:data", "--hold-out", "0.5", "--methods", "mv", "--workers", "1"]
    code, printed = dlfbench("run", *flags, "--out", tmp_path / "run")
    assert code == 0, printed
    code, printed = dlfbench("export", tmp_path / "run", "mv", tmp_path / "mv.zip", "--with-atlases")
    assert code == 0, printed
    package = open_package(tmp_path / "mv.zip", "mv")
    assert package.dataset.labels.groups == (("whole", (1, 2)),)
    assert len(package.dataset.cases) == 2
    assert not any(case.undrawn for case in package.dataset.cases)


def test_code_that_a_package_calls_is_missed_and_no_other():
    def code(method: str, registration: str) -> tuple[str, ...]:
        tables = {"data": {"dataset": "mydata.py:data"}, "registration": {"use": registration}, "methods": {method: {}}}
        return _packed(make_study(tables)).plugin_files

    assert code("mv", "mine.py:Mine") == ("mine.py:Mine",)
    assert code("unet", "mine.py:Mine") == ()
    assert code("mv", "greedy") == ()


def _changed(package: Path, name: str, change) -> Path:
    """The same package but for one file."""
    target = package.with_name("changed.zip")
    with zipfile.ZipFile(package) as content, zipfile.ZipFile(target, "w") as other:
        for member in content.namelist():
            found = content.read(member)
            other.writestr(member, change(found) if member == name else found)
    return target


def test_what_cannot_be_used_is_refused(package, made, data, tmp_path, dlfbench):
    image = next((data / "imagesTr").iterdir())

    def refused(file: Path, method: str = UNET, *more: object) -> str:
        code, printed = dlfbench("segment", file, method, image, "--out", tmp_path / "refused", *more)
        assert code == 2, printed
        assert not (tmp_path / "refused").exists()
        return printed

    of_2030 = _changed(package, "package.json", lambda text: text.replace(b'"format": 2', b'"format": 9'))
    assert "expected a package of format 2, found 9" in refused(of_2030)
    damaged = _changed(package, "models/0/model.pt.npz", lambda content: content[:-1] + b"x")
    assert "models/0/model.pt.npz: is not what was packed" in refused(damaged)
    outside = _changed(package, "package.json", lambda text: text.replace(b'"results.csv"', b'"../results.csv"'))
    assert "../results.csv: lies outside of the package" in refused(outside)
    assert "which is all that it holds, found 'jlf'" in refused(package, "jlf")
    assert "has no training data" in refused(package, UNET, "--refit")
    (tmp_path / "no.zip").write_bytes(b"nothing")
    assert "expected a package as `dlfbench export` makes it" in refused(tmp_path / "no.zip")
    code, printed = dlfbench("export", made, UNET, package)
    assert code == 2
    assert "is there already" in printed
    code, printed = dlfbench("export", made, UNET, tmp_path / "more.zip", "--with-atlases")
    assert code == 2
    assert "needs none" in printed
