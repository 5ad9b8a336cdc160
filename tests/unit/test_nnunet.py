"""nnU-Net as a method, as far as that needs no nnU-Net: its dataset, names, parameters, and what is said without it."""

import json
import pickle
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest

from builders import write_dataset, write_nnunet_model
from dlfbench import plugins
from dlfbench.datasets.cases import Case as DiskCase
from dlfbench.errors import InputError
from dlfbench.images import as_read, as_stored, read_labels
from dlfbench.segmenters.contract.scene import Scene, write_training
from dlfbench.segmenters.interface import Training
from dlfbench.segmenters.registry import make_method
from dlfbench_baselines.nnunet.correspondence import Correspondence
from dlfbench_baselines.nnunet.dataset import Workplace
from dlfbench_baselines.nnunet.dataset import write_dataset as write_nnunet_dataset
from dlfbench_baselines.nnunet.pretrained import folds_of, match_model, sees_stored_voxels
from dlfbench_baselines.nnunet.segmenter import NnUNet
from dlfbench_baselines.nnunet.settings import Budget

Cli = Callable[..., tuple[int, str]]


@pytest.fixture
def training(tmp_path: Path) -> Training:
    """Four cases of two modalities with labels 0, 1, 4; a fifth lies beside them."""
    return replace(write_training(tmp_path / "data", Scene(modalities=2)), label_names=("nothing", "front", "back"))


def test_the_private_dataset_holds_the_training_cases_and_nothing_else(training: Training, tmp_path: Path) -> None:
    folder = tmp_path / "raw"
    write_nnunet_dataset(training, folder)
    header = json.loads((folder / "dataset.json").read_text())
    names = [case.name for case in training.cases]
    assert list(header["dataset"]) == names
    assert header["labels"] == {"background": 0, "front": 1, "back": 2}
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert len(files) == 1 + 3 * len(names)
    assert all(path.is_symlink() for path in (folder / "imagesTr").iterdir())


def test_label_values_become_consecutive(training: Training, tmp_path: Path) -> None:
    write_nnunet_dataset(training, tmp_path / "raw")
    for case in training.cases:
        labels, grid = read_labels(tmp_path / "raw" / "labelsTr" / f"{case.name}.nii.gz")
        assert np.array_equal(labels, np.searchsorted((0, 1, 4), case.read_reference()))
        assert grid.matches(case.read_target().grid)


def test_consecutive_label_maps_are_linked(training: Training, tmp_path: Path) -> None:
    (tmp_path / "raw").mkdir()
    write_nnunet_dataset(replace(training, label_values=(0, 1, 2)), tmp_path / "raw")
    assert all(path.is_symlink() for path in (tmp_path / "raw" / "labelsTr").iterdir())


def test_label_maps_of_rounded_floats_are_written_anew(training: Training, tmp_path: Path) -> None:
    case = training.cases[0]
    file = nib.load(case.reference_path)
    expected = np.asarray(file.dataobj).copy()
    nib.save(nib.Nifti1Image(expected * 0.99999, file.affine), case.reference_path)
    write_nnunet_dataset(replace(training, label_values=(0, 1, 2)), tmp_path / "raw")
    written = np.asarray(nib.load(tmp_path / "raw" / "labelsTr" / f"{case.name}.nii.gz").dataobj)
    assert np.array_equal(written, np.searchsorted((0, 1, 2), expected))


def test_files_in_which_nnunet_would_see_another_image_are_written_anew(training: Training, tmp_path: Path) -> None:
    case, order = training.cases[0], np.array([[1, -1], [2, -1], [0, 1]])
    paths = (*case.image_paths, case.reference_path)
    expected = [np.asarray(nib.load(path).dataobj).copy() for path in paths]
    for path, voxels in zip(paths, expected, strict=True):
        turned = nib.Nifti1Image(voxels, np.asarray(Scene().grid.affine)).as_reoriented(order)
        turned.header["pixdim"][1:4] = (3.0, 4.0, 5.0)
        turned.header["qform_code"] = 0
        nib.save(turned, path)
    write_nnunet_dataset(replace(training, label_values=(0, 1, 2)), tmp_path / "raw")
    written = json.loads((tmp_path / "raw" / "dataset.json").read_text())["dataset"][case.name]
    images = [nib.load(tmp_path / "raw" / path) for path in written["images"]]
    assert not any((tmp_path / "raw" / path).is_symlink() for path in (*written["images"], written["label"]))
    for found, wanted in zip(images, expected, strict=False):
        assert nib.aff2axcodes(found.affine) == ("R", "A", "S")
        assert np.allclose(found.get_fdata(), wanted)
        assert found.header.get_zooms() == pytest.approx(Scene().spacing_mm)
    label = nib.load(tmp_path / "raw" / written["label"])
    assert np.array_equal(label.get_fdata(), np.searchsorted((0, 1, 2), expected[-1]))


