"""What a dataset does not say of its people, or says in a column of another name, is not taken in silence."""

import shutil
from pathlib import Path

import pytest

from builders import write_dataset
from dlfbench.datasets.check import check_dataset
from dlfbench.datasets.decathlon import read_decathlon
from dlfbench.datasets.people import people_warnings
from dlfbench.datasets.shifts import Shift
from dlfbench.engine.work import Options, prepare
from dlfbench.study.tables import make_study


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return write_dataset(tmp_path / "data", people=3)


def change(data: Path, old: str, new: str) -> None:
    table = data / "cases.tsv"
    assert old in table.read_text()
    table.write_text(table.read_text().replace(old, new))


@pytest.mark.parametrize(
    "column",
    ["Person", "persn", "subject", "SubjectID", "src_subject_id", "patient no.", "participant_id", "RID", "ID"],
)
def test_a_column_that_seems_to_name_people_is_told(column: str, data: Path, caplog: pytest.LogCaptureFixture) -> None:
    change(data, "\tperson\t", f"\t{column}\t")
    check_dataset(read_decathlon(data))
    assert f"column {column!r} seems to say whose a case is (6 cases have 3 values)" in caplog.text


@pytest.mark.parametrize("column", ["person", "session", "site", "patient_age", "season", "rating", "video"])
def test_other_columns_are_none_of_people(column: str, data: Path) -> None:
    change(data, "\tperson\t", f"\t{column}\t")
    assert people_warnings(read_decathlon(data)) == []


def test_a_column_that_tells_every_case_from_every_other_changes_nothing(tmp_path: Path) -> None:
    data = write_dataset(tmp_path / "one", people=3, sides="L")
    change(data, "\tperson\t", "\tsubject\t")
    assert people_warnings(read_decathlon(data)) == []


def test_blank_cells_beside_filled_ones_are_told(data: Path) -> None:
    change(data, "person01", "")
    dataset = read_decathlon(data)
    (warning,) = people_warnings(dataset)
    assert "column 'person' is blank in 2 of 6 cases, such as p01L, p01R" in warning
    assert dataset.in_words == "6 cases of 4 people (of 2 cases not said; each counts as a person)"


def test_cases_and_people_are_counted_together(data: Path, tmp_path: Path) -> None:
    dataset = read_decathlon(data)
    copy = dataset.cases[0].shifted(Shift("noise:2"), dataset.modalities)
    assert type(dataset)("d", dataset.modalities, dataset.labels, (*dataset.cases, copy)).in_words == (
        "6 cases of 3 people"
    )
    (data / "cases.tsv").unlink()
    assert read_decathlon(data).in_words == "6 cases (people not said; each case counts as a person)"


@pytest.fixture
def twins(data: Path) -> Path:
    """Of two people, one image; and one person has one image twice."""
    for copy, original in (("p01L", "p00L"), ("p02R", "p02L")):
        shutil.copy(data / f"imagesTr/{original}_0000.nii.gz", data / f"imagesTr/{copy}_0000.nii.gz")
    return data


TWINS = "cases p00L, p01L have the same image, and are taken to be of different people (person00, person01)"


def test_one_image_of_two_people_is_told_by_the_check(twins: Path, dlfbench) -> None:
    code, printed = dlfbench("data", "check", twins)
    assert code == 0
    assert printed.count("have the same image") == 1
    assert TWINS in printed
    assert "tiny: 6 cases of 3 people, can be used." in printed


def test_one_image_of_two_people_is_told_by_a_run(twins: Path, caplog: pytest.LogCaptureFixture) -> None:
    table = twins / "cases.tsv"
    table.write_text(
        table.read_text().replace("person02\tL\ta", "person02\tL\tb").replace("person02\tR\ta", "person02\tR\tb")
    )
    study = make_study(
        {
            "data": {"dataset": str(twins)},
            "protocol": {"train": "group=a", "test": {"b": "group=b"}},
            "methods": {"mv": {}},
        }
    )
    prepare(study, Options(out=twins.parent / "run"))
    assert caplog.text.count("have the same image") == 1
    assert TWINS in caplog.text


def test_a_run_says_how_many_people_it_has(data: Path, dlfbench, caplog: pytest.LogCaptureFixture) -> None:
    change(data, "person01", "")
    code, printed = dlfbench("run", "--data", data, "--folds", "2", "--methods", "mv", "--dry-run")
    assert code == 0
    assert "6 cases of 4 people (of 2 cases not said; each counts as a person), 2 folds" in printed
    assert "column 'person' is blank in 2 of 6 cases" in caplog.text
