"""nnU-Net in a run: trained on the fold alone, resumed after a kill, used as a trained model, nothing left behind."""

import os
import shutil
import signal
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

from builders import write_dataset
from dlfbench.images import read_image, read_labels, write_image
from dlfbench.records.results import read_results
from dlfbench.segmenters.contract import watch
from dlfbench.segmenters.interface import Context
from dlfbench.segmenters.registry import make_method
from dlfbench_baselines.nnunet.prediction import predict

pytestmark = pytest.mark.slow
Cli = Callable[..., tuple[int, str]]

SHORT = "epochs=1,iterations=2,validation_iterations=1,mirroring=false"
SPLIT = ("--train-on", "group=a", "--test-on", "b:group=b", "--workers", "1")
FINAL = "checkpoint_final.pth"


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two groups of two cases, two modalities."""
    folder = tmp_path_factory.mktemp("data") / "tiny"
    return write_dataset(folder, people=4, sides="L", modalities=2, groups="ab")


def run(dlfbench: Cli, data: Path, out: Path, methods: str) -> str:
    code, text = dlfbench("run", "--data", data, *SPLIT, "--methods", methods, "--out", out)
    assert code == 0, text
    results = read_results(out).query("kind == 'method'")
    assert set(results.status) == {"ok"}, set(results.reason)
    return text


def weights(folder: Path) -> dict[str, bytes]:
    """Everything that training decided, as bytes; times left out."""
    import torch

    (path,) = folder.rglob(FINAL)
    content = torch.load(path, weights_only=False)
    values = {name: array.numpy().tobytes() for name, array in content["network_weights"].items()}
    curves = {name: values for name, values in content["logging"].items() if "timestamps" not in name}
    return {**values, "curves": repr(curves).encode(), "plans": repr(content["init_args"]).encode()}


def written(folder: Path) -> dict[str, bytes]:
    """Every file that a fit left, as bytes, those out that hold times; links by where they lead."""
    files = [path for path in folder.rglob("*") if path.is_file() and not path.name.startswith("training_log")]
    found = {str(path.relative_to(folder)): path for path in files if path.name not in (FINAL, f"{FINAL}.sha256")}
    return {name: os.readlink(p).encode() if p.is_symlink() else p.read_bytes() for name, p in found.items()}


def test_a_run_is_quiet_and_a_trained_model_can_be_used_again(data: Path, tmp_path: Path, dlfbench: Cli) -> None:
    variables, processes = dict(os.environ), watch.processes()
    flat = f"flat=nnunet[{SHORT},configuration=2d,bf16=true]"
    text = run(dlfbench, data, tmp_path / "run", f"nnunet[{SHORT}],{flat}")
    assert "cite" not in text
    assert "Epoch" not in text
    logs = [path.read_text() for path in (tmp_path / "run" / "tasks" / "fit").glob("*.log")]
    assert len(logs) == 2
    assert all("Training done" in log for log in logs)
    assert dict(os.environ) == variables
    left = watch.processes_left(processes).values()
    assert not [
        line for line in left if "dlfbench.isolation.nursery" not in line
    ]  # the engine's own ends with this one

    (model,) = (path.parent.parent for path in (tmp_path / "run").rglob(FINAL) if "3d_fullres" in str(path))
    moved = shutil.move(model, tmp_path / "model")
    run(dlfbench, data, tmp_path / "again", f"mine=nnunet[model={moved},mirroring=false]")
    for mine in (tmp_path / "again" / "segmentations").rglob("*.nii.gz"):
        (theirs,) = (tmp_path / "run" / "segmentations").rglob(f"nnunet*/**/{mine.name}")
        assert np.array_equal(read_labels(mine)[0], read_labels(theirs)[0])


def test_a_package_has_no_pickle_and_stock_nnunet_can_install_its_own_form(
    data: Path, tmp_path: Path, dlfbench: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    method = f"nnunet[{SHORT}]"
    run(dlfbench, data, tmp_path / "run", method)
    expected = next((tmp_path / "run" / "segmentations").rglob("*.nii.gz"))
    case = expected.name.removesuffix(".nii.gz")
    (tmp_path / "new").mkdir()
    for path in (data / "imagesTr").glob(f"{case}_*.nii.gz"):
        shutil.copy(path, tmp_path / "new" / path.name.replace(case, "one"))

    code, text = dlfbench("export", tmp_path / "run", method, tmp_path / "packed.zip")
    assert code == 0, text
    names = zipfile.ZipFile(tmp_path / "packed.zip").namelist()
    assert not [name for name in names if name.endswith((".pth", ".pt", ".pkl"))]

    code, text = dlfbench("export", tmp_path / "run", method, tmp_path / "own.zip", "--own-form")
    assert code == 0, text
    from nnunetv2.model_sharing import model_import

    monkeypatch.setattr(model_import, "nnUNet_results", str(tmp_path / "installed"))
    model_import.install_model_from_zip_file(str(tmp_path / "own.zip"))
    (model,) = (path.parent for path in (tmp_path / "installed").rglob("plans.json"))
    images = np.stack([read_image(path)[0] for path in sorted((tmp_path / "new").iterdir())])
    plan = make_method("nnunet", "nnunet", {"mirroring": "false"}).segmenter._plan()
    found = predict(
        model, images, read_image(next((tmp_path / "new").iterdir()))[1].spacing_mm, plan, Context(tmp_path)
    )
    assert np.array_equal(found.argmax(axis=0), read_labels(expected)[0])


@pytest.fixture
def poisoned(data: Path, tmp_path: Path) -> Iterator[Path]:
    """The same dataset at the same place, with noise for images and references of the test cases."""
    shutil.copytree(data, tmp_path / "kept")
    generator = np.random.default_rng(9)
    for row in (data / "cases.tsv").read_text().splitlines()[1:]:
        name, *_, group = row.split("\t")
        if group == "b":
            reference, grid = read_labels(data / "labelsTr" / f"{name}.nii.gz")
            noise = generator.integers(0, 3, reference.shape).astype(np.uint8)
            write_image(data / "labelsTr" / f"{name}.nii.gz", noise, grid)
            for path in (data / "imagesTr").glob(f"{name}_*.nii.gz"):
                image, grid = read_image(path)
                write_image(path, generator.permutation(image.ravel()).reshape(image.shape), grid)
    yield data
    shutil.rmtree(data)
    shutil.copytree(tmp_path / "kept", data)


def test_nothing_of_the_test_cases_reaches_training(
    data: Path, tmp_path: Path, dlfbench: Cli, request: pytest.FixtureRequest
) -> None:
    run(dlfbench, data, tmp_path / "honest", f"nnunet[{SHORT}]")
    request.getfixturevalue("poisoned")
    run(dlfbench, data, tmp_path / "noise", f"nnunet[{SHORT}]")
    honest, noise = (tmp_path / name / "tasks" / "fit" for name in ("honest", "noise"))
    (one,), (other,) = ([path for path in fits.iterdir() if path.is_dir()] for fits in (honest, noise))
    assert one.name == other.name
    assert written(one) == written(other)
    assert weights(one) == weights(other)


FIT = """
import sys
from pathlib import Path
from dlfbench.segmenters.contract.scene import Scene, write_training
from dlfbench.segmenters.interface import Context
from dlfbench_baselines.nnunet import training
from dlfbench_baselines.nnunet.segmenter import NnUNet
training._SAVE_EVERY_S = 0.0
folder = Path(sys.argv[1])
folder.mkdir(exist_ok=True)
cases = write_training(Path(sys.argv[2]), Scene())
NnUNet(epochs=4, iterations=2, validation_iterations=1).fit(cases, Context(folder, seed=5))
"""


def start(folder: Path, data: Path) -> "subprocess.Popen[bytes]":
    return subprocess.Popen([sys.executable, "-c", FIT, str(folder), str(data)], stdout=subprocess.DEVNULL)


def test_killed_in_training_it_goes_on_to_the_same_weights(tmp_path: Path) -> None:
    process = start(tmp_path / "killed", tmp_path / "data")
    while process.poll() is None and not list((tmp_path / "killed").rglob("checkpoint_latest.pth")):
        time.sleep(0.01)
    children = psutil.Process(process.pid).children(recursive=True)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    assert not psutil.wait_procs(children, timeout=10)[1]
    assert not list((tmp_path / "killed").rglob(FINAL))
    for name in ("killed", "undisturbed"):
        assert start(tmp_path / name, tmp_path / "data").wait() == 0
    (log,) = (p for p in (tmp_path / "killed").rglob("training_log*") if "Training done" in p.read_text())
    assert "Epoch 0" not in log.read_text(), "it began anew"
    assert curve(tmp_path / "killed") == curve(tmp_path / "undisturbed")
    assert weights(tmp_path / "killed") == weights(tmp_path / "undisturbed")


def curve(folder: Path) -> Any:
    return (folder / "curves.csv").read_text()
