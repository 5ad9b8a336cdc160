"""Runs on label maps of which not all is known: voxels to be ignored, labels that were drawn in some cases only."""

import json
from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

import dlfbench as public
from builders import write_dataset
from dlfbench.datasets.decathlon import read_decathlon
from dlfbench.images import UNKNOWN, read_labels
from dlfbench.records.results import read_results

Cli = Callable[..., tuple[int, str]]
PARTIAL = ("p01L", "p02L")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six people; the first slices of all are to be ignored, two have no label 2."""
    folder = write_dataset(tmp_path_factory.mktemp("data") / "tiny", people=6, sides="L")
    header = json.loads((folder / "dataset.json").read_text())
    header["labels"]["ignore"] = 3
    (folder / "dataset.json").write_text(json.dumps(header))
    for path in (folder / "labelsTr").iterdir():
        file = nib.load(path)
        labels = np.asarray(file.dataobj).copy()
        if path.name[:4] in PARTIAL:
            labels[labels == 2] = 0
        labels[:7] = 3
        nib.save(nib.Nifti1Image(labels, file.affine), path)
    rows = [f"{case}\tperson-{case}\t{'front' if case in PARTIAL else ''}" for case in (f"p0{i}L" for i in range(6))]
    (folder / "cases.tsv").write_text("\n".join(["case\tperson\tlabels", *rows]) + "\n")
    return folder


def dice(a: np.ndarray, b: np.ndarray) -> float:
    return 2 * (a & b).sum() / (a.sum() + b.sum())


def test_what_is_not_known_counts_nowhere(data: Path, shared_cache: Path, tmp_path: Path) -> None:
    tables = {"data": {"dataset": str(data)}, "protocol": {"folds": 2}, "methods": {"mv": {}}}
    run = public.run(tables, out=tmp_path / "run", cache=shared_cache, report=False)
    rows = run.results.query("method == 'mv'")
    assert (rows.status == "ok").all()
    assert len(rows) == 12
    cases = {case.name: case for case in read_decathlon(data).cases}
    for row in rows.itertuples():
        found = read_labels(run.folder / f"segmentations/mv/fold{row.fold}/{row.case}.nii.gz")[0]
        reference = cases[row.case].read_reference()[0]
        if row.case in PARTIAL and row.label == 2:
            assert np.isnan([row.dice, row.hd95_mm, row.reference_volume_mm3]).all()
            continue
        known = reference != UNKNOWN
        assert row.dice == pytest.approx(dice((found == row.label) & known, reference == row.label))
        assert row.dice > 0.5
    bounds = run.results.query("kind == 'bound' and method == 'oracle_one' and label == 1")
    assert (bounds.dice > 0.9).all()


@pytest.mark.slow
def test_methods_that_learn_run_on_what_is_known(data: Path, tmp_path: Path, dlfbench: Cli) -> None:
    methods = "jlf_cl[rounds=5],unet[preset=quick,steps=3],dlf[preset=quick,steps=3]"
    arguments = ("--data", data, "--hold-out", "0.34", "--methods", methods, "--out", tmp_path / "run")
    code, text = dlfbench("run", *arguments)
    assert code == 0, text
    rows = read_results(tmp_path / "run").query("kind == 'method'")
    assert set(rows.status) == {"ok"}
    assert len(set(rows.method)) == 3


@pytest.mark.slow
def test_a_run_on_label_values_of_another_tool_is_the_same_run(tmp_path: Path, dlfbench: Cli) -> None:
    data = write_dataset(tmp_path / "tiny", people=4, sides="L")
    theirs = write_dataset(tmp_path / "theirs", people=4, sides="L")
    for path in (theirs / "labelsTr").iterdir():
        file = nib.load(path)
        nib.save(nib.Nifti1Image(np.array([0, 17, 53], np.int16)[np.asarray(file.dataobj)], file.affine), path)
    (tmp_path / "map.tsv").write_text("from\tto\n17\tfront\n53\tback\n")
    plain, mapped = tmp_path / "plain", tmp_path / "mapped"
    arguments = ("--hold-out", "0.5", "--methods", "mv")
    code, text = dlfbench("run", "--data", data, *arguments, "--out", plain)
    assert code == 0, text
    code, text = dlfbench("run", "--data", theirs, *arguments, "--map", tmp_path / "map.tsv", "--out", mapped)
    assert code == 0, text
    assert "data:image/webp" in (mapped / "report" / "index.html").read_text()
    segmentations = mapped / "segmentations" / "mv" / "fold0"
    code, text = dlfbench("score", "--predictions", segmentations, "--run", mapped, "--out", tmp_path / "scored")
    assert code == 0, text
    found = [
        read_results(folder).query("kind == 'method'").dice.tolist() for folder in (plain, mapped, tmp_path / "scored")
    ]
    assert found[0] == found[1] == found[2]
