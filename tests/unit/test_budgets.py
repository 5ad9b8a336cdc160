"""Budget curves: which methods are one line, what a longer training gained, and whether it still does."""

import io
import shutil
from pathlib import Path

import pandas as pd
import pytest
from matplotlib.image import imread

from dlfbench.records.results import write_table
from dlfbench.report import write_report
from dlfbench.report.basis.basis import read_basis
from dlfbench.report.basis.budgets import budgets, fit_seconds, lines
from dlfbench.report.sections.budgets import make
from dlfbench.report.shown.figure_style import HALF_IN, finish, head, legend_below, new_axes
from synthetic_run import make_results, make_run

pytestmark = pytest.mark.figures

QUALITY = {
    "jlf": 0.88,
    "unet": 0.87,
    "unet-75": 0.80,
    "unet-600": 0.868,
    "smaller": 0.81,
    "net": 0.86,
    "net-long": 0.88,
}
TABLES = {
    "jlf": 'use = "jlf"',
    "unet": 'use = "unet"\nsteps = "none"\nfeatures = 32',
    "unet-75": 'use = "unet"\nsteps = 75\nfeatures = 32',
    "unet-600": 'use = "unet"\nsteps = 600\nfeatures = 32',
    "smaller": 'use = "unet"\nsteps = 75\nfeatures = 8',
    "net": 'use = "nnunet"\nepochs = 3',
    "net-long": 'use = "nnunet"\nepochs = 50',
}
FIT_S = {
    "unet": (800, 900),
    "unet-75": (50, 60),
    "unet-600": (400, 450),
    "smaller": (20, 30),
    "net": 120,
    "net-long": 1200,
}


def fits(device="cpu"):
    rows = []
    for method, seconds in FIT_S.items():
        cpu_s, wall_s = seconds if isinstance(seconds, tuple) else (seconds, seconds)
        about = {"task": "fit", "method": method, "fold": 0, "status": "ok", "device": device}
        rows.append({**about, "cpu_s": cpu_s, "wall_s": wall_s})
    return pd.DataFrame(rows)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = make_run(tmp_path_factory.mktemp("budgets"), make_results(methods=QUALITY))
    timings = pd.read_parquet(folder / "timings.parquet")
    write_table(pd.concat([timings, fits()])[timings.columns], folder / "timings.parquet")
    tables = "".join(f'[methods."{name}"]\n{table}\n' for name, table in TABLES.items())
    folder.joinpath("study.toml").write_text(f'name = "made-up"\nseed = 3\n[data]\ndataset = "nowhere"\n{tables}')
    return folder


def test_a_line_is_one_method_that_trains_for_several_lengths(run):
    record = read_basis(run).record
    assert lines(record, fit_seconds(record)) == {"unet": ("unet-75", "unet-600", "unet"), "net": ("net", "net-long")}


def test_a_gain_is_over_the_next_shorter_training(run):
    basis = read_basis(run)
    found = budgets(basis).set_index(["test_set", "method"])
    row = found.loc[("in-domain", "unet-600")]
    expected = basis.dice_difference("in-domain", "unet-600", "unet-75")
    assert (row["shorter"], row["gain"], row["gain_low"]) == ("unet-75", expected["difference"], expected["low"])
    assert row["gain"] == pytest.approx(
        basis.mean_dice("in-domain", "unet-600") - basis.mean_dice("in-domain", "unet-75")
    )
    assert found.loc[("in-domain", "unet-75"), "shorter"] == ""


def test_only_a_longest_training_that_surely_gained_still_rises(run):
    found = budgets(read_basis(run))
    assert set(found.loc[found["rises"], "method"]) == {"net-long"}, "unet-600 gained, but is not the longest"
    (said,) = (text for text in make(read_basis(run)).text if "in-domain: net " in text)
    assert "still rises" in said
    (said,) = (text for text in make(read_basis(run)).text if "in-domain: unet " in text)
    assert "no longer rises" in said


def test_a_training_on_a_gpu_is_told_in_wall_time(run, tmp_path):
    assert fit_seconds(read_basis(run).record)["unet"] == 800
    folder = Path(shutil.copytree(run, tmp_path / "run"))
    timings = pd.read_parquet(folder / "timings.parquet")
    write_table(timings.assign(device="cuda"), folder / "timings.parquet")
    assert fit_seconds(read_basis(folder).record)["unet"] == 900


def test_the_page_shows_lengths_of_training_where_there_are_several(run, tmp_path):
    page = write_report(run, out=tmp_path / "report").read_text()
    assert "Lengths of training" in page
    assert (tmp_path / "report" / "tables" / "budgets.csv").is_file()


def part(run, folder, methods):
    """The run with these methods alone, as if it had been another."""
    shutil.copytree(run, folder)
    for name in ("results.parquet", "timings.parquet"):
        table = pd.read_parquet(folder / name)
        other = table["method"].isin(QUALITY) & ~table["method"].isin(methods)
        write_table(table[~other].reset_index(drop=True), folder / name)
    tables = "".join(f'[methods."{name}"]\n{TABLES[name]}\n' for name in methods)
    folder.joinpath("study.toml").write_text(f'name = "made-up"\nseed = 3\n[data]\ndataset = "nowhere"\n{tables}')
    return folder


def test_a_line_goes_on_in_another_run_of_the_same_study(run, tmp_path):
    both = [
        part(run, tmp_path / "a", ["jlf", "unet-75", "net"]),
        part(run, tmp_path / "b", ["jlf", "unet", "net-long"]),
    ]
    record = read_basis(*both).record
    assert lines(record, fit_seconds(record)) == {"net": ("net", "net-long"), "unet": ("unet-75", "unet")}
    said = [text for text in make(read_basis(*both)).text if "runs a and b" in text]
    assert len(said) == 2, "times of one line may be of two machines"


def test_two_runs_that_trained_for_one_length_have_a_line_each(run, tmp_path):
    longer = part(run, tmp_path / "b", ["unet-600", "unet"])
    results = pd.read_parquet(longer / "results.parquet")
    results.loc[results["method"] == "unet-600", "dice"] -= 0.01
    write_table(results, longer / "results.parquet")
    record = read_basis(part(run, tmp_path / "a", ["unet-75", "unet-600"]), longer).record
    assert set(lines(record, fit_seconds(record)).values()) == {("unet-75", "unet-600 (a)"), ("unet-600 (b)", "unet")}


def test_methods_of_one_length_are_no_line(run, tmp_path):
    folder = Path(shutil.copytree(run, tmp_path / "run"))
    tables = "".join(f'[methods."{name}"]\nuse = "unet"\nsteps = 75\n' for name in TABLES)
    folder.joinpath("study.toml").write_text(f'name = "made-up"\nseed = 3\n[data]\ndataset = "nowhere"\n{tables}')
    assert make(read_basis(folder)) is None


def test_no_label_of_an_axis_is_cut_off_where_the_layout_changes_the_ticks():
    axes = new_axes(HALF_IN, 3.2)
    axes.plot([3, 13], [0.8613, 0.8963], label="dlf")
    axes.set_xlabel("a training")
    head(axes, "in-domain: Dice, all labels")
    legend_below(axes)
    drawn = imread(io.BytesIO(finish(axes, name="x", title="x", alt="x").png))[:, :, :3]
    assert drawn.min() < 0.5
    assert drawn[:, :4].min() == 1, "ink at the left edge"
