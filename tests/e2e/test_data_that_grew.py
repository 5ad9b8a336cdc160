"""A run is used as it was made, whatever has come to its data since."""

import json
import os
import re
import shutil
from pathlib import Path

import numpy as np
import pytest

from builders import write_case, write_dataset
from dlfbench.engine.work import Options
from dlfbench.errors import InputError
from dlfbench.images import read_labels, write_labels
from dlfbench.use.package import Wanted, write_package
from dlfbench.use.segment import Request, prepare_segmenting


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_dataset(tmp_path_factory.mktemp("data") / "tiny", people=5, sides="L")


@pytest.fixture
def data(original: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(original, tmp_path / "tiny"))


@pytest.fixture
def run(data: Path, tmp_path: Path, dlfbench) -> Path:
    command = ["run", "--data", data, "--folds", "2", "--atlases", "2", "--methods", "mv", "--workers", "1"]
    code, printed = dlfbench(*command, "--out", tmp_path / "run")
    assert code == 0, printed
    return tmp_path / "run"


@pytest.fixture
def image(data: Path, tmp_path: Path) -> Path:
    (tmp_path / "new").mkdir()
    return Path(shutil.copy(data / "imagesTr" / "p00L_0000.nii.gz", tmp_path / "new" / "x.nii.gz"))


def add_case(data: Path) -> None:
    write_case(data, "a00L", np.random.default_rng(9))
    with (data / "cases.tsv").open("a") as table:
        table.write("a00L\tanna\tL\ta\n")


def atlases_of(run: Path, image: Path, **more: object) -> set[str]:
    request = Request(run, "mv", (image,), run.parent / "out", **{"fold": 0, **more})  # type: ignore[arg-type]
    planned = prepare_segmenting(request, Options(cache=run.parent / "store", workers=1)).planned
    return {task.names["atlas"] for task in planned.tasks.values() if task.kind == "registration"}


def trained_on(run: Path, fold: int = 0) -> list[str]:
    return list(json.loads((run / "splits.json").read_text())["folds"][fold]["train"])


def test_atlases_of_a_fold_are_the_run_s_though_cases_and_columns_have_come(run, data, image):
    expected = set(trained_on(run)[:2])
    assert atlases_of(run, image) == expected
    add_case(data)
    table = data / "cases.tsv"
    table.write_text(table.read_text().replace("person01\tL\ta", "person01\tL\tzzz"))
    assert atlases_of(run, image) == expected


def test_a_package_says_who_the_run_trained_on(run, data, tmp_path):
    add_case(data)
    write_package(Wanted(run, "mv", with_atlases=True), tmp_path / "mv.zip")
    shutil.unpack_archive(tmp_path / "mv.zip", tmp_path / "package")
    about = json.loads((tmp_path / "package" / "package.json").read_text())
    assert [fold["train"] for fold in about["folds"]] == [trained_on(run, 0), trained_on(run, 1)]
    assert "a00L" not in about["taken_names"]


def test_training_cases_that_are_gone_or_changed_are_named(run, data, image, tmp_path):
    first = trained_on(run)[0]
    path = data / "labelsTr" / f"{first}.nii.gz"
    labels, grid = read_labels(path)
    labels[0, 0, 0] = 1
    write_labels(path, labels, grid)
    with pytest.raises(InputError, match=f"1 training cases are not what the run had, such as {first}"):
        write_package(Wanted(run, "mv", with_atlases=True), tmp_path / "mv.zip")
    for file in (path, data / "imagesTr" / f"{first}_0000.nii.gz"):
        file.unlink()
    table = data / "cases.tsv"
    table.write_text("".join(line for line in table.read_text().splitlines(True) if not line.startswith(first)))
    with pytest.raises(InputError, match=rf"1 case that it trained on \(such as {first}\) is not in tiny any more"):
        atlases_of(run, image)


def test_a_new_fit_on_all_cases_takes_all_of_them_as_atlases(run, data, image):
    add_case(data)
    every = {name for fold in (0, 1) for name in trained_on(run, fold)}
    assert atlases_of(run, image, fold=None, refit=True) == every
    assert len(every) == 5


def test_an_image_s_name_does_not_choose_its_atlases(run, image):
    """Person01 of the run is nobody that an image of this name is of."""
    namesake = Path(shutil.copy(image, image.with_name("person01.nii.gz")))
    assert atlases_of(run, namesake) == atlases_of(run, image)


def test_a_side_that_is_corrected_is_segmented_again_and_a_group_is_not(run, data, dlfbench):
    command = ["run", "--data", data, "--folds", "2", "--atlases", "2", "--methods", "mv", "--workers", "1"]

    def left_to_segment() -> int:
        printed = dlfbench(*command, "--out", run, "--dry-run")[1]
        return int(re.search(r"segmentation +\d+ +\d+ +(\d+)", printed)[1])

    table = data / "cases.tsv"
    text = table.read_text()
    table.write_text(text.replace("\ta\n", "\tb\n"))
    assert left_to_segment() == 0
    table.write_text(text.replace("person00\tL", "person00\tR"))
    assert left_to_segment() == 1


def test_a_plugin_file_and_data_by_relative_paths_are_found_again(data, tmp_path, monkeypatch, dlfbench):
    (tmp_path / "mine.py").write_text("def mine(target, atlases):\n    return atlases.labels[0]\n")
    (tmp_path / "study.toml").write_text('[data]\ndataset = "tiny"\n[protocol]\nfolds = 2\n[methods.mv]\n')
    monkeypatch.chdir(tmp_path)
    again = ["run", "study.toml", "--methods", "mine.py:mine", "--out", "again", "--workers", "1"]
    assert dlfbench(*again)[0] == 0
    code, printed = dlfbench(*again)
    assert code == 0, printed
    elsewhere = write_dataset(tmp_path / "elsewhere" / "tiny", people=3, seed=5).parent
    monkeypatch.chdir(elsewhere)
    shutil.copy(data / "imagesTr" / "p00L_0000.nii.gz", "x.nii.gz")
    code, printed = dlfbench("segment", os.path.relpath(tmp_path / "again"), "mine", "x.nii.gz", "--out", "out")
    assert code == 0, printed
    assert str(data) in (tmp_path / "again" / "study.toml").read_text()
