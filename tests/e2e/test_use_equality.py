"""New images get the label maps that the run gave the same images as test cases, from the run and from its packages."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from builders import write_dataset
from dlfbench.images import read_labels
from dlfbench.records.folder import RunFolder

pytestmark = pytest.mark.slow

METHODS = {
    "jlf": "jlf",
    "jlf_cl": "jlf_cl[rounds=5]",
    "unet": "unet[steps=2,preset=quick]",
    "dlf": "dlf[preset=quick,steps=2,voting_steps=2,rounds=2]",
    "nnunet": "nnunet[epochs=1,iterations=2,validation_iterations=1,mirroring=false]",
    "both": 'ensemble[of="jlf;unet=unet[steps=2,preset=quick]"]',
    "tuned": 'tuned[host=svwv,grid="b=1|4"]',
    "tuned-network": 'tuned[host=unet,grid="steps=1|2",preset=quick]',
}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_dataset(tmp_path_factory.mktemp("data") / "tiny", people=4, sides="L")


@pytest.fixture
def made(data: Path, tmp_path_factory: pytest.TempPathFactory, dlfbench) -> Path:
    folder = tmp_path_factory.getbasetemp() / "equality-run"
    if not (folder / "results.parquet").is_file():
        methods = ",".join(f"{name}={text}" for name, text in METHODS.items())
        command = ["run", "--data", data, "--hold-out", "0.5", "--methods", methods, "--out", folder]
        code, printed = dlfbench(*command, "--workers", "1")
        assert code == 0, printed
    return folder


@pytest.mark.parametrize("method", METHODS)
def test_a_new_image_is_segmented_as_the_same_image_in_the_run(method, made, data, tmp_path, dlfbench):
    (case, _) = sorted(path.name.removesuffix(".nii.gz") for path in (made / "segmentations/jlf/fold0").iterdir())
    shutil.copy(data / "imagesTr" / f"{case}_0000.nii.gz", tmp_path / "one.nii.gz")
    expected, _ = read_labels(RunFolder(made).segmentation_path(method, 0, case))
    atlases = [] if method in ("unet", "nnunet", "tuned-network") else ["--with-atlases"]
    code, printed = dlfbench("export", made, method, tmp_path / "packed.zip", *atlases)
    assert code == 0, printed
    for source, out in ((made, tmp_path / "run"), (tmp_path / "packed.zip", tmp_path / "package")):
        code, printed = dlfbench("segment", source, method, tmp_path / "one.nii.gz", "--out", out, "--workers", "1")
        assert code == 0, printed
        assert np.array_equal(read_labels(out / "one.nii.gz")[0], expected), source


def test_the_report_tells_which_settings_were_chosen(made):
    table = (made / "report" / "tables" / "chosen.md").read_text()
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in table.splitlines()]
    assert {row[0]: row[-1] for row in rows if row[0].startswith("tuned")} == {"tuned": "3", "tuned-network": "3"}
