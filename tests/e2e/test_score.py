"""Predictions scored without a run: the same numbers as the run that made them, and one report of both."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
import pytest

import dlfbench as public
from builders import write_dataset
from dlfbench.images import Grid, read_labels, write_image
from dlfbench.records.merge import merge
from dlfbench.records.record import read_record
from dlfbench.records.results import METRIC_COLUMNS, read_results

Cli = Callable[..., tuple[int, str]]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_dataset(tmp_path_factory.mktemp("data") / "tiny", people=4, sides="L")


@pytest.fixture(scope="module")
def run(data: Path, tmp_path_factory: pytest.TempPathFactory, shared_cache: Path) -> Path:
    tables = {"data": {"dataset": str(data)}, "protocol": {"hold_out": 0.5}, "methods": {"mv": {}}}
    return public.run(tables, out=tmp_path_factory.mktemp("run") / "run", cache=shared_cache, report=False).folder


def metrics(folder: Path, method: str) -> pd.DataFrame:
    rows = read_results(folder).query("method == @method")
    return rows[["case", "label", *METRIC_COLUMNS, "reference_volume_mm3"]].reset_index(drop=True)


def test_the_numbers_are_those_of_the_run_that_made_the_predictions(
    run: Path, data: Path, tmp_path: Path, dlfbench: Cli
) -> None:
    arguments = ("--predictions", run / "segmentations" / "mv" / "fold0", "--references", data / "labelsTr")
    code, text = dlfbench("score", *arguments, "--name", "other", "--out", tmp_path / "scored")
    assert code == 0, text
    assert (tmp_path / "scored" / "report" / "index.html").is_file()
    scored = read_results(tmp_path / "scored")
    assert scored.status.value_counts().to_dict() == {"ok": 4, "missing": 4}
    found = metrics(tmp_path / "scored", "other")
    there = found[found.case.isin(metrics(run, "mv").case)].reset_index(drop=True)
    pd.testing.assert_frame_equal(there, metrics(run, "mv"))


def test_scored_beside_a_run_they_merge_with_it_and_missing_ones_are_rows(run: Path, tmp_path: Path) -> None:
    from dlfbench.records.predictions import beside_run, score_predictions

    predictions = Path(shutil.copytree(run / "segmentations" / "mv" / "fold0", tmp_path / "predictions"))
    first, second = sorted(predictions.iterdir())
    first.unlink()
    write_image(second, np.zeros((3, 3, 3), np.int16), Grid.of((3, 3, 3), np.eye(4)))
    scored = score_predictions(beside_run("other", predictions, run), tmp_path / "scored")
    rows = read_results(scored)
    assert rows.status.tolist() == ["missing", "missing", "failed", "failed"]
    assert "is not the reference's" in rows.reason.iloc[-1]
    assert merge([read_record(run), read_record(scored)]).methods == ("mv", "other")


def test_cases_that_are_not_scored_are_told_with_the_reason(run: Path, tmp_path: Path, dlfbench: Cli) -> None:
    predictions = Path(shutil.copytree(predictions_of(run), tmp_path / "predictions"))
    first, second = sorted(predictions.iterdir())
    first.unlink()
    write_image(second, np.zeros((3, 3, 3), np.int16), Grid.of((3, 3, 3), np.eye(4)))
    text = dlfbench("score", "--predictions", predictions, "--run", run, "--out", tmp_path / "scored")[1]
    told = [line for line in text.splitlines() if line.startswith(("missing:", "failed:"))]
    assert [line.split(": ")[:2] for line in told] == [
        ["missing", f"case {first.name.removesuffix('.nii.gz')}"],
        ["failed", f"case {second.name.removesuffix('.nii.gz')}"],
    ]
    assert "is not the reference's" in told[1]


def predictions_of(run: Path) -> Path:
    return run / "segmentations" / "mv" / "fold0"


def test_nothing_scored_is_no_success(run: Path, data: Path, tmp_path: Path, dlfbench: Cli) -> None:
    (tmp_path / "predictions").mkdir()
    for path in (run / "segmentations" / "mv" / "fold0").iterdir():
        write_image(tmp_path / "predictions" / path.name, np.zeros((3, 3, 3), np.int16), Grid.of((3, 3, 3), np.eye(4)))
    wrong = ("--predictions", tmp_path / "predictions", "--references", data / "labelsTr", "--out", tmp_path / "scored")
    code, text = dlfbench("score", *wrong)
    assert code == 1
    assert "no case could be scored" in " ".join(text.split())
    assert (tmp_path / "scored" / "report" / "index.html").is_file()


def test_plain_references_and_test_references_give_a_report_and_missing_ones_are_told(
    run: Path, data: Path, tmp_path: Path, dlfbench: Cli
) -> None:
    mine = Path(shutil.copytree(predictions_of(run), tmp_path / "mine"))
    tested = sorted(path.name for path in mine.iterdir())
    (mine / tested[0]).unlink()
    raw = Path(shutil.copytree(data, tmp_path / "raw"))
    plain = tmp_path / "plain"
    for folder in (plain, raw / "labelsTs"):
        folder.mkdir()
        for name in tested:
            shutil.copy(data / "labelsTr" / name, folder)
    found = []
    for references in (plain, raw / "labelsTs"):
        out = tmp_path / f"of-{references.name}"
        code, text = dlfbench("score", "--predictions", mine, "--references", references, "--out", out)
        assert code == 0, text
        assert (out / "report" / "index.html").is_file()
        assert "1/2" in text
        rows = read_results(out)
        assert rows.status.tolist() == ["missing", "missing", "ok", "ok"]
        found.append(rows)
    assert found[0].label_name.tolist() == ["label 1", "label 2"] * 2
    assert found[1].label_name.tolist() == ["front", "back"] * 2
    assert found[0].dice.equals(found[1].dice)


def test_beside_a_run_the_report_has_pictures(run: Path, tmp_path: Path, dlfbench: Cli) -> None:
    arguments = ("--predictions", predictions_of(run), "--run", run, "--name", "other")
    code, text = dlfbench("score", *arguments, "--out", tmp_path / "scored")
    assert code == 0, text
    assert "data:image/webp" in (tmp_path / "scored" / "report" / "index.html").read_text()
    code, text = dlfbench("report", run, tmp_path / "scored", "--out", tmp_path / "both")
    assert code == 0, text


def test_references_without_a_dataset_and_wrong_folders(run: Path, data: Path, tmp_path: Path, dlfbench: Cli) -> None:
    from dlfbench.records.predictions import against_references

    references = Path(shutil.copytree(data / "labelsTr", tmp_path / "references"))
    scoring = against_references("x", run / "segmentations" / "mv" / "fold0", references)
    assert scoring.labels.names == ("background", "label 1", "label 2")
    code, text = dlfbench("score", "--predictions", data, "--references", references)
    assert code == 2
    assert "such as p00L.nii.gz; found cases.tsv" in text
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("")
    arguments = ("--predictions", references, "--references", references, "--out", tmp_path / "mine")
    code, text = dlfbench("score", *arguments)
    assert code == 2
    assert "holds something else" in text


def test_scored_again_the_copy_of_an_earlier_file_is_gone(run: Path, data: Path, tmp_path: Path) -> None:
    from dlfbench.records.predictions import against_references, score_predictions

    mine, out = Path(shutil.copytree(predictions_of(run), tmp_path / "mine")), tmp_path / "scored"
    copies = out / "segmentations" / "x" / "fold0"
    score_predictions(against_references("x", mine, data / "labelsTr"), out)
    first, second = sorted(mine.iterdir())
    labels, grid = read_labels(first)
    first.unlink()
    write_image(mine / first.name.removesuffix(".gz"), np.flip(labels, 0), grid)
    second.unlink()
    score_predictions(against_references("x", mine, data / "labelsTr"), out)
    assert [path.name for path in copies.iterdir()] == [first.name]  # where all that reads label maps looks
    assert np.array_equal(read_labels(copies / first.name)[0], np.flip(labels, 0))


def test_label_maps_of_rounded_numbers_are_integers_from_then_on(run: Path, data: Path, tmp_path: Path) -> None:
    from dlfbench.records.bids import export_bids
    from dlfbench.records.predictions import against_references, score_predictions

    mine = Path(shutil.copytree(predictions_of(run), tmp_path / "mine"))
    for path in mine.iterdir():
        labels, grid = read_labels(path)
        write_image(path, (labels + 1e-4).astype(np.float32), grid)
    scored = score_predictions(against_references("x", mine, data / "labelsTr"), tmp_path / "scored")
    export_bids(scored, tmp_path / "bids")
    written = [nib.load(path) for path in (tmp_path / "bids").rglob("*.nii.gz")]
    assert len(written) == 2
    assert {image.get_data_dtype() for image in written} == {np.dtype(np.int16)}


def test_what_was_predicted_where_nothing_is_known_is_kept(run: Path, data: Path, tmp_path: Path) -> None:
    from dlfbench.records.predictions import against_references, score_predictions

    dataset = Path(shutil.copytree(data, tmp_path / "data"))
    header = json.loads((dataset / "dataset.json").read_text())
    header["labels"]["ignore"] = 3
    (dataset / "dataset.json").write_text(json.dumps(header))
    mine = Path(shutil.copytree(predictions_of(run), tmp_path / "mine"))
    for path in mine.iterdir():
        for folder, value in ((dataset / "labelsTr", 3), (mine, 2)):
            labels, grid = read_labels(folder / path.name)
            labels[:2] = value
            write_image(folder / path.name, labels.astype(np.int16), grid)
    out = tmp_path / "scored"
    scored = score_predictions(against_references("x", mine, dataset / "labelsTr"), out)
    assert "ok" in set(read_results(scored).status)
    copies = out / "segmentations" / "x" / "fold0"
    assert all((read_labels(path)[0][:2] == 2).all() for path in copies.iterdir())
    before = {path: path.read_bytes() for path in copies.iterdir()}
    score_predictions(against_references("x", copies, dataset / "labelsTr"), out)
    assert {path: path.read_bytes() for path in copies.iterdir()} == before
