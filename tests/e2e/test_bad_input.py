"""Every kind of bad input: exit code 2, one clear line, nothing half-written."""

import gzip
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from builders import write_dataset
from dlfbench.images import Grid, write_image

Cli = Callable[..., tuple[int, str]]


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_dataset(tmp_path_factory.mktemp("good") / "data", groups=("a", "b"))


@pytest.fixture
def data(good: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(good, tmp_path / "data"))


def label(data: Path) -> Path:
    return data / "labelsTr" / "p01L.nii.gz"


def image(data: Path) -> Path:
    return data / "imagesTr" / "p01L_0000.nii.gz"


def edit(path: Path, change: Callable[[np.ndarray], np.ndarray], shift_mm: float = 0) -> None:
    file = nib.load(path)
    affine = np.array(file.affine)
    affine[0, 3] += shift_mm
    nib.save(nib.Nifti1Image(change(np.asarray(file.dataobj)), affine), path)


def put(array: np.ndarray, value: float) -> np.ndarray:
    array = array.copy()
    array[0, 0, 0] = value
    return array


def rewrite_json(data: Path, **changes: object) -> None:
    path = data / "dataset.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


DAMAGE: dict[str, tuple[Callable[[Path], object], list[str]]] = {
    "label file missing": (lambda d: label(d).unlink(), ["labelsTr/p01L.nii.gz", "p01L"]),
    "image missing": (lambda d: image(d).unlink(), ["imagesTr/p01L", "missing"]),
    "grids differ": (lambda d: edit(label(d), np.asarray, shift_mm=3), ["p01L", "origin (3, 0, 0)", "resample"]),
    "shapes differ": (lambda d: edit(label(d), lambda a: a[1:]), ["p01L", "15x18x14", "16x18x14"]),
    "undeclared label": (lambda d: edit(label(d), lambda a: put(a, 7)), ["p01L", "[0, 1, 2]", "found [7]"]),
    "fractional label": (
        lambda d: edit(label(d), lambda a: put(a.astype(np.float32), 0.5)),
        ["p01L", "integers", "0.5"],
    ),
    "NaN": (lambda d: edit(image(d), lambda a: put(a, np.nan)), ["p01L", "finite", "1 NaN"]),
    "infinite": (lambda d: edit(image(d), lambda a: put(a, np.inf)), ["p01L", "finite"]),
    "4D": (lambda d: edit(image(d), lambda a: np.stack([a, a], 3)), ["p01L", "3D", "4D"]),
    "truncated gzip": (
        lambda d: image(d).write_bytes(image(d).read_bytes()[:900]),
        ["p01L_0000.nii.gz", "cannot be read"],
    ),
    "no NIfTI": (lambda d: image(d).write_bytes(gzip.compress(b"hello")), ["p01L_0000.nii.gz", "cannot be read"]),
    "constant image": (lambda d: edit(image(d), np.ones_like), ["p01L", "1 everywhere"]),
    "thin": (lambda d: [edit(path, lambda a: a[:3]) for path in (image(d), label(d))], ["p01L", "4 voxels or more"]),
    "duplicate case": (
        lambda d: rewrite_json(d, training=[{"label": "./labelsTr/p01L.nii.gz"}] * 2),
        ["p01L", "twice"],
    ),
    "tsv names unknown cases": (
        lambda d: (d / "cases.tsv").write_text("case\tgroup\nghost\ta\n"),
        ["cases.tsv", "ghost"],
    ),
    "tsv without case": (lambda d: (d / "cases.tsv").write_text("name\tgroup\nx\ta\n"), ["cases.tsv", "column `case`"]),
    "no dataset.json": (lambda d: (d / "dataset.json").unlink(), ["dataset.json", "not found"]),
    "broken dataset.json": (lambda d: (d / "dataset.json").write_text("{"), ["dataset.json", "JSON"]),
    "no cases": (lambda d: [shutil.rmtree(d / part) for part in ("labelsTr", "imagesTr")], ["imagesTr", "found none"]),
}


@pytest.mark.parametrize("kind", DAMAGE)
def test_damaged_data_are_named_before_anything_runs(kind: str, data: Path, tmp_path: Path, dlfbench: Cli) -> None:
    damage, said = DAMAGE[kind]
    damage(data)
    code, text = dlfbench("run", "--data", data, "--folds", "2", "--out", tmp_path / "run")
    assert code == 2
    assert all(part in text for part in said), text
    assert not (tmp_path / "run").exists()


def test_every_problem_is_reported_at_once(data: Path, dlfbench: Cli) -> None:
    edit(label(data), lambda a: put(a, 7))
    edit(data / "imagesTr" / "p02R_0000.nii.gz", lambda a: put(a, np.nan))
    code, text = dlfbench("data", "check", data)
    assert code == 2
    assert text.count("error:") == 2


