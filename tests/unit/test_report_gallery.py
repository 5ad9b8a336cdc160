"""Which cases are shown, in which orientation, and with which files."""

import json

import numpy as np
import pytest

from dlfbench.images import Grid, write_image
from dlfbench.records.folder import RunFolder
from dlfbench.report import write_report
from dlfbench.report.basis.basis import read_basis
from dlfbench.report.gallery import _ras_order, _to_ras, choose, draw_case
from synthetic_run import make_results, make_run

SHAPE = (12, 10, 8)


def few_results():
    results = make_results(persons=2, bounds={}, labels={1: "anterior"})
    return results[results["test_set"] == "uint8"]


@pytest.fixture
def run(tmp_path):
    """A run whose images, references and segmentations are there."""
    results = few_results()
    run, grid = make_run(tmp_path, results), Grid.of(SHAPE, np.diag([1, 1, 2, 1]))
    labels = np.zeros(SHAPE, np.int16)
    labels[3:8, 3:7, 2:6] = 1
    cases = {}
    for case in sorted(set(results["case"])):
        image, reference = tmp_path / "data" / f"{case}.nii.gz", tmp_path / "data" / f"{case}_labels.nii.gz"
        write_image(image, np.random.default_rng(0).random(SHAPE, np.float32), grid)
        write_image(reference, labels, grid)
        cases[case] = {"images": [str(image)], "reference": str(reference), "person": case[:-1], "columns": {}}
        for method in ("mv", "svwv", "jlf"):
            write_image(RunFolder(run).segmentation_path(method, 0, case), np.roll(labels, 1, 0), grid)
    run.joinpath("cases.json").write_text(json.dumps({"dataset": "made up", "cases": cases}))
    return run


def test_best_median_and_worst_of_each_method(run):
    analysis = read_basis(run)
    dice = few_results().query("method == 'jlf'").set_index("case")["dice"].sort_values()
    reasons = {
        reason: choice.case for choice in choose(analysis, analysis.scores[0]) for reason in choice.why.split(", ")
    }
    assert len(reasons) == 9
    assert reasons["worst of jlf"] == dice.index[0]
    assert reasons["median of jlf"] == dice.index[1]
    assert reasons["best of jlf"] == dice.index[-1]


def test_many_methods_share_their_cases(tmp_path):
    results = make_results(persons=3, methods={f"m{n}": 0.8 for n in range(7)}, bounds={})
    analysis = read_basis(make_run(tmp_path, results))
    chosen = choose(analysis, analysis.scores[0])
    assert [choice.why for choice in chosen] == ["worst of all methods", "median of all methods", "best of all methods"]


def test_a_case_is_drawn_with_links_to_its_files(run):
    analysis = read_basis(run)
    shown = draw_case(analysis.record, choose(analysis, analysis.scores[0])[0], run / "report")
    assert shown.picture.content[8:12] == b"WEBP"
    assert [method for method, _ in shown.links] == ["mv", "svwv", "jlf"]
    assert all((run / "report" / path).resolve().is_file() for _, path in shown.links)
    assert shown.choice.case in shown.picture.alt


def test_the_page_shows_the_cases(run):
    page = write_report(run).read_text()
    assert page.count("data:image/webp;base64,") >= 3
    assert "worst of jlf" in page


def test_missing_images_are_no_error(run, caplog):
    for path in (run / "data").iterdir():
        path.unlink()
    assert "data:image/webp" not in write_report(run).read_text()
    assert "no picture of case" in caplog.text


def test_a_damaged_segmentation_is_no_error(run, caplog):
    for path in (run / "segmentations").rglob("*.nii.gz"):
        path.write_bytes(path.read_bytes()[:50])
    write_report(run)
    assert "no picture of case" in caplog.text


@pytest.mark.parametrize(
    ("affine", "order", "against"),
    [
        (np.diag([1, 2, 3, 1]), (0, 1, 2), (False, False, False)),
        (np.diag([-1, -2, 3, 1]), (0, 1, 2), (True, True, False)),
        ([[0, 0, 3, 0], [1, 0, 0, 0], [0, -2, 0, 0], [0, 0, 0, 1]], (2, 0, 1), (False, False, True)),
    ],
)
def test_voxel_axes_are_brought_to_the_worlds(affine, order, against):
    grid = Grid.of((2, 3, 4), affine)
    assert _ras_order(grid) == (order, against)
    turned = _to_ras(np.arange(24).reshape(2, 3, 4), grid)
    assert turned.shape == tuple(grid.shape[axis] for axis in order)
    # the corner that lies lowest in x, y and z of the world comes first
    corners = np.array([(i, j, k, 1) for i in (0, 1) for j in (0, 2) for k in (0, 3)])
    lowest = corners[(corners @ np.asarray(affine).T)[:, :3].sum(axis=1).argmin()][:3]
    assert turned[0, 0, 0] == np.arange(24).reshape(2, 3, 4)[tuple(lowest)]