def test_names_that_mean_something_to_nnunet_are_changed(training: Training, tmp_path: Path) -> None:
    write_nnunet_dataset(replace(training, label_names=("bg", "ignore", "back")), tmp_path / "raw")
    labels = json.loads((tmp_path / "raw" / "dataset.json").read_text())["labels"]
    assert labels == {"background": 0, "ignore (label)": 1, "back": 2}


def test_channels_and_labels_of_a_trained_model_are_found_by_name(training: Training, tmp_path: Path) -> None:
    matched = match_model(write_nnunet_model(tmp_path / "model"), training)
    assert matched == Correspondence(channels=(1, 0), classes=(0, 2, 1))
    matched.save(tmp_path)
    target = training.cases[0].read_target()
    assert np.array_equal(Correspondence.load(tmp_path).images(target), target.images[::-1])
    assert matched.posterior(np.arange(3, dtype=np.float32).reshape(3, 1, 1, 1)).ravel().tolist() == [0, 2, 1]


@pytest.mark.parametrize("directions", ["RAS", "LPS", "PIR", "SAL"])
def test_a_model_of_others_gets_voxels_as_nnunet_s_readers_give_them(directions: str, tmp_path: Path) -> None:
    reader = pytest.importorskip("nnunetv2.imageio.nibabel_reader_writer")
    voxels = np.arange(120, dtype=np.float32).reshape(4, 5, 6)
    image = nib.Nifti1Image(voxels, np.diag([1.0, 1.2, 1.5, 1.0]))
    turned = image.as_reoriented(nib.orientations.axcodes2ornt(directions))
    nib.save(turned, tmp_path / "one.nii.gz")
    theirs, about = reader.NibabelIO().read_images([str(tmp_path / "one.nii.gz")])
    target = DiskCase("one", (tmp_path / "one.nii.gz",), None).read_target()
    ours = as_stored(target.images, target.grid)
    assert np.array_equal(ours.transpose(0, 3, 2, 1), theirs)
    assert target.grid.stored_spacing_mm[::-1] == pytest.approx(tuple(about["spacing"]))
    assert np.array_equal(as_read(ours, target.grid), target.images)


@pytest.mark.parametrize(
    ("plans", "stored"),
    [
        ({"image_reader_writer": "NibabelIO", "dataset_name": "Dataset004_Hippocampus"}, True),
        ({"image_reader_writer": "NibabelIOWithReorient", "dataset_name": "Dataset004_Hippocampus"}, False),
        ({"image_reader_writer": "SimpleITKIO", "dataset_name": "Dataset001_fold"}, False),
    ],
)
def test_who_learned_from_voxels_as_they_are_stored(plans: dict[str, str], stored: bool, tmp_path: Path) -> None:
    assert sees_stored_voxels(write_nnunet_model(tmp_path / "model", plans=plans)) is stored


def test_a_model_of_other_names_is_refused_with_both(training: Training, tmp_path: Path) -> None:
    labels = {"background": 0, "front": 1, "tail": 2}
    model = write_nnunet_model(tmp_path / "model", channel_names={"0": "m0"}, labels=labels)
    with pytest.raises(ValueError, match="does not fit") as refusal:
        match_model(model, training)
    assert "channels: the model's are ['m0'], the dataset's ['m0', 'm1']" in str(refusal.value)
    assert "labels: the model's are ['front', 'tail'], the dataset's ['front', 'back']" in str(refusal.value)


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "regions": ({"labels": {"background": 0, "whole": [1, 2], "core": 2}}, "overlapping labels"),
    "ignore label": ({"labels": {"background": 0, "front": 1, "ignore": 2}}, "ignore label"),
    "reader": (
        {"plans": {"image_reader_writer": "Tiff3DIO"}},
        "read by Tiff3DIO, expected one of SimpleITKIO, NibabelIO, NibabelIOWithReorient",
    ),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_models_that_cannot_be_compared_are_refused_before_anything_runs(kind: str, tmp_path: Path) -> None:
    settings, said = REFUSED[kind]
    model = write_nnunet_model(tmp_path / "model", **settings)
    with pytest.raises(InputError, match=said):
        make_method("nnunet", "nnunet", {"model": str(model)})


