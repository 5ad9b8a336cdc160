"""New images are segmented as the run would segment them as test cases."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

import dlfbench
from builders import write_dataset
from dlfbench.engine.execute import Watcher
from dlfbench.engine.work import Options, locked
from dlfbench.images import read_labels
from dlfbench.records.folder import RunFolder, write_json
from dlfbench.use.segment import Request, majority, prepare_segmenting, run_segmenting

METHODS = "mv,jlf,unet[steps=2,preset=quick]"


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_dataset(tmp_path_factory.mktemp("data") / "tiny", people=4, sides="L")


@pytest.fixture
def made(data: Path, tmp_path_factory: pytest.TempPathFactory, dlfbench) -> Path:
    folder = tmp_path_factory.getbasetemp() / "segment-run"
    if not (folder / "results.parquet").is_file():
        code, printed = dlfbench(
            "run", "--data", data, "--hold-out", "0.5", "--methods", METHODS, "--out", folder, "--workers", "1"
        )
        assert code == 0, printed
    return folder


@pytest.fixture
def new_images(made: Path, data: Path, tmp_path: Path) -> dict[str, Path]:
    """Images of the run's test cases under new names; the second is stored in another voxel order."""
    tested = sorted(path.name.removesuffix(".nii.gz") for path in (made / "segmentations/mv/fold0").iterdir())
    folder = tmp_path / "new"
    folder.mkdir()
    for number, case in enumerate(tested):
        image = nib.load(data / "imagesTr" / f"{case}_0000.nii.gz")
        if number == 1:
            image = image.as_reoriented(np.array([[1, -1], [0, 1], [2, 1]]))
        nib.save(image, folder / f"new{number}.nii.gz")
    return {case: folder / f"new{number}.nii.gz" for number, case in enumerate(tested)}


@pytest.mark.parametrize("method", ["jlf", "unet[steps=2,preset=quick]"])
def test_as_a_run_segments_them_as_test_cases(method, made, new_images, tmp_path, dlfbench):
    code, printed = dlfbench("segment", made, method, tmp_path / "new", "--out", tmp_path / "out", "--workers", "1")
    assert code == 0, printed
    for case, path in new_images.items():
        expected, _ = read_labels(RunFolder(made).segmentation_path(method, 0, case))
        found, _ = read_labels(tmp_path / "out" / path.name)
        assert np.array_equal(found, expected)
        stored, image = nib.load(tmp_path / "out" / path.name), nib.load(path)
        assert stored.shape == image.shape
        assert np.allclose(stored.affine, image.affine, atol=1e-3)
    page = (tmp_path / "out" / "index.html").read_text(encoding="utf-8")
    assert page.count('src="data:image/webp') == 2
    assert "No expected Dice: 2 people were held out (in-domain), and 9 are needed." in page
    assert (tmp_path / "out" / "volumes.tsv").read_text().splitlines()[0].split("\t")[:4] == [
        "image",
        "status",
        "front_mm3",
        "back_mm3",
    ]


def test_again_does_nothing_and_another_method_is_refused(made, new_images, tmp_path, dlfbench):
    image = next(iter(new_images.values()))
    assert dlfbench("segment", made, "mv", image, "--out", tmp_path / "out", "--workers", "1")[0] == 0
    label_map = tmp_path / "out" / "work" / "segmentations" / "mv" / "fold0" / image.name
    before = label_map.stat().st_mtime_ns
    assert dlfbench("segment", made, "mv", image, "--out", tmp_path / "out", "--workers", "1")[0] == 0
    assert label_map.stat().st_mtime_ns == before
    code, printed = dlfbench("segment", made, "jlf", image, "--out", tmp_path / "out")
    assert code == 2
    assert "of another call (method mv there, jlf now)" in printed
    code, printed = dlfbench("segment", made, "mv", image, "--fold", "0", "--out", tmp_path / "out")
    assert code == 2
    assert "of another call (fold None there, 0 now)" in printed


def test_two_calls_do_not_undo_each_other(made, new_images, tmp_path, shared_cache, dlfbench):
    image, out = next(iter(new_images.values())), tmp_path / "out"
    request = Request(made, "mv", (image,), out)
    early = prepare_segmenting(request, Options(cache=shared_cache, workers=1))
    write_json(out / "segmented.json", request.said)
    with locked(out / "work"):  # as by a call that is running
        code, printed = dlfbench("segment", made, "mv", image, "--out", out, "--workers", "1")
        assert code == 2
        assert "another dlfbench is running in this folder" in printed
    assert dlfbench("segment", made, "mv", image, "--out", out, "--workers", "1")[0] == 0
    ended: list[str] = []
    run_segmenting(early, Watcher(lambda task, outcome: ended.append(task.kind), lambda event: None))
    assert not ended


def test_a_fold_in_which_a_method_that_learns_nothing_has_no_part_is_refused(made, new_images, tmp_path, dlfbench):
    run = Path(shutil.copytree(made, tmp_path / "run"))
    splits = json.loads((run / "splits.json").read_text())
    splits["folds"] += [{**splits["folds"][0], "fold": 1, "training": 1}]
    (run / "splits.json").write_text(json.dumps(splits))
    code, printed = dlfbench("segment", run, "mv", tmp_path / "new", "--fold", "1", "--out", tmp_path / "out")
    assert code == 2
    assert "--fold: expected one of 0, found 1" in printed


