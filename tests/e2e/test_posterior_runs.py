"""A run that keeps posteriors: where they are, that it goes on keeping them, and that folds are averaged by them."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import dlfbench as public
from builders import write_dataset
from dlfbench.images import read_labels
from dlfbench.records.folder import RunFolder

pytestmark = pytest.mark.figures


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_dataset(tmp_path_factory.mktemp("data") / "tiny", people=4, sides="L")


@pytest.fixture
def made(data: Path, tmp_path_factory: pytest.TempPathFactory, dlfbench) -> Path:
    """A run of two folds with posteriors."""
    folder = tmp_path_factory.getbasetemp() / "posterior-run"
    if not (folder / "results.parquet").is_file():
        code, printed = dlfbench(*_command(data, folder), "--posteriors")
        assert code == 0, printed
    return folder


def _command(data: Path, folder: Path) -> list[object]:
    return ["run", "--data", data, "--folds", "2", "--methods", "mv", "--out", folder, "--workers", "1"]


def _times(folder: Path) -> dict[str, int]:
    paths = [*folder.glob("posteriors/**/*.npz"), *folder.glob("segmentations/**/*.nii.gz")]
    return {str(path): path.stat().st_mtime_ns for path in paths}


def test_beside_each_segmentation_its_posterior_with_a_checksum(made):
    segmentations = sorted((made / "segmentations").rglob("*.nii.gz"))
    assert len(segmentations) == 4
    for path in segmentations:
        fold, case = int(path.parent.name.removeprefix("fold")), path.name.removesuffix(".nii.gz")
        posterior = public.read_posterior(RunFolder(made).posterior_path("mv", fold, case))
        labels, grid = read_labels(path)
        assert posterior.shape == (3, *grid.shape)
        assert np.array_equal(posterior.argmax(axis=0), labels)
    folder = RunFolder(made)
    products = [folder.read_product("segmentation", path.stem) for path in (made / "tasks/segmentation").glob("*.json")]
    assert [len(product.files) for product in products] == [2] * 4


def test_the_run_goes_on_keeping_them_without_the_option(made, data, dlfbench):
    before = _times(made)
    code, printed = dlfbench(*_command(data, made))
    assert code == 0, printed
    assert _times(made) == before
    assert "0 tasks" in printed


def test_new_images_are_segmented_by_the_mean_of_the_folds(made, data, tmp_path, dlfbench):
    image = next((data / "imagesTr").glob("*.nii.gz"))
    (tmp_path / "new").mkdir()
    (tmp_path / "new" / "one.nii.gz").write_bytes(image.read_bytes())
    code, printed = dlfbench("segment", made, "mv", tmp_path / "new", "--out", tmp_path / "out", "--workers", "1")
    assert code == 0, printed
    work = RunFolder(tmp_path / "out" / "work")
    posteriors = [public.read_posterior(work.posterior_path("mv", fold, "one")) for fold in (0, 1)]
    labels, _ = read_labels(tmp_path / "out" / "one.nii.gz")
    assert np.array_equal(labels, np.mean(posteriors, axis=0).argmax(axis=0))


def test_the_report_shows_calibration(made):
    page = next(made.rglob("*.html")).read_text(encoding="utf-8")
    assert 'id="calibration"' in page
    counts = pd.read_parquet(made / "calibration.parquet")
    assert set(counts["person"]) == {f"person{number:02d}" for number in range(4)}
    assert (counts["observed"] <= counts["voxels"]).all()
