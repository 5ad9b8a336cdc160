import hashlib
import shutil
import tarfile
from pathlib import Path

import numpy as np
import pytest

from builders import write_dataset
from dlfbench.datasets.check import check_dataset, describe
from dlfbench.datasets.decathlon import read_decathlon
from dlfbench.datasets.digests import digest_file
from dlfbench.datasets.download import get_msd
from dlfbench.datasets.known import known_datasets, open_dataset
from dlfbench.datasets.phantom import Group, make_phantom
from dlfbench.errors import InputError


@pytest.mark.parametrize(
    ("name", "cases", "modalities", "labels"),
    [
        ("Task04_Hippocampus", 200, 1, ((1, "Anterior"), (2, "Posterior"))),
        ("MICCAI2012_MTL", 70, 1, ((1, "hippocampus"), (2, "amygdala"), (3, "entorhinal"), (4, "parahippocampal"))),
    ],
)
def test_real_folders_open(
    name: str, cases: int, modalities: int, labels: tuple[object, ...], shared_data: Path
) -> None:
    dataset = read_decathlon(shared_data / name)
    assert (len(dataset.cases), len(dataset.modalities), dataset.labels.foreground) == (cases, modalities, labels)


def test_several_modalities_and_columns_are_read(shared_data: Path) -> None:
    dataset = read_decathlon(shared_data / "ASHS_T1T2_tiny")
    case = dataset.case("sub01_L")
    assert case.read_target().images.shape == (2, 32, 12, 32)  # nearest RAS: thick slices along y
    assert (case.person, case.columns["side"]) == ("sub01", "L")
    assert case.read_target().grid.spacing_mm[1] == pytest.approx(4, abs=0.1)


def test_real_folders_pass_the_check(shared_data: Path) -> None:
    check_dataset(read_decathlon(shared_data / "Task04_Hippocampus"))


def test_the_target_of_a_case_knows_no_reference(tmp_path: Path) -> None:
    case = read_decathlon(write_dataset(tmp_path / "d", people=2)).cases[0]
    assert not any(
        "label" in str(value) for value in vars(case.read_target()).values() if not isinstance(value, np.ndarray)
    )
    assert case.blind().reference is None


def test_description_counts_people_and_columns(tmp_path: Path) -> None:
    rows = dict(describe(read_decathlon(write_dataset(tmp_path / "d", people=3, groups=("a", "b")))).rows())
    assert (rows["cases"], rows["people"], rows["column group"]) == ("6", "3", "a (4), b (2)")
    assert rows["spacing, mm"] == "1x1.2x1.5"


def test_people_whom_nobody_names_are_not_counted(tmp_path: Path) -> None:
    data = write_dataset(tmp_path / "d", people=2)
    (data / "cases.tsv").write_text("case\tgroup\np00L\ta\n")
    assert dict(describe(read_decathlon(data)).rows())["people"] == "not said; each case counts as a person"
    (data / "cases.tsv").write_text("case\tperson\np00L\tann\np00R\tann\n")
    said = dict(describe(read_decathlon(data)).rows())["people"]
    assert said == "3; of 2 cases not said, each counts as a person"


def test_phantom_bytes_depend_on_the_seed_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dlfbench.datasets.phantom.GROUPS", {"lesion": Group(1, lesions=True)})
    made = [make_phantom(tmp_path / name, seed=seed) for name, seed in (("one", 0), ("again", 0), ("other", 1))]
    digests = [[digest_file(p) for case in d.cases for p in (*case.images, Path(str(case.reference)))] for d in made]
    assert digests[0] == digests[1]
    assert not set(digests[0]) & set(digests[2])


def test_phantom_has_pairs_groups_and_every_label_in_every_case(phantom_folder: Path) -> None:
    dataset = read_decathlon(phantom_folder)
    check_dataset(dataset)
    assert {case.columns["group"] for case in dataset.cases} == {"standard", "highres", "lesion"}
    assert len({case.person for case in dataset.cases}) == len(dataset.cases) / 2
    for case in dataset.cases:
        assert set(np.unique(case.read_reference()[0])) == {0, 1, 2, 3}, case.name


def test_phantom_borders_are_hidden_from_one_modality_each(phantom_folder: Path) -> None:
    case = read_decathlon(phantom_folder).case("phantom01_L")
    (t1, t2), labels = case.read_target().images, case.read_reference()[0]
    head, body, cortex = ([float(np.median(image[labels == label])) for image in (t1, t2)] for label in (1, 2, 3))
    noise = 5.0
    assert abs(head[0] - body[0]) < noise < abs(head[1] - body[1])  # seen in t2 alone
    assert abs(body[1] - cortex[1]) < noise < abs(body[0] - cortex[0])  # seen in t1 alone


def test_datasets_have_names() -> None:
    assert {"phantom", "msd-hippocampus"} <= {dataset.name for dataset in known_datasets()}


def test_unknown_names_suggest_the_nearest() -> None:
    with pytest.raises(InputError, match="did you mean 'phantom'"):
        open_dataset("phantm")


def tar_of(folder: Path, tmp_path: Path) -> Path:
    with tarfile.open(tmp_path / "t.tar", "w") as tar:
        tar.add(folder, "Task04_Hippocampus")
    return tmp_path / "t.tar"


def test_a_local_tar_is_checked_and_unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    datasets = pytest.importorskip("monai.apps.datasets")
    tar = tar_of(write_dataset(tmp_path / "d", people=2), tmp_path)
    md5 = hashlib.md5(tar.read_bytes()).hexdigest()
    monkeypatch.setitem(datasets.DecathlonDataset.md5, "Task04_Hippocampus", md5)
    assert len(get_msd("msd-hippocampus", folder=tmp_path / "data", source=tar).cases) == 4
    monkeypatch.setenv("DLFBENCH_DATA", str(tmp_path / "data"))
    assert len(open_dataset("msd-hippocampus").cases) == 4


def test_a_wrong_checksum_is_refused_and_leaves_nothing(tmp_path: Path) -> None:
    tar = tar_of(write_dataset(tmp_path / "d", people=2), tmp_path)
    with pytest.raises(InputError, match="expected MD5 9d24dba78a72977dbd1d2e110310f31b"):
        get_msd("msd-hippocampus", folder=tmp_path / "data", source=tar)
    assert list((tmp_path / "data").iterdir()) == []


def test_a_failed_download_says_how_else_and_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    utils = pytest.importorskip("monai.apps.utils")

    def offline(*_: object, **__: object) -> None:
        raise OSError("no route to host")

    monkeypatch.setattr(utils, "download_url", offline)
    with pytest.raises(InputError, match="no route to host.*--source"):
        get_msd("msd-hippocampus", folder=tmp_path / "data")
    assert list((tmp_path / "data").iterdir()) == []


def test_a_local_folder_is_accepted(tmp_path: Path) -> None:
    source = write_dataset(tmp_path / "d", people=2)
    assert len(get_msd("msd-hippocampus", folder=tmp_path / "data", source=source).cases) == 4
    shutil.rmtree(source)
    assert len(get_msd("msd-hippocampus", folder=tmp_path / "data").cases) == 4
