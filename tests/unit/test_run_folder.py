"""The run folder has one owner: nobody else names its files, and one reader reads what one writer wrote."""

import ast
import json
from dataclasses import replace
from pathlib import Path

import pytest

from builders import write_dataset
from dlfbench.datasets.known import open_dataset
from dlfbench.datasets.shifts import Shift
from dlfbench.errors import InputError
from dlfbench.records.described_data import DescribedData
from dlfbench.records.described_study import DescribedStudy, same_settings
from dlfbench.records.description import (
    Description,
    Environment,
    Identity,
    read_description,
    read_identity,
    write_description,
)
from dlfbench.records.folder import RunFolder
from dlfbench.records.results import CALIBRATION, REGISTRATIONS, TIMINGS
from dlfbench.study.given import read_folds
from dlfbench.study.splits import Fold

ROOT = Path(__file__).resolve().parents[2]
FOLDER = RunFolder(Path("run"))
FILES = {
    *(path.name for name in dir(RunFolder) if isinstance(path := getattr(FOLDER, name), Path) and path.suffix),
    *(table.file for table in (TIMINGS, REGISTRATIONS, CALIBRATION)),
}
INSIDE = {"tasks", "segmentations", "posteriors"}


def names_of_files(path: Path) -> list[str]:
    """Files of a run folder, and folders in it, that a module names."""
    tree = ast.parse(path.read_text())
    texts = {node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str)}
    joined = {node.right.value for node in ast.walk(tree) if isinstance(node, ast.BinOp)
              and isinstance(node.op, ast.Div) and isinstance(node.right, ast.Constant)}  # fmt: skip
    return sorted((texts & FILES) | (joined & INSIDE))


def test_nobody_else_names_the_files_of_a_run() -> None:
    assert {"study.toml", "identity.json", "results.parquet", "timings.parquet", "log.jsonl"} <= FILES
    assert names_of_files(ROOT / "dlfbench/records/folder.py")
    modules = [path for top in ("dlfbench", "baselines", "benchmarks") for path in (ROOT / top).rglob("*.py")]
    found = {
        str(path.relative_to(ROOT)): names
        for path in modules
        if "records" not in path.parts and (names := names_of_files(path))
    }
    assert not found


@pytest.fixture
def described(tmp_path: Path) -> Description:
    dataset = open_dataset(write_dataset(tmp_path / "data", people=2))
    shifted = dataset.cases[0].shifted(Shift("noise:2"), dataset.modalities)
    return Description(
        study=DescribedStudy({"name": "s", "seed": 3, "protocol": {"shifts": {"noisy": "noise:2"}}}),
        folds=(Fold(0, ("p01L",), {"in-domain": ("p00L",), "noisy": (shifted.name,)}),),
        data=DescribedData.of(type(dataset)("d", dataset.modalities, dataset.labels, (*dataset.cases, shifted))),
        environment=Environment(versions={"numpy": "2"}, workers=2, registers={"mv": ("cases",)}),
        identity=Identity(seed=3, protocol={"folds": 2}, metrics={}, data={"p00L": (None, "x")}),
    )


def test_a_fold_on_which_methods_were_trained_twice_is_one_of_nnunet(described: Description, tmp_path: Path) -> None:
    once = described.folds[0]
    trained_again = replace(described, folds=(once, replace(once, index=1, training=1)))
    write_description(RunFolder(tmp_path / "run"), trained_again)
    assert read_folds(tmp_path / "run" / "splits_final.json", ("p00L", "p01L")) == [(("p01L",), ("p00L",))]


def test_what_was_written_is_read(described: Description, tmp_path: Path) -> None:
    write_description(RunFolder(tmp_path / "run"), described)
    assert read_description(RunFolder(tmp_path / "run")) == described


def test_a_case_is_read_again_as_the_run_read_it(described: Description, tmp_path: Path) -> None:
    dataset = open_dataset(tmp_path / "data")
    shifted = dataset.cases[0].shifted(Shift("noise:2"), dataset.modalities)
    again = described.data.case(shifted.name, tmp_path)
    assert (again.read_target().images == shifted.read_target().images).all()
    assert (again.read_target().images != dataset.cases[0].read_target().images).any()
    assert (again.read_reference()[0] == dataset.cases[0].read_reference()[0]).all()


def test_every_damaged_file_is_named_and_what_is_not_there_says_nothing(tmp_path: Path) -> None:
    assert read_description(RunFolder(tmp_path)) == Description()
    (tmp_path / "cases.json").write_text("{")
    (tmp_path / "identity.json").write_text(json.dumps({"seed": "many"}))
    with pytest.raises(InputError) as error:
        read_description(RunFolder(tmp_path))
    assert [Path(text.split(":")[0]).name for text in error.value.problems] == ["cases.json", "identity.json"]
    assert "seed" in error.value.problems[1]


def test_what_a_later_build_says_is_passed_over(tmp_path: Path) -> None:
    (tmp_path / "environment.json").write_text(json.dumps({"device": "cuda", "weather": "fine"}))
    assert read_description(RunFolder(tmp_path)).environment == Environment(device="cuda")


def test_a_run_folder_is_called_as_before() -> None:
    """The default name of a run's folder has this digest: another, and the same command would begin anew."""
    identity = Identity(seed=0, protocol={"folds": 4}, registration={"use": "greedy"}, data={"a": ("x", "y")})
    assert identity.digest == "814e64a4131fd2534c3337c29cbe6661"


def test_where_the_file_of_a_registration_or_method_is_makes_no_other_run(tmp_path: Path) -> None:
    here, there, other = ({"use": use, "margin_mm": 2} for use in ("/here/my.py:A", "/there/my.py:A", "/here/my.py:B"))
    assert same_settings(here, there)
    assert not same_settings(here, other)
    assert Identity(registration=here).digest == Identity(registration=there).digest
    (tmp_path / "identity.json").write_text(json.dumps({"registration": here}))  # of an earlier build
    identity = read_identity(RunFolder(tmp_path))
    assert not identity.differences(Identity(registration=there))
    assert identity.differences(Identity(registration=other))


def test_a_version_of_the_registration_counts_where_both_say_one() -> None:
    old, one, two = (Identity(seed=0, registration_version=version) for version in (None, "greedy 1", "greedy 2"))
    assert old.digest == one.digest == two.digest
    assert not old.differences(one)
    assert not one.differences(old)
    assert one.differences(two) == {"registration_version": {"": ("greedy 1", "greedy 2")}}


@pytest.mark.parametrize("study", sorted(path.parent.name for path in (ROOT / "reports").glob("*/cases.json")))
def test_folders_of_earlier_builds_are_read(study: str) -> None:
    folder = RunFolder(ROOT / "reports" / study)
    found = read_description(folder)
    assert found.identity.model_dump(mode="json", exclude_none=True).items() >= (
        json.loads(folder.identity_file.read_text()).items()
    )
    assert found.data.cases.keys() == json.loads(folder.cases_file.read_text())["cases"].keys()
    assert found.folds
    assert found.environment.versions