def test_what_cannot_be_segmented_is_refused_before_work_starts(made, new_images, tmp_path, dlfbench):
    image = next(iter(new_images.values()))

    def refused(*arguments: object) -> str:
        code, printed = dlfbench("segment", *arguments, "--out", tmp_path / "refused")
        assert code == 2, printed
        assert not (tmp_path / "refused").exists()
        return printed

    assert "unknown method 'dlf'" in refused(made, "dlf", image)
    assert "expected the folder of a run" in refused(tmp_path, "mv", image)
    assert "expected NIfTI images, found none" in refused(made, "mv", made)
    shutil.copy(image, tmp_path / "new" / "new0_0001.nii.gz")
    assert "expected 1 channel (m0), found one more" in refused(made, "mv", tmp_path / "new")
    (tmp_path / "other").mkdir()
    shutil.copy(image, tmp_path / "other" / image.name)
    assert "two images of one name" in refused(made, "mv", image, tmp_path / "other")
    assert "--fold: expected one of 0, found 3" in refused(made, "mv", image, "--fold", "3")
    (tmp_path / "other" / "odd.nii.gz").write_bytes(b"nothing")
    assert "cannot be read as NIfTI" in refused(made, "mv", tmp_path / "other" / "odd.nii.gz")


def test_from_python_with_what_is_odd_about_an_image_on_the_page(made, new_images, tmp_path, shared_cache):
    small = nib.load(next(iter(new_images.values())))
    nib.save(nib.Nifti1Image(small.get_fdata()[::2], small.affine @ np.diag([2, 1, 1, 1])), tmp_path / "odd.nii.gz")
    (one,) = dlfbench.segment(made, "mv", tmp_path / "odd.nii.gz", out=tmp_path / "out", cache=shared_cache, workers=1)
    assert one.path == tmp_path / "out" / "odd.nii.gz"
    assert len(one.volumes_mm3) == len(one.quality) == 2
    assert any("voxels of 2 x 1.2 x 1.5 mm" in flag for flag in one.flags)
    assert "voxels of 2 x 1.2 x 1.5 mm" in (tmp_path / "out" / "index.html").read_text(encoding="utf-8")


def test_most_folds_decide_and_of_equally_many_the_lowest_label():
    maps = [np.array([[[0, 1, 2, 3]]]), np.array([[[0, 2, 2, 1]]]), np.array([[[1, 3, 2, 1]]])]
    assert majority(maps).tolist() == [[[0, 1, 2, 1]]]


def test_what_segments_waits_for_no_library_of_reports_or_networks():
    code = "import sys, dlfbench.cli.segment, dlfbench.use.segment; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not {"matplotlib", "scipy.stats", "sklearn", "torch", "distributed"} & set(loaded)


PICKY = """
from dataclasses import dataclass
from dlfbench import FusionMethod

@dataclass(frozen=True)
class Picky(FusionMethod):
    def fuse(self, target, atlases):
        if target.images.max() > 1e6:
            raise ValueError("too bright")
        return atlases.labels[0]
"""


def test_a_failed_image_leaves_no_label_map_of_an_earlier_one(data, new_images, tmp_path, dlfbench):
    (tmp_path / "picky.py").write_text(PICKY)
    method, out = f"{tmp_path / 'picky.py'}:Picky", tmp_path / "out"
    command = ("run", "--data", data, "--hold-out", "0.5", "--methods", f"p={method}", "--out", tmp_path / "run")
    assert dlfbench(*command, "--workers", "1")[0] == 0
    image = next(iter(new_images.values()))
    command = ("segment", tmp_path / "run", "p", image, "--out", out, "--workers", "1")
    assert dlfbench(*command)[0] == 0
    assert (out / image.name).is_file()
    stored = nib.load(image)
    nib.save(nib.Nifti1Image(stored.get_fdata().astype(np.float32) * 1e7, stored.affine), image)
    code, printed = dlfbench(*command)
    assert code != 0
    assert "too bright" in printed
    assert not (out / image.name).is_file()


def test_a_method_that_is_not_the_tested_one_any_more_is_told(data, new_images, tmp_path, dlfbench):
    (tmp_path / "picky.py").write_text(PICKY)
    method, image = f"{tmp_path / 'picky.py'}:Picky", next(iter(new_images.values()))
    command = ("run", "--data", data, "--hold-out", "0.5", "--methods", f"p={method}", "--out", tmp_path / "run")
    assert dlfbench(*command, "--workers", "1")[0] == 0
    code, printed = dlfbench("segment", tmp_path / "run", "p", image, "--out", tmp_path / "same", "--workers", "1")
    assert (code, "another than the run tested" in printed) == (0, False)
    (tmp_path / "picky.py").write_text(PICKY.replace("labels[0]", "labels[1]"))
    code, printed = dlfbench("segment", tmp_path / "run", "p", image, "--out", tmp_path / "other", "--workers", "1")
    assert code == 0
    assert "p, its registration or a library is another than the run tested" in " ".join(printed.split())
    assert "No expected Dice: p, its registration" in (tmp_path / "other" / "index.html").read_text(encoding="utf-8")