def test_a_folder_without_a_model_is_refused_with_what_it_lacks(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no plans.json, no dataset.json, no fold_\*/checkpoint_final.pth; give"):
        make_method("nnunet", "nnunet", {"model": str(tmp_path)})


def test_a_trained_model_counts_by_its_content(tmp_path: Path) -> None:
    model = write_nnunet_model(tmp_path / "model")
    (model / "fold_all").mkdir()
    (model / "fold_all" / "checkpoint_final.pth").touch()
    assert folds_of(model) == ("0",)  # `all` has seen the cases of every other fold
    names = [str(path.relative_to(model)) for path in NnUNet(model=str(model)).code_files]
    assert names == ["plans.json", "dataset.json", "fold_0/checkpoint_final.pth"]


def test_the_study_s_preset_is_the_budget_and_parameters_override_it() -> None:
    method = make_method("nnunet", "nnunet", {"epochs": "7"}, preset="paper").segmenter
    assert isinstance(method, NnUNet)
    assert method._plan().budget == Budget(7, 250, 50)


@pytest.mark.parametrize("settings", [{"epochs": 0}, {"iterations": -1}, {"configuration": "4d"}, {"planner": "best"}])
def test_bad_parameters_are_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(InputError, match=next(iter(settings))):
        make_method("nnunet", "nnunet", settings)


def test_a_model_s_folder_is_named_as_nnunet_names_it(tmp_path: Path) -> None:
    plan = NnUNet(planner="resenc-m", configuration="2d")._plan()
    assert Workplace(tmp_path).model_folder(plan).name == "nnUNetTrainer__nnUNetResEncUNetMPlans__2d"


@pytest.fixture
def without_nnunet(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """As if nnunetv2 were not installed."""
    for name in [name for name in sys.modules if name.startswith("dlfbench_baselines.nnunet")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "nnunetv2", None)
    plugins.reload_plugins()
    yield
    monkeypatch.undo()
    plugins.reload_plugins()


@pytest.mark.usefixtures("without_nnunet")
def test_without_nnunet_it_is_listed_with_the_install_line_and_the_rest_works(tmp_path: Path, dlfbench: Cli) -> None:
    code, text = dlfbench("list", "methods")
    said = " ".join(text.split())
    assert code == 0
    assert "not available" in said
    assert "pip install nnunetv2" in said
    data = write_dataset(tmp_path / "tiny", people=4)
    code, text = dlfbench("run", "--data", data, "--methods", "mv,nnunet", "--hold-out", "0.3", "--dry-run")
    assert code == 2
    assert "method 'nnunet' is not available: nnunetv2 is not installed; run: pip install nnunetv2" in text
    code, text = dlfbench("run", "--data", data, "--methods", "mv", "--hold-out", "0.3", "--dry-run")
    assert code == 0


def test_nothing_imports_nnunet_before_it_is_needed(tmp_path: Path) -> None:
    data = write_dataset(tmp_path / "tiny", people=4)
    code = (
        "import sys\nfrom dlfbench.cli import main\n"
        "try:\n    main(sys.argv[1:])\nexcept SystemExit as end:\n    assert not end.code, end.code\n"
        "assert 'nnunetv2' not in sys.modules and 'torch' not in sys.modules"
    )
    arguments = ["run", "--data", str(data), "--methods", "nnunet", "--hold-out", "0.3", "--dry-run"]
    subprocess.run([sys.executable, "-c", code, *arguments], check=True, stdout=subprocess.DEVNULL, cwd=tmp_path)


class Code:
    """Runs something when it is read back."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.marker,)


def test_a_foreign_folder_s_checkpoints_and_properties_run_no_code(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    dataset = pytest.importorskip("nnunetv2.training.dataloading.nnunet_dataset")
    from dlfbench_baselines.nnunet.safe_reading import data_alone

    marker, pth, pkl = (tmp_path / name for name in ("marker", "a.pth", "a.pkl"))
    sound = {
        "weights": torch.ones(2),
        "logging": [np.float32(1), np.float64(2)],
        "init": {"device": torch.device("cpu")},
    }
    properties = {"spacing": [1.0, np.float64(2)], "class_locations": {1: np.ones((3, 4), np.int64)}}
    for more in ({}, {"x": Code(marker)}):
        torch.save({**sound, **more}, pth)
        pkl.write_bytes(pickle.dumps({**properties, **more}))
        with data_alone():
            if not more:
                assert torch.load(pth, weights_only=False)["logging"] == [1, 2]
                assert dataset.load_pickle(str(pkl))["class_locations"][1].shape == (3, 4)
                continue
            with pytest.raises(pickle.UnpicklingError):
                torch.load(pth, weights_only=False)
            with pytest.raises(pickle.UnpicklingError, match="more than data"):
                dataset.load_pickle(str(pkl))
    assert not marker.exists()
    torch.load(pth, weights_only=False)
    assert marker.exists(), "outside it is as it was, and this would have run"