ARGUMENTS = {
    "unknown method": (["--methods", "mv,jlff"], ["unknown method 'jlff'", "mv", "did you mean 'jlf'"]),
    "unknown parameter": (["--methods", "jlf[betta=2]"], ["betta", "beta=2.0", "did you mean 'beta'"]),
    "wrong parameter type": (["--methods", "jlf[beta=high]"], ["'beta'", "number", "'high'"]),
    "refused parameter value": (["--methods", "jlf[alpha=-1]"], ["alpha", "more than 0", "-1"]),
    "brackets": (["--methods", "jlf[beta"], ["cannot read"]),
    "no method": (["--methods", ","], ["at least one method"]),
    "name of a bound": (["--methods", "oracle10=mv"], ["'oracle10' is kept for bounds"]),
    "name of the mean": (["--methods", "candidate=mv"], ["'candidate' is kept for bounds"]),
    "name of the folder above": (["--methods", "..=mv"], ["'..' cannot be a folder's"]),
    "name of 300 bytes": (["--methods", f"{'é' * 150}=mv"], ["too long for a name"]),
    "repeats without end": (["--folds", "2", "--repeats", "100000"], ["repeats", "1000", "100000"]),
    "test set without a name": (["--test-on", " :group=b"], ["test set ' '"]),
    "fewer people than folds": (["--folds", "9"], ["at most 6 folds", "found 9"]),
    "overlapping sets": (["--train-on", "group=a", "--test-on", "side=L"], ["3 people", "training set", "--hold-out"]),
    "no atlas after matching": (
        ["--match", "group", "--train-on", "group=a", "--test-on", "group=b"],
        ["no atlas is left", "group=b"],
    ),
    "unknown column": (["--match", "sides", "--folds", "2"], ["'sides'", "did you mean 'side'"]),
    "empty group": (["--train-on", "group=z", "--test-on", "group=b"], ["selects no case", "a, b"]),
    "bad selector": (["--train-on", "group"], ["COLUMN=VALUE", "'group'"]),
    "unknown dataset": (["--data", "phantomm"], ["unknown dataset 'phantomm'", "did you mean 'phantom'"]),
    "missing folder": (["--data", "no/such/folder"], ["no/such/folder", "not found"]),
}


@pytest.mark.parametrize("kind", ARGUMENTS)
def test_wrong_arguments_say_what_is_known(kind: str, good: Path, tmp_path: Path, dlfbench: Cli) -> None:
    arguments, said = ARGUMENTS[kind]
    data = [] if "--data" in arguments else ["--data", good]
    code, text = dlfbench("run", *data, *arguments, "--out", tmp_path / "run")
    assert code == 2
    assert all(part in text for part in said), text
    assert not (tmp_path / "run").exists()


STUDIES = {
    "unknown key": ("[protocol]\nfoldz = 3\n", ["line 2", "protocol.foldz", "did you mean 'folds'"]),
    "wrong type": ('seed = 1\n[protocol]\nmatch = ["side"]\nfolds = "many"\n', ["line 4", "protocol.folds", "'many'"]),
    "value out of range": ("[protocol]\nhold_out = 1.5\n", ["line 2", "hold_out", "1.5"]),
    "two ways to split": ("[protocol]\nfolds = 3\nhold_out = 0.5\n", ["folds or hold_out, not both"]),
    "not TOML": ("[protocol\n", ["not a valid TOML"]),
    "unknown setting of the registration": ('[registration]\nmetrik = "NCC"\n', ["metrik", "did you mean 'metric'"]),
    "unknown registration": ('[registration]\nuse = "gredy"\n', ["gredy", "did you mean 'greedy'"]),
    "parameter in the study": ('[methods.j]\nuse = "jlf"\nbeta = "x"\n', ["'j'", "'beta'"]),
}


@pytest.mark.parametrize("kind", STUDIES)
def test_wrong_study_files_say_key_and_line(kind: str, good: Path, tmp_path: Path, dlfbench: Cli) -> None:
    text, said = STUDIES[kind]
    (tmp_path / "s.toml").write_text(text, encoding="utf-8-sig")  # as some editors write it
    code, printed = dlfbench("run", tmp_path / "s.toml", "--data", good, "--out", tmp_path / "run")
    assert code == 2
    assert all(part in printed for part in said), printed
    assert not (tmp_path / "run").exists()


def test_unknown_study_lists_the_known(dlfbench: Cli) -> None:
    code, text = dlfbench("run", "phantom-quik")
    assert code == 2
    assert "did you mean 'phantom-quick'" in text


def test_4d_file_of_several_modalities_is_refused_with_advice(tmp_path: Path, dlfbench: Cli) -> None:
    data = write_dataset(tmp_path / "data", people=2, modalities=2)
    for case in ("p00L", "p00R", "p01L", "p01R"):
        for channel in (0, 1):
            (data / "imagesTr" / f"{case}_{channel:04d}.nii.gz").unlink()
        nib.save(nib.Nifti1Image(np.zeros((4, 4, 4, 2)), np.eye(4)), data / "imagesTr" / f"{case}.nii.gz")
    code, text = dlfbench("data", "check", data)
    assert code == 2
    assert "store each modality" in text


def test_report_of_no_run_says_so(tmp_path: Path, dlfbench: Cli) -> None:
    code, text = dlfbench("report", tmp_path)
    assert code == 2
    assert "results.parquet" in text


def test_a_grid_is_described_in_errors() -> None:
    assert Grid.of((2, 3, 4), np.diag([1, 1, 2, 1])).describe() == "2x3x4 voxels of 1x1x2 mm, origin (0, 0, 0)"


def test_failed_writing_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(nib, "save", full)
    with pytest.raises(OSError, match="No space left"):
        write_image(tmp_path / "x.nii.gz", np.zeros((2, 2, 2)), Grid.of((2, 2, 2), np.eye(4)))
    assert list(tmp_path.iterdir()) == []
