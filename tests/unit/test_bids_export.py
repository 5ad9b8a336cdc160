"""Segmentations go out as BIDS derivatives, and come in again as they were."""

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from builders import write_dataset
from dlfbench.datasets.decathlon import read_decathlon
from dlfbench.datasets.known import open_dataset
from dlfbench.errors import InputError
from dlfbench.images import read_labels
from dlfbench.records.bids import export_bids
from dlfbench.records.predictions import against_references, score_predictions
from layouts import write_bids

Cli = Callable[..., tuple[int, str]]

# BIDS 1.11, rules.files.deriv.imaging.anat_discrete_segmentation, of the entities that are written here
NAME = re.compile(
    r"(sub-[0-9a-zA-Z]+)/(?:(ses-[0-9a-zA-Z]+)/)?anat/\1(?:_\2)?(_acq-[0-9a-zA-Z]+)?_desc-[0-9a-zA-Z]+_dseg\.(nii\.gz|json)"
)


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A run that segmented every case with its own reference."""
    folder = write_dataset(tmp_path / "data", people=2)
    scoring = against_references("my-fusion[beta=2]", folder / "labelsTr", folder / "labelsTr")
    return score_predictions(scoring, tmp_path / "run")


def test_what_goes_out_comes_in_again(run: Path, tmp_path: Path, dlfbench: Cli) -> None:
    code, text = dlfbench("export-bids", run, "--out", tmp_path / "out")
    assert code == 0, text
    assert "my-fusion[beta=2]: 4 label maps" in text
    made = tmp_path / "out" / "my-fusion-beta-2"
    files = sorted(path.relative_to(made).as_posix() for path in made.rglob("sub-*") if path.is_file())
    assert files[:2] == [
        f"sub-person00/anat/sub-person00_acq-L_desc-myfusionbeta2_dseg.{end}" for end in ("json", "nii.gz")
    ]
    assert len(files) == 8
    assert not [file for file in files if not NAME.fullmatch(file)]
    about = json.loads((made / "dataset_description.json").read_text())
    assert (about["DatasetType"], about["GeneratedBy"][0]["Name"]) == ("derivative", "dlfbench")
    data = read_decathlon(tmp_path / "data")
    raw = tmp_path / "raw"
    for case in data.cases:
        place = raw / f"sub-{case.person}" / "anat" / f"sub-{case.person}_acq-{case.columns['side']}_T1w.nii.gz"
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(case.images[0], place)
    shutil.copytree(made, raw / "derivatives" / "mine")
    back = open_dataset(f"bids:{raw}")
    assert back.labels == data.labels
    for ours, theirs in zip(data.cases, back.cases, strict=True):
        assert np.array_equal(ours.read_reference()[0], theirs.read_reference()[0])
        assert theirs.columns["acq"] == ours.columns["side"]


def test_names_that_would_be_shared_are_told_apart(run: Path, tmp_path: Path) -> None:
    about = json.loads((run / "cases.json").read_text())
    for case in about["cases"].values():
        case["columns"].pop("side")
    (run / "cases.json").write_text(json.dumps(about))
    export_bids(run, tmp_path / "out")
    names = {path.name for path in (tmp_path / "out").rglob("*.nii.gz")}
    assert "sub-person00_acq-p00L_desc-myfusionbeta2_dseg.nii.gz" in names
    assert len(names) == 4


def described(run: Path, change: Callable[[str, dict[str, Any]], None], *, backwards: bool = False) -> None:
    """Changes what a run says of its cases, and the order in which it says it."""
    about = json.loads((run / "cases.json").read_text())
    for case, said in about["cases"].items():
        change(case, said)
    about["cases"] = dict(sorted(about["cases"].items(), reverse=backwards))
    (run / "cases.json").write_text(json.dumps(about))


@pytest.mark.parametrize("backwards", [False, True])
def test_people_of_one_label_are_numbered(backwards: bool, run: Path, tmp_path: Path) -> None:
    people = {"p00L": "s1_12", "p00R": "s11_2", "p01L": "李", "p01R": "王"}

    def change(case: str, said: dict[str, Any]) -> None:
        said |= {"person": people[case], "columns": {"session": "a-1" if case == "p00L" else "A1"}}

    described(run, change, backwards=backwards)
    assert export_bids(run, tmp_path / "out") == {"my-fusion[beta=2]": 4}
    made = tmp_path / "out" / "my-fusion-beta-2"
    labels = {"p00R": "s112", "p00L": "s112x2", "p01L": "x", "p01R": "xx2"}
    assert {path.name for path in made.iterdir() if path.is_dir()} == {f"sub-{label}" for label in labels.values()}
    sessions = {"p00L": "a1x2"}
    for case, label in labels.items():
        session = sessions.get(case, "A1")
        stem = f"sub-{label}_ses-{session}_desc-myfusionbeta2_dseg"
        place = made / f"sub-{label}" / f"ses-{session}" / "anat" / stem
        reference = tmp_path / "data" / "labelsTr" / f"{case}.nii.gz"
        assert np.array_equal(read_labels(Path(f"{place}.nii.gz"))[0], read_labels(reference)[0])
        assert json.loads(Path(f"{place}.json").read_text())["Description"] == f"my-fusion[beta=2] of case {case}"


def test_no_segmentation_overwrites_another(tmp_path: Path) -> None:
    folder, maps = write_dataset(tmp_path / "data", people=1), tmp_path / "maps"
    maps.mkdir()
    for old, new in (("p00L", "s1_12"), ("p00R", "s11_2")):
        shutil.copyfile(folder / "labelsTr" / f"{old}.nii.gz", maps / f"{new}.nii.gz")
    run = score_predictions(against_references("mv", maps, maps), tmp_path / "run")
    assert export_bids(run, tmp_path / "out") == {"mv": 2}
    assert len(list((tmp_path / "out").rglob("*.nii.gz"))) == 2


def test_a_case_that_is_called_as_anothers_side_is_told_from_it(run: Path, tmp_path: Path) -> None:
    sides = {"p01L": "p00L", "p01R": "R"}
    described(run, lambda case, said: said.update(person="a", columns={"side": sides.get(case, "")}))
    export_bids(run, tmp_path / "out")
    assert len(list((tmp_path / "out").rglob("*.nii.gz"))) == 4


def test_a_folder_that_is_taken_is_left_alone(run: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="give another --out"):
        export_bids(run, tmp_path / "data")
    with pytest.raises(InputError):
        export_bids(tmp_path / "data", tmp_path / "new")


def test_bids_of_the_tests_has_names_that_bids_allows(tmp_path: Path) -> None:
    root = write_bids(tmp_path / "bids", read_decathlon(write_dataset(tmp_path / "data", people=1, modalities=2)))
    names = [p.relative_to(root / "derivatives/manual").as_posix() for p in root.rglob("*_dseg.nii.gz")]
    assert len(names) == 2
    assert not [name for name in names if not NAME.fullmatch(name)]
