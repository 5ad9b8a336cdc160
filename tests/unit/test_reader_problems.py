"""What cannot be imported is refused with file, case, expected, found and what to do; nothing half-written is left."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk

from builders import write_dataset
from dlfbench.datasets.decathlon import read_decathlon
from dlfbench.datasets.importing import import_dataset
from dlfbench.datasets.readers import read_source
from dlfbench.errors import InputError
from dlfbench.images import Grid, read_voxels, write_image
from layouts import move_side, write_ashs, write_bids, write_freesurfer, write_itk_files, write_msd_4d

ITK = "folder[images=T1:t1/{person}-{side}.nrrd,labels=seg/{person}-{side}.mha]"
BIDS = "bids[images=T1w,T2w]"
ANAT = "sub-person01/ses-L/anat/sub-person01_ses-L"
CHUNK = "train/train001/tse_native_chunk_left"


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("sources")
    folder = write_dataset(root / "tiny", people=2, modalities=2)
    move_side(read_decathlon(folder), "R", 32.0)
    data = read_decathlon(folder)
    return {
        "ashs": write_ashs(root / "ashs", data),
        "freesurfer": write_freesurfer(root / "freesurfer", data, {1: 17, 2: 53}),
        "bids": write_bids(root / "bids", data),
        "msd": write_msd_4d(root / "msd", data),
        "folder": write_itk_files(root / "folder", data),
    }


def write(path: str, text: str) -> Callable[[Path], object]:
    return lambda source: (source / path).write_text(text)


def edit(path: str, old: str, new: str) -> Callable[[Path], object]:
    return lambda source: (source / path).write_text((source / path).read_text().replace(old, new))


def remove(path: str) -> Callable[[Path], object]:
    return lambda source: shutil.rmtree(source / path) if (source / path).is_dir() else (source / path).unlink()


def move(path: str, *, by_mm: float) -> Callable[[Path], None]:
    def change(source: Path) -> None:
        voxels, grid = read_voxels(source / path)
        affine = np.asarray(grid.affine).copy()
        affine[0, 3] += by_mm
        write_image(source / path, voxels, Grid.of(grid.shape, affine))

    return change


def put(path: str, value: float) -> Callable[[Path], None]:
    """Writes a value into the first voxel."""

    def change(source: Path) -> None:
        file = nib.load(source / path)
        voxels = np.asarray(file.dataobj).astype(np.float32)
        voxels[0, 0, 0] = value
        nib.save(type(file)(voxels, file.affine), source / path)

    return change


def copy(path: str, to: str) -> Callable[[Path], object]:
    def change(source: Path) -> None:
        (source / to).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source / path, source / to)

    return change


def vector(source: Path) -> None:
    image = sitk.ReadImage(str(source / "t1/person01-L.nrrd"))
    sitk.WriteImage(sitk.Compose(image, image), str(source / "t1/person01-L.nrrd"))


def two_runs(source: Path) -> None:
    copy(f"{ANAT}_T1w.nii.gz", f"{ANAT}_run-1_T1w.nii.gz")(source)
    (source / f"{ANAT}_T1w.nii.gz").rename(source / f"{ANAT}_run-2_T1w.nii.gz")


def cut_channel(source: Path) -> None:
    path = source / "imagesTr" / "p01L.nii.gz"
    file = nib.load(path)
    nib.save(nib.Nifti1Image(np.asarray(file.dataobj)[..., :1], file.affine), path)


def cut_short(source: Path) -> None:
    path = source / "imagesTr" / "p01L.nii.gz"
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def garbled(source: Path) -> None:
    (source / "imagesTr" / "p01L.nii.gz").write_bytes(b"no gzip file")


def old_package(source: Path) -> None:
    for folder in (source / "train").iterdir():
        (folder / "flirt_t2_to_t1.mat").rename(folder / "flirt_t2_to_t1_ITK.txt")


def nothing(source: Path) -> None:
    """The source is as it should be; the options are not."""


DAMAGE: dict[str, tuple[str, Callable[[Path], object], list[str]]] = {
    "ashs: older": ("ashs", old_package, ["train000/flirt_t2_to_t1.mat", "older ASHS", "ashs_atlas_upgrade.sh"]),
    "ashs: no package": ("ashs", remove("ashs_atlas_vars.sh"), ["ashs_atlas_vars.sh", "ASHS_ATLAS_N", "ashs_train"]),
    "ashs: too few": ("ashs", remove("train/train001"), ["train", "expected 2 atlases", "found 1", "copy"]),
    "ashs: no chunk": ("ashs", remove(f"{CHUNK}.nii.gz"), [f"{CHUNK}.nii.gz", "train001_left", "T2 chunk", "add it"]),
    "ashs: no labels": ("ashs", remove(f"{CHUNK}_seg.nii.gz"), ["left_seg", "train001_left", "label map", "add it"]),
    "ashs: no T1": ("ashs", remove("train/train001/mprage.nii.gz"), ["mprage.nii.gz", "train001_left", "T1"]),
    "ashs: bad matrix": ("ashs", write("train/train001/flirt_t2_to_t1.mat", "1 0\n"), ["flirt_t2_to_t1.mat", "4 x 4"]),
    "ashs: words": ("ashs", write("train/train001/flirt_t2_to_t1.mat", "a b\n"), ["flirt_t2_to_t1.mat", "4 x 4"]),
    "ashs: label file": (
        "ashs",
        edit("snap/snaplabels.txt", '1  1  1    "front"', '"front"'),
        ["snaplabels.txt, line 6", "IDX R G B", "front", "correct the line"],
    ),
    "ashs: label twice": ("ashs", edit("snap/snaplabels.txt", "    2  ", "    1  "), ["label 1 stands twice", "back"]),
    "ashs: no label file": (
        "ashs",
        remove("snap/snaplabels.txt"),
        ["snaplabels.txt", "cannot be read", "give another"],
    ),
    "ashs: undeclared": (
        "ashs",
        put(f"{CHUNK}_seg.nii.gz", 9),
        ["left_seg", "train001_left", "expected labels [0, 1, 2]", "found [9]", "add them"],
    ),
    "ashs: no overlap": (
        "ashs",
        move("train/train001/mprage.nii.gz", by_mm=500),
        ["mprage.nii.gz", "train001_left", "does not overlap", "found", "correct the header"],
    ),
    "ashs: labels on another grid": (
        "ashs",
        move(f"{CHUNK}_seg.nii.gz", by_mm=3),
        ["left_seg", "train001_left", "expected the grid of one of its images", "never resampled"],
    ),
    "ashs: unknown side": ("ashs[side=top]", nothing, ["'side'", "'left', 'right' or 'both'", "'top'"]),
    "ashs: unknown option": ("ashs[sides=left]", nothing, ["unknown parameter 'sides'", "did you mean 'side'"]),
    "ashs: no such xval": ("ashs[xval=none.txt]", nothing, ["none.txt", "cannot be read"]),
    "freesurfer: value without name": (
        "freesurfer",
        put("p01L/mri/aseg.mgz", 77),
        ["p01L/mri/aseg.mgz", "case p01L", "label 77 has no name", "FreeSurferColorLUT.txt", "lut=FILE"],
    ),
    "freesurfer: no table": ("freesurfer", remove("FreeSurferColorLUT.txt"), ["FreeSurferColorLUT.txt", "lut=FILE"]),
    "freesurfer: broken table": (
        "freesurfer",
        edit("FreeSurferColorLUT.txt", "220 216 20  0", "220"),
        ["FreeSurferColorLUT.txt, line 9", "NUMBER NAME R G B A", "Left-Hippocampus"],
    ),
    "freesurfer: unknown structure": (
        "freesurfer[structures=Left-Hipocampus]",
        nothing,
        ["unknown structure 'Left-Hipocampus'", "Left-Hippocampus", "correct `structures`"],
    ),
    "freesurfer: no label map": ("freesurfer", remove("p01L/mri/aseg.mgz"), ["aseg.mgz", "case p01L", "label map"]),
    "freesurfer: no such image": ("freesurfer[images=T2]", nothing, ["p00L/mri/T2.mgz", "case p00L", "the image"]),
    "freesurfer: structure that is nowhere": (
        "freesurfer[structures=18]",
        nothing,
        ["p00L", "none of the wanted labels occurs", "ask for others"],
    ),
    "freesurfer: no subjects": ("freesurfer[lut=FreeSurferColorLUT.txt]", nothing, ["FreeSurferColorLUT.txt"]),
    "bids: two images fit": (
        BIDS,
        two_runs,
        ["person01_ses-L_desc-manual_dseg", "case sub-person01_ses-L", "one T1w image", "found 2", "run-2", "raw_only"],
    ),
    "bids: no image": (BIDS, remove(f"{ANAT}_T2w.nii.gz"), ["sub-person01_ses-L", "one T2w image", "found 0", "add"]),
    "bids: two label maps": (
        BIDS,
        copy(
            f"derivatives/manual/{ANAT}_desc-manual_dseg.nii.gz", f"derivatives/manual/{ANAT}_desc-second_dseg.nii.gz"
        ),
        ["desc-second_dseg", "case sub-person01_ses-L", "expected one label map", "desc-manual", "only="],
    ),
    "bids: no table": (BIDS, remove("derivatives/manual/dseg.tsv"), ["dseg.tsv", "index and name", "write it"]),
    "bids: other columns": (
        BIDS,
        write("derivatives/manual/dseg.tsv", "value\tlabel\n1\tfront\n"),
        ["dseg.tsv", "`index` and `name`", "value, label", "name them so"],
    ),
    "bids: index is no number": (
        BIDS,
        edit("derivatives/manual/dseg.tsv", "1\t", "one\t"),
        ["dseg.tsv", "column index", "'one'", "correct"],
    ),
    "bids: one name twice": (
        BIDS,
        edit("derivatives/manual/dseg.tsv", "back", "front"),
        ["source: labels: 2 labels are called 'front'", "a name of its own"],
    ),
    "bids: a label called ignore": (
        BIDS,
        edit("derivatives/manual/dseg.tsv", "back", "ignore"),
        ["called 'ignore'", "another name"],
    ),
    "bids: names differ": (
        BIDS,
        write(
            f"derivatives/manual/{ANAT.rsplit('/', 1)[0]}/sub-person01_ses-L_dseg.tsv", "index\tname\n1\tback\n2\tb\n"
        ),
        ["label 1 is called", "'back'", "'front'", "one name"],
    ),
    "bids: two derivatives": (
        BIDS,
        copy(f"derivatives/manual/{ANAT}_desc-manual_dseg.nii.gz", f"derivatives/auto/{ANAT}_dseg.nii.gz"),
        ["derivatives", "expected one derivative", "auto, manual", "derivative=NAME"],
    ),
    "bids: unknown derivative": (
        "bids[derivative=manuel]",
        nothing,
        ["unknown derivative 'manuel'", "did you mean 'manual'"],
    ),
    "bids: people without names": (
        BIDS,
        edit("participants.tsv", "participant_id", "id"),
        ["participants.tsv", "participant_id", "found id"],
    ),
    "bids: nothing fits": ("bids[only=desc-third]", nothing, ["manual", "*_dseg.nii.gz", "correct `only`"]),
    "msd: a modality is missing": (
        "msd",
        cut_channel,
        ["p01L.nii.gz", "case p01L", "2 volumes or more", "found shape"],
    ),
    "msd: cut short": ("msd", cut_short, ["p01L.nii.gz", "case p01L", "cannot be read as NIfTI", "again"]),
    "msd: no gzip": ("msd", garbled, ["p01L.nii.gz", "case p01L", "cannot be read as NIfTI", "again"]),
    "msd: label that is no number": ("msd", put("labelsTr/p01L.nii.gz", np.nan), ["p01L.nii.gz", "case p01L", "nan"]),
    "msd: no header": ("msd", remove("dataset.json"), ["dataset.json", "file not found"]),
    "folder: two files match": (
        ITK.replace("t1/", "*/"),
        copy("t1/person01-L.nrrd", "t1b/person01-L.nrrd"),
        ["case person01_L", "expected one file", "found 2", "make the pattern narrower"],
    ),
    "folder: two label maps match": (
        ITK.replace("seg/", "*/"),
        copy("seg/person01-L.mha", "seg2/person01-L.mha"),
        ["seg2/person01-L.mha", "case person01_L", "expected one file", "found 2"],
    ),
    "folder: no image": (ITK, remove("t1/person01-L.nrrd"), ["case person01_L", "T1:", "found 0", "add the file"]),
    "folder: nothing matches": (ITK.replace("seg/", "labels/"), nothing, ["no file matches", "correct the pattern"]),
    "folder: no field": ("folder[images=T1:a.nrrd,labels=b.mha]", nothing, ["put {case} in it"]),
    "folder: no modality": ("folder[images={case}.nrrd,labels={case}.mha]", nothing, ["NAME:PATTERN", "{case}.nrrd"]),
    "folder: several values a voxel": (
        ITK,
        vector,
        ["person01-L.nrrd", "case person01_L", "2 values a voxel", "export"],
    ),
    "folder: damaged": (
        ITK,
        write("t1/person01-L.nrrd", "NRRD0004\n"),
        ["person01-L.nrrd", "SimpleITK", "case person01_L", "again"],
    ),
    "unknown kind": ("freesurfers", nothing, ["unknown kind of data 'freesurfers'", "did you mean 'freesurfer'"]),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_damage_is_told(damage: str, sources: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kind, break_it, words = DAMAGE[damage]
    monkeypatch.delenv("FREESURFER_HOME", raising=False)
    monkeypatch.chdir(tmp_path)
    source = Path(shutil.copytree(sources[damage.split(":")[0].replace("unknown kind", "msd")], tmp_path / "source"))
    break_it(source)
    with pytest.raises(InputError) as caught:
        import_dataset(read_source(kind, source), tmp_path / "out")
    for problem in caught.value.problems:
        assert "\n" not in problem
    said = " | ".join(caught.value.problems)
    assert not [word for word in words if word not in said], said
    assert [path.name for path in tmp_path.iterdir()] == ["source"]


def test_a_folder_that_is_taken_is_left_alone(sources: dict[str, Path], tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("keep")
    with pytest.raises(InputError, match="holds something; give another --out"):
        import_dataset(read_source("msd", sources["msd"]), tmp_path)
    assert (tmp_path / "mine.txt").read_text() == "keep"


def test_a_fold_of_the_cross_validation_file_tests_each_atlas_once(sources: dict[str, Path], tmp_path: Path) -> None:
    xval = tmp_path / "xval.txt"
    xval.write_text("train000 train001\ntrain001\nghost\n")
    with pytest.raises(InputError) as caught:
        read_source(f"ashs[xval={xval}]", sources["ashs"])
    assert "line 2: atlas 'train001' is tested in line 1" in str(caught.value)
    assert "line 3: atlas 'ghost'" in str(caught.value)


def test_the_history_of_an_import_can_be_read(sources: dict[str, Path], tmp_path: Path) -> None:
    import_dataset(read_source("ashs", sources["ashs"]), tmp_path / "out", origin="ashs:there")
    history = json.loads((tmp_path / "out" / "import.json").read_text())
    assert history["origin"] == "ashs:there"
    assert history["cases"]["train000_left"]["T1"]["covered"] > 0.9
