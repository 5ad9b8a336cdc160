"""Commands and containers that learn, and that say how sure they are."""

import sys
from pathlib import Path

import numpy as np
import pytest

from dlfbench.errors import InputError
from dlfbench.images import Grid, write_image
from dlfbench.segmenters.contract.scene import Scene, write_training
from dlfbench.segmenters.exchange import read_posteriors
from dlfbench.segmenters.interface import Context
from dlfbench.segmenters.outcome import check_outcome
from dlfbench.segmenters.registry import make_method
from dlfbench.volumes import Segmentation

TRAIN = """
import csv, sys
import nibabel as nib
import numpy as np
rows, model = list(csv.DictReader(open(sys.argv[1]))), sys.argv[2]
maps = [np.asarray(nib.load(row["labels"]).dataobj) for row in rows]
assert nib.load(rows[0]["image0"]).shape == maps[0].shape
if len(sys.argv) == 3:
    open(model + "/mean.txt", "w").write(str(np.mean([(m > 0).mean() for m in maps])))
"""
RUN = """
import sys
import nibabel as nib
import numpy as np
image, output, shares, model = sys.argv[1:]
share = float(open(model + "/mean.txt").read())
target = nib.load(image)
first = np.full(target.shape, share, np.float32)
nib.save(nib.Nifti1Image(first, target.affine), shares + "/1.nii.gz")
nib.save(nib.Nifti1Image((first > 0.5).astype(np.uint8), target.affine), output)
"""


def learns(folder: Path, *, further: str = "") -> Segmentation:
    """Trains on the sample's training set, and segments its target."""
    for name, text in (("train.py", TRAIN), ("run.py", RUN)):
        (folder / name).write_text(text)
    train = f"{sys.executable} {folder}/train.py {{training_list}} {{model}}"
    run = f"{sys.executable} {folder}/run.py {{target}} {{output}} {{posteriors}} {{model}}"
    method = make_method("m", "command", {"run": run, "train": train + further}).segmenter
    assert method.needs_training
    assert not method.needs_atlases
    assert {path.name for path in method.code_files} == {"train.py", "run.py"}
    (folder / "model").mkdir()
    context = Context(folder / "model")
    method.fit(write_training(folder / "data", Scene()), context)
    return method.segment(Scene().target(), Scene().atlas_set(), context)


def test_what_is_learned_is_kept_and_shares_are_read(tmp_path: Path) -> None:
    found = learns(tmp_path)
    share = float((tmp_path / "model" / "mean.txt").read_text())
    assert 0 < share < 0.5
    assert found.posterior is not None
    np.testing.assert_allclose(found.posterior[1], share, rtol=1e-6)
    np.testing.assert_allclose(found.posterior[0], 1 - share, rtol=1e-6)
    assert not found.posterior[2:].any()
    check_outcome(found, Scene().target().grid, Scene().atlas_set().label_values)


GRID = Grid.of((3, 4, 5), np.diag([1.0, 1.0, 2.0, 1.0]))
OTHER = Grid.of((2, 4, 5), np.diag([1.0, 1.0, 2.0, 1.0]))


def write_shares(folder: Path, shares: dict[str, float], grid: Grid = GRID) -> Path:
    for name, share in shares.items():
        write_image(folder / f"{name}.nii.gz", np.full(grid.shape, share, np.float32), grid)
    return folder


def test_shares_by_label_with_or_without_the_background(tmp_path: Path) -> None:
    for number, written in enumerate(({"1": 0.25}, {"1": 0.25, "0": 0.75}, {"1": 0.25, "4": 0.0})):
        found = read_posteriors(write_shares(tmp_path / str(number), written), GRID, (0, 1, 4))
        assert found.shape == (3, *GRID.shape)
        np.testing.assert_array_equal(found[:, 0, 0, 0], [0.75, 0.25, 0])


@pytest.mark.parametrize(
    ("shares", "grid", "said"),
    [
        ({"0": 1.0}, GRID, "{posteriors}: expected 0.nii.gz, .* found none but the background"),
        ({"1": 0.5, "77": 0.5}, GRID, "{posteriors}: expected .* found 77"),
        ({"1": 0.5}, OTHER, "{posteriors}: 1.nii.gz is on 2x4x5 voxels"),
        ({"1": 0.7, "4": 0.6}, GRID, r"sum to more than 1 \(by 0.3\)"),
    ],
)
def test_shares_that_cannot_be_used(shares: dict[str, float], grid: Grid, said: str, tmp_path: Path) -> None:
    with pytest.raises((RuntimeError, ValueError), match=said):
        read_posteriors(write_shares(tmp_path, shares, grid), GRID, (0, 1, 4))


def test_training_that_leaves_nothing_failed(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="exit code 0 but left nothing in {model}"):
        learns(tmp_path, further=" nothing")


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"run": "a {target} {output}", "train": "b {training_list} {model}"}, "run: expected {model}"),
        ({"run": "a {target} {output} {model}"}, "there is no `train`"),
        ({"run": "a {target} {output} {model}", "train": "b {model}"}, "train: expected {training_list}"),
        ({"run": "a {target} {output} {model}", "train": "b {training_lists} {model}"}, "did you mean {training_list}"),
        ({"run": "a {target} {output} {model}", "train": "b 'c"}, "train: cannot be split"),
    ],
)
def test_lines_that_cannot_work_are_refused(settings: dict[str, str], said: str) -> None:
    with pytest.raises(InputError, match=said):
        make_method("m", "command", settings)
