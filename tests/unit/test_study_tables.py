"""What a study file may hold: numbers that are numbers, and data that lie where the file says."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from builders import write_dataset
from dlfbench.cli.study_flags import StudyFlags, study_from_flags
from dlfbench.datasets.readers import absolute_source
from dlfbench.errors import InputError
from dlfbench.study.tables import make_study, read_study

Cli = Callable[..., tuple[int, str]]


@pytest.mark.parametrize(
    ("table", "key", "value"),
    [
        *(("protocol", key, True) for key in ("folds", "repeats", "seeds", "atlases", "train_cases", "cases", "draws")),
        ("protocol", "atlases", [True, 5]),
        ("protocol", "atlases", "3"),
        ("protocol", "hold_out", True),
        ("metrics", "surface_dice_tolerance_mm", True),
        ("budget", "time_limit_s", True),
        ("analysis", "margins", {"dice": True}),
    ],
)
def test_what_is_no_number_is_refused_with_its_key(table: str, key: str, value: Any) -> None:
    tables: dict[str, Any] = {"analysis": {"claims": ["a > b"]}, table: {"claims": ["a > b"], key: value}}
    if table != "analysis":
        del tables[table]["claims"]
    with pytest.raises(InputError, match=rf"{table}\.(fewer_)?{key}.*(valid|number|integer)"):
        make_study(tables)


def test_whole_numbers_are_numbers() -> None:
    study = make_study({"metrics": {"surface_dice_tolerance_mm": 2}, "protocol": {"atlases": [5, 10]}})
    assert study.metrics.surface_dice_tolerance_mm == 2
    assert (study.protocol.atlases, study.protocol.fewer_atlases) == (10, (5,))


def study_in(folder: Path, dataset: str) -> Path:
    folder.mkdir()
    path = folder / "study.toml"
    path.write_text(f'[data]\ndataset = "{dataset}"\n[protocol]\nfolds = 2\n[methods.mv]\n')
    return path


def test_data_of_a_study_file_are_beside_it_and_nowhere_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, dlfbench: Cli
) -> None:
    path = study_in(tmp_path / "study", "mydata")
    data = write_dataset(tmp_path / "here" / "mydata", people=2, sides="L")
    monkeypatch.chdir(data.parent)
    assert read_study(path).data.dataset == str(tmp_path / "study" / "mydata")
    code, printed = dlfbench("run", path, "--dry-run")
    assert code == 2
    assert f"{tmp_path / 'study' / 'mydata'}: folder not found" in printed
    code, printed = dlfbench("run", path, "--dry-run", "--data", "mydata")  # as the flag says, from here
    assert code == 0, printed


def test_files_in_the_options_of_a_reader_are_beside_the_study_too(tmp_path: Path) -> None:
    kind = "folder[images='a:i/{case}.nii,b:j/{case}.nii',labels=l/{case}.nii,names=%s]"
    here = tmp_path / "study"
    path = study_in(here, f"{kind}:mydata" % "my.tsv")
    assert read_study(path).data.dataset == f"{kind}:{here}/mydata" % f"{here}/my.tsv"
    assert absolute_source("freesurfer[lut='a,b.txt']:s", here) == f"freesurfer[lut='{here}/a,b.txt']:{here}/s"
    assert absolute_source("ashs[xval=/x,manifest=m]:s", here) == f"ashs[xval=/x,manifest={here}/m]:{here}/s"


def test_names_of_known_data_stay_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "phantom").mkdir()
    monkeypatch.chdir(tmp_path)
    assert read_study(study_in(tmp_path / "study", "phantom")).data.dataset == "phantom"
    assert read_study(study_in(tmp_path / "other", "phantm")).data.dataset == "phantm"  # which is then asked about


def test_claims_of_the_study_of_a_run_may_be_about_methods_that_were_left_out(tmp_path: Path) -> None:
    path = study_in(tmp_path / "run", "phantom")
    path.write_text(path.read_text() + '[analysis]\nclaims = ["mv > jlf"]\n')
    with pytest.raises(InputError, match="jlf"):
        study_from_flags(str(path), StudyFlags())
    (path.parent / "identity.json").write_text("{}")
    assert set(study_from_flags(str(path), StudyFlags()).methods) == {"mv"}
