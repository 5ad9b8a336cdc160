"""Which cases are shown, in which orientation, and with which files."""

import json
from pathlib import Path

import numpy as np
import pytest

from dlfbench.images import Grid, write_image
from dlfbench.records.folder import RunFolder
from dlfbench.report import write_report
from dlfbench.report.basis.basis import read_basis
from dlfbench.report.basis.chosen import choose
from dlfbench.report.sections import more_cases
from dlfbench.report.sections.cases import worst_choices
from dlfbench.report.shown.slices import CasePicture, draw_case
from dlfbench.report.shown.views import ras_order, to_ras
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


def test_the_worst_of_the_best_method_comes_first(run):
    analysis = read_basis(run)
    dice = few_results().query("kind == 'method'").pivot_table("dice", "case", "method")
    choices = choose(analysis, analysis.scores[0])
    reasons = {reason: choice.case for choice in choices for reason in choice.why.split(", ")}
    best = analysis.by_score[0]
    assert reasons == {
        **{f"worst of {method}": dice[method].idxmin() for method in dice},
        "worst of all methods": dice.mean(axis=1).idxmin(),
        "median of all methods": dice.mean(axis=1).sort_values().index[1],
        "best of all methods": dice.mean(axis=1).idxmax(),
    }
    assert f"worst of {best}" in choices[0].why
    assert len({choice.case for choice in choices}) == len(choices)


def test_a_case_is_drawn_with_links_to_its_files(run):
    analysis = read_basis(run)
    shown = draw_case(analysis, choose(analysis, analysis.scores[0])[0])
    assert shown.picture.content[8:12] == b"WEBP"
    assert {method for method, _ in shown.links} == {"mv", "svwv", "jlf"}
    assert all(Path(path).is_file() for _, path in shown.links)
    assert shown.choice.case in shown.picture.alt


def test_the_page_shows_the_cases(run):
    page = write_report(run).read_text()
    assert page.count("data:image/webp;base64,") == len({choice.case for choice in choose_all(run)})
    assert "worst of jlf" in page


def choose_all(run):
    basis = read_basis(run)
    return [choice for scores in basis.scores for choice in choose(basis, scores)]


def test_more_cases_are_six_in_all_and_the_best_of_each_test_set_is_among_them(tmp_path, monkeypatch):
    results = make_results(methods={f"m{i}": 0.85 for i in range(40)}, bounds={})
    basis = read_basis(make_run(tmp_path, results))
    monkeypatch.setattr(more_cases, "draw_case", lambda _, choice: CasePicture(choice, None, ()))
    shown = [case.choice for case in more_cases.make(basis).shown["cases"]]
    assert len(basis.main_sets) > 1
    assert len(shown) == 6
    assert {one.test_set for one in shown if "best of all methods" in one.why} == set(basis.main_sets)
    assert not {(one.test_set, one.case) for one in shown} & {(one.test_set, one.case) for one in worst_choices(basis)}


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
    assert ras_order(grid) == (order, against)
    turned = to_ras(np.arange(24).reshape(2, 3, 4), grid)
    assert turned.shape == tuple(grid.shape[axis] for axis in order)
    # the corner that lies lowest in x, y and z of the world comes first
    corners = np.array([(i, j, k, 1) for i in (0, 1) for j in (0, 2) for k in (0, 3)])
    lowest = corners[(corners @ np.asarray(affine).T)[:, :3].sum(axis=1).argmin()][:3]
    assert turned[0, 0, 0] == np.arange(24).reshape(2, 3, 4)[tuple(lowest)]
