"""Data in the layouts of other tools come back as they were."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk

from builders import write_dataset
from dlfbench.datasets.cases import Case, Dataset
from dlfbench.datasets.check import check_dataset
from dlfbench.datasets.decathlon import read_decathlon
from dlfbench.datasets.importing import import_dataset
from dlfbench.datasets.known import open_dataset
from dlfbench.datasets.readers import read_source
from dlfbench.errors import InputError
from dlfbench.images import UNKNOWN, read_labels, write_labels
from layouts import move_side, write_ashs, write_bids, write_freesurfer, write_itk_files, write_msd_4d

Cli = Callable[..., tuple[int, str]]
STRUCTURES = {1: 17, 2: 53}
ITK = "folder[images=T1:t1/{person}-{side}.nrrd,labels=seg/{person}-{side}.mha]"


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """Three people, both sides, two modalities; the right side lies 30 mm away."""
    folder = write_dataset(tmp_path_factory.mktemp("data") / "tiny", people=3, modalities=2, groups="ab")
    move_side(read_decathlon(folder), "R", 32.0)
    return read_decathlon(folder)


def brought(kind: str, source: Path, out: Path) -> Dataset:
    dataset, _ = import_dataset(read_source(kind, source), out)
    check_dataset(dataset)
    return dataset


def same(case: Case, other: Case, *, values: dict[int, int] | None = None) -> None:
    """The first image and the labels are the same, voxel by voxel and in space."""
    one, two = case.read_target(), other.read_target()
    assert one.grid.matches(two.grid)
    assert np.array_equal(one.images[0], two.images[0])
    labels = case.read_reference()[0]
    expected = np.vectorize({0: 0, **values}.get)(labels) if values else labels
    assert np.array_equal(expected, other.read_reference()[0])


def test_ashs(data: Dataset, tmp_path: Path) -> None:
    package = write_ashs(tmp_path / "final", data)
    xval, manifest = tmp_path / "xval.txt", tmp_path / "manifest.txt"
    xval.write_text("person02 person00\nperson01\n")
    manifest.write_text("# ID T1 T2\n" + "".join(f"person0{n} t1 t2 left right\n" for n in range(3)))
    found = brought(f"ashs[xval={xval},manifest={manifest}]", tmp_path, tmp_path / "out")
    assert (found.modalities, found.labels) == (("T2", "T1"), data.labels)
    assert found.columns == ("person", "side", "fold")
    assert [c.columns["fold"] for c in found.cases[::2]] == ["x1", "x2", "x1"]
    assert "T1 resampled onto the grid of the labels by cubic B-splines in 6 of 6 cases, 0 flagged" in found.description
    for ours, theirs in zip(data.cases, found.cases, strict=True):
        same(ours, theirs)
        t1, true = theirs.read_target().images[1], ours.read_target().images[1]
        assert np.abs(t1 - true).max() < 1e-2  # the registration of the package undoes what was done to T1
    assert brought("ashs[t1=no,side=left]", package, tmp_path / "t2").modalities == ("T2",)


def test_freesurfer_with_all_structures_needs_no_copy(data: Dataset, tmp_path: Path) -> None:
    subjects = write_freesurfer(tmp_path / "subjects", data, STRUCTURES)
    found = open_dataset(f"freesurfer:{subjects}")
    check_dataset(found)
    assert found.labels.foreground == ((17, "Left-Hippocampus"), (53, "Right-Hippocampus"))
    for ours, theirs in zip(data.cases, found.cases, strict=True):
        same(ours, theirs, values=STRUCTURES)


def test_freesurfer_structures_by_name_and_number(data: Dataset, tmp_path: Path) -> None:
    subjects = write_freesurfer(tmp_path / "subjects", data, STRUCTURES)
    found = brought("freesurfer[structures=Right-Hippocampus]", subjects, tmp_path / "out")
    assert found.labels.foreground == ((53, "Right-Hippocampus"),)
    for ours, theirs in zip(data.cases, found.cases, strict=True):
        same(ours, theirs, values={1: 0, 2: 53})
    both = brought("freesurfer[structures=17,53]", subjects, tmp_path / "both")
    assert both.labels.values == (0, 17, 53)


def test_bids_needs_no_copy(data: Dataset, tmp_path: Path) -> None:
    root = write_bids(tmp_path / "bids", data)
    found = open_dataset(f"bids[images=T1w,T2w]:{root}")
    check_dataset(found)
    assert found.modalities == ("T1w", "T2w")
    assert found.labels == data.labels
    assert found.cases[1].columns == {"person": "person00", "session": "R", "desc": "manual", "group": "a"}
    for ours, theirs in zip(data.cases, found.cases, strict=True):
        same(ours, theirs)


def test_bids_may_have_a_column_called_case(data: Dataset, tmp_path: Path) -> None:
    root = write_bids(tmp_path / "bids", data)
    table = root / "participants.tsv"
    table.write_text(table.read_text().replace("group", "case"))
    found = brought("bids[images=T1w,T2w]", root, tmp_path / "out")
    assert [case.columns["participant_case"] for case in found.cases] == [case.columns["group"] for case in data.cases]


def write_hemispheres(folder: Path, case: Case, *images: str) -> Path:
    """A BIDS data set of one person with a label map of each side, and these images."""
    derivative = folder / "derivatives" / "manual"
    for place in (folder / "sub-1/anat", derivative / "sub-1/anat"):
        place.mkdir(parents=True)
    (derivative / "dseg.tsv").write_text("index\tname\n1\tfront\n2\tback\n")
    assert case.reference is not None
    for side in "LR":
        shutil.copy(case.reference, derivative / "sub-1/anat" / f"sub-1_hemi-{side}_dseg.nii.gz")
    for entities in images:
        shutil.copy(case.images[0], folder / "sub-1/anat" / f"sub-1{entities}_T1w.nii.gz")
    return folder


def test_a_label_map_of_one_side_goes_with_the_image_of_that_side(data: Dataset, tmp_path: Path) -> None:
    both = read_source("bids", write_hemispheres(tmp_path / "both", data.cases[0], "_hemi-L", "_hemi-R"))
    assert [(case.reference.name[6:12], case.volumes[0].path.name[6:12]) for case in both.cases] == [
        ("hemi-L", "hemi-L"),
        ("hemi-R", "hemi-R"),
    ]
    whole = read_source("bids", write_hemispheres(tmp_path / "whole", data.cases[0], "", "_acq-fast"))
    assert {case.volumes[0].path.name for case in whole.cases} == {"sub-1_T1w.nii.gz"}
    with pytest.raises(InputError, match=r"case sub-1_hemi-R: expected one T1w image .* found 0") as caught:
        read_source("bids", write_hemispheres(tmp_path / "left", data.cases[0], "_hemi-L"))
    assert len(caught.value.problems) == 1


def test_freesurfer_s_longitudinal_stream_is_of_one_person(
    data: Dataset, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    names = ("s1", "s1_tp1", "s1_tp1.long.s1", "s1_tp2.long.s1", "s2", "t1.long.s3")
    cases = tuple(replace(case, name=name) for case, name in zip(data.cases, names, strict=True))
    source = write_freesurfer(tmp_path / "subjects", replace(data, cases=cases), STRUCTURES)
    found = read_source("freesurfer", source)
    assert [case.columns["person"] for case in found.cases] == ["s1"] * 4 + ["s2", "s3"]
    (warning,) = caplog.messages
    assert "person s1: s1, s1_tp1, s1_tp1.long.s1, s1_tp2.long.s1 show the same images" in warning


def test_cases_of_other_fields_that_would_share_a_name_are_refused(data: Dataset, tmp_path: Path) -> None:
    for case, place in zip(data.cases, ("a_b/c", "a/b_c"), strict=False):
        (tmp_path / place).mkdir(parents=True)
        shutil.copy(case.images[0], tmp_path / place / "img.nii.gz")
        shutil.copy(case.reference, tmp_path / place / "seg.nii.gz")
    kind = "folder[images=T1:{person}/{side}/img.nii.gz,labels={person}/{side}/seg.nii.gz]"
    with pytest.raises(InputError, match=r"a_b/c/seg.nii.gz: case a_b_c: .*a/b_c/seg.nii.gz"):
        read_source(kind, tmp_path)


def test_msd_with_4d_files(data: Dataset, tmp_path: Path) -> None:
    found = brought("msd", write_msd_4d(tmp_path / "msd", data), tmp_path / "out")
    assert found.modalities == data.modalities
    for ours, theirs in zip(data.cases, found.cases, strict=True):
        same(ours, theirs)
        assert np.array_equal(ours.read_target().images, theirs.read_target().images)


def test_msd_with_voxels_to_be_ignored_and_regions(tmp_path: Path) -> None:
    source = write_dataset(tmp_path / "msd", people=2, sides="L")
    header = json.loads((source / "dataset.json").read_text())
    labels = {"background": 0, "whole": [1, 2], "front": 1, "ignore": 3}
    (source / "dataset.json").write_text(json.dumps({**header, "labels": labels}))
    table = "case\tlabels\np00L\tfront\np01L\twhole\n"
    (source / "cases.tsv").write_text(table)
    path = source / "labelsTr" / "p00L.nii.gz"
    voxels, grid = read_labels(path)
    voxels[voxels == 2] = 0
    voxels[:3] = 3
    write_labels(path, voxels, grid)
    data = read_decathlon(source)
    found = brought("msd", source, tmp_path / "out")
    assert found.labels == data.labels
    for ours, theirs in zip(data.cases, found.cases, strict=True):
        same(ours, theirs)
        assert theirs.partly_known == ours.partly_known
    assert (found.cases[0].read_reference()[0] == UNKNOWN).any()
    assert open_dataset(f"msd:{source}").cases == data.cases  # where it lies


def test_a_case_without_labels_is_imported_with_a_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    source = write_dataset(tmp_path / "msd", people=1, sides="LR")
    path = source / "labelsTr" / "p00L.nii.gz"
    voxels, grid = read_labels(path)
    write_labels(path, np.zeros_like(voxels), grid)
    found, _ = import_dataset(read_source("msd", source), tmp_path / "out")
    assert [bool(case.read_reference()[0].any()) for case in found.cases] == [False, True]
    assert caplog.messages == ["tiny: case p00L: none of the wanted labels occurs: there is nothing to find"]


def test_a_case_in_which_all_is_to_be_ignored_is_not_imported(tmp_path: Path) -> None:
    source = write_dataset(tmp_path / "msd", people=1, sides="LR")
    header = json.loads((source / "dataset.json").read_text())
    (source / "dataset.json").write_text(json.dumps({**header, "labels": {**header["labels"], "ignore": 3}}))
    path = source / "labelsTr" / "p00L.nii.gz"
    voxels, grid = read_labels(path)
    write_labels(path, np.full_like(voxels, 3), grid)
    with pytest.raises(InputError, match="case p00L: none of the wanted labels occurs"):
        brought("msd", source, tmp_path / "out")


def test_files_that_keep_their_axes_in_another_order(data: Dataset, tmp_path: Path) -> None:
    """4D and NRRD files run from left to right or back to front; label maps do not."""
    source = write_msd_4d(tmp_path / "msd", data)
    for path in (source / "imagesTr").iterdir():
        file = nib.load(path)
        flip = np.diag([-1.0, 1, 1, 1])
        flip[0, 3] = file.shape[0] - 1
        nib.save(nib.Nifti1Image(np.asarray(file.dataobj)[::-1], file.affine @ flip), path)
    found = brought("msd", source, tmp_path / "out")
    for ours, theirs in zip(data.cases, found.cases, strict=True):
        assert np.array_equal(ours.read_target().images, theirs.read_target().images)
    itk = write_itk_files(tmp_path / "itk", data)
    for path in (itk / "t1").iterdir():
        sitk.WriteImage(sitk.DICOMOrient(sitk.ReadImage(str(path)), "RPI"), str(path))
    found = brought(ITK, itk, tmp_path / "matched")
    for ours, theirs in zip(data.cases, found.cases, strict=True):
        same(ours, theirs)


def test_files_of_itk_matched_by_pattern(data: Dataset, tmp_path: Path) -> None:
    found = brought(ITK, write_itk_files(tmp_path / "itk", data), tmp_path / "out")
    assert found.columns == ("person", "side")
    assert found.labels.names == ("background", "label 1", "label 2")
    for ours, theirs in zip(data.cases, found.cases, strict=True):
        same(ours, theirs)


def test_label_maps_of_rounded_floats_are_matched_and_imported(data: Dataset, tmp_path: Path) -> None:
    source = write_itk_files(tmp_path / "itk", data)
    for path in (source / "seg").iterdir():
        sitk.WriteImage(sitk.Cast(sitk.ReadImage(str(path)), sitk.sitkFloat32) * 0.9999, str(path))
    found = brought(ITK, source, tmp_path / "out")
    assert found.labels.names == ("background", "label 1", "label 2")
    for ours, theirs in zip(data.cases, found.cases, strict=True):
        same(ours, theirs)


def test_linked_folders_are_entered_and_hidden_files_are_none(data: Dataset, tmp_path: Path) -> None:
    source = write_itk_files(tmp_path / "itk", data)
    shutil.move(source / "seg", tmp_path / "elsewhere")
    (source / "seg").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "elsewhere" / "round").symlink_to(source)
    (tmp_path / "elsewhere" / "._person00-L.mha").write_bytes(b"of a Mac")
    assert len(read_source(ITK, source).cases) == len(data.cases)
    root = write_bids(tmp_path / "bids", data)
    for place in (root / "sub-person00" / "ses-L", root / "derivatives" / "manual" / "sub-person01"):
        shutil.move(place, tmp_path / place.name)
        place.symlink_to(tmp_path / place.name)
    assert len(read_source("bids", root).cases) == len(data.cases)


def test_images_of_64_bit_integers_are_imported(data: Dataset, tmp_path: Path) -> None:
    source = write_itk_files(tmp_path / "itk", data)
    for path in (source / "t1").iterdir():
        sitk.WriteImage(sitk.Cast(sitk.ReadImage(str(path)), sitk.sitkInt64), str(path))
    found = brought(ITK, source, tmp_path / "out")
    image = data.cases[0].read_target().images[0]
    assert np.array_equal(found.cases[0].read_target().images[0], np.trunc(image))


def test_the_command_line_imports_and_lists(data: Dataset, tmp_path: Path, dlfbench: Cli) -> None:
    package = write_ashs(tmp_path / "package", data)
    code, text = dlfbench("data", "import", "ashs", package, "--out", tmp_path / "out")
    assert code == 0, text
    assert "6 cases" in text
    xval = tmp_path / "xval.txt"
    xval.write_text("train000\ntrain001 train002\n")
    code, text = dlfbench("data", "import", f"ashs[xval={xval}]", package, "--out", tmp_path / "folds")
    assert code == 0, text
    code, text = dlfbench("run", "--data", tmp_path / "folds", "--fold-column", "fold", "--methods", "mv", "--dry-run")
    assert code == 0, text
    assert "2 folds" in text
    code, text = dlfbench("run", "--data", f"ashs:{package}", "--dry-run")
    assert code == 2
    assert f"dlfbench data import 'ashs' {package} --out FOLDER" in text
    assert "structures=" in dlfbench("list", "readers")[1]


def test_a_reader_of_one_s_own(data: Dataset, tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(
        "from dataclasses import dataclass\n"
        "from pathlib import Path\n"
        "from dlfbench.datasets.readers.interface import Found, FoundCase, Reader, Volume, label_set\n"
        "@dataclass(frozen=True)\n"
        "class Mine(Reader):\n"
        "    '''Mine.'''\n"
        "    side: str = 'L'\n"
        "    def read(self, source: Path) -> Found:\n"
        "        maps = sorted((source / 'labelsTr').glob(f'*{self.side}.nii.gz'))\n"
        "        cases = [FoundCase(p.name[:-7], (Volume(source / 'imagesTr' / (p.name[:-7] + '_0000.nii.gz')),), p)"
        " for p in maps]\n"
        "        return Found('mine', ('T1',), label_set({1: 'front', 2: 'back'}), tuple(cases))\n"
    )
    source = data.cases[0].images[0].parents[1]
    found = open_dataset(f"{tmp_path}/mine.py:Mine[side=R]:{source}")
    assert [case.name for case in found.cases] == ["p00R", "p01R", "p02R"]
    assert replace(found.cases[0], columns=data.cases[1].columns, images=data.cases[1].images) == data.cases[1]
