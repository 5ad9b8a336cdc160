"""Packages of all four kinds, good and broken, in a fresh process: used, listed, named, and breaking nothing."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from builders import write_dataset
from dlfbench.records.results import read_results

ROOT = Path(__file__).resolve().parents[2]
GROUPS = ("segmenters", "registrations", "datasets", "metrics", "sections")


def install(folder: Path, name: str, entries: str, code: str = "") -> None:
    """A distribution as pip would leave it in a folder of the path."""
    about = folder / f"{name.replace('-', '_')}-1.0.dist-info"
    about.mkdir(parents=True)
    (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text(entries)
    if code:
        (folder / f"{name.replace('-', '_')}.py").write_text(code)


def dlfbench(site: Path, *arguments: object, cache: Path) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"PYTHONPATH": str(site), "COLUMNS": "300", "DLFBENCH_CACHE": str(cache)}
    command = [sys.executable, "-c", "from dlfbench.cli import main; main()", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, env=environment, cwd=site, check=False)


def test_a_metric_of_a_package_has_its_column_and_its_place_in_the_report(tmp_path: Path, shared_cache: Path) -> None:
    site, data = tmp_path / "site", write_dataset(tmp_path / "data", people=4, sides="L")
    install(site, "own-metric", "[dlfbench.metrics]\nmissed = own_metric:MISSED\n")
    shutil.copy(ROOT / "examples" / "own_metric.py", site)
    arguments = ("run", "--data", data, "--hold-out", "0.3", "--methods", "mv", "--out", tmp_path / "run")
    done = dlfbench(site, *arguments, cache=shared_cache)
    assert done.returncode == 0, done.stderr
    results = pd.read_parquet(tmp_path / "run" / "results.parquet").query("kind == 'method'")
    assert results.missed.between(0, 1).all()
    assert "Missed share" in (tmp_path / "run" / "report" / "index.html").read_text()
    assert "missed" not in read_results(tmp_path / "run")  # nobody here has installed it


def test_metrics_of_a_file_see_masks_and_spacing(tmp_path: Path, shared_cache: Path) -> None:
    """Those of the guide."""
    (code,) = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "add-a-metric.md").read_text(), flags=re.S)
    (tmp_path / "more_metrics.py").write_text(code)
    data = write_dataset(tmp_path / "data", people=4, sides="L")
    named = [word for name in ("CLDICE", "BOUNDARY_IOU") for word in ("--metrics", f"more_metrics.py:{name}")]
    arguments = ("run", "--data", data, "--hold-out", "0.3", "--methods", "mv", "--out", tmp_path / "run")
    done = dlfbench(tmp_path, *arguments, *named, cache=shared_cache)
    assert done.returncode == 0, done.stderr
    results = pd.read_parquet(tmp_path / "run" / "results.parquet").query("kind == 'method'")
    assert results.cldice.between(0.5, 1).all()
    assert results.boundary_iou.between(0.1, 1).all()
    assert (results.boundary_iou < results.dice).all()
    page = (tmp_path / "run" / "report" / "index.html").read_text()
    assert "clDice" in page
    assert "Boundary IoU" in page
    maps = next((tmp_path / "run" / "segmentations").rglob("*.nii.gz")).parent
    scored = ("score", "--predictions", maps, "--references", data / "labelsTr", "--out", tmp_path / "scored")
    done = dlfbench(tmp_path, *scored, *named, cache=shared_cache)
    assert done.returncode == 0, done.stderr
    again = pd.read_parquet(tmp_path / "scored" / "results.parquet").query("status == 'ok'")
    both = again.merge(results, on=["case", "label"], suffixes=("", "_of_run"))
    assert len(both) == len(again) > 0
    assert (both.cldice == both.cldice_of_run).all()
    odd = dlfbench(tmp_path, *arguments, "--metrics", "more_metrics.py:cldice", cache=shared_cache)
    assert "expected a dlfbench.Metric, found function" in odd.stderr


_SOME = """
from dlfbench import Metric


def picky(pair):
    if pair.prediction_vox < pair.reference_vox:
        raise ValueError("too small\\nfor me")
    return 1.0


PICKY = Metric("picky", "Picky", "", True, "1, or nothing.", picky, lambda pair: 0.0)
"""


def test_a_metric_that_raises_in_some_cases_is_left_out_and_said(tmp_path: Path, shared_cache: Path) -> None:
    (tmp_path / "mine.py").write_text(_SOME)
    write_dataset(tmp_path / "data", people=4, sides="L")
    (tmp_path / "study.toml").write_text(
        '[data]\ndataset = "data"\n[protocol]\nhold_out = 0.5\n[methods.mv]\n[methods.staple]\n'
        '[analysis]\nmetric = "picky"\nclaims = ["staple > mv"]\n'
    )
    named = ("--metrics", "mine.py:PICKY")
    done = dlfbench(tmp_path, "run", "study.toml", "--out", "run", *named, cache=shared_cache)
    assert done.returncode == 0, done.stderr
    said = r"metric picky failed in (\d+) of (\d+) scores \(ValueError: too small for me\) and is left out everywhere"
    found = re.search(said, " ".join(done.stdout.split()))
    assert found, done.stdout
    assert 0 < int(found[1]) < int(found[2])
    page, tables = tmp_path / "run" / "report" / "index.html", tmp_path / "run" / "report" / "tables"
    assert re.search(said, page.read_text())
    assert "a metric failed" in page.read_text()
    assert pd.read_csv(tables / "summary.csv").query("metric == 'picky'")["mean"].isna().all()
    assert pd.read_csv(tables / "claims.csv")["verdict"].tolist() == ["undecided"]
    before = page.read_text()
    for command in (("report", "run"), ("compare", "run", "staple", "mv")):
        unknown = dlfbench(tmp_path, *command, cache=shared_cache)
        assert unknown.returncode == 2
        assert "'picky', a metric of a plugin that is not here; name it by --metrics" in " ".join(
            unknown.stderr.split()
        )
    assert page.read_text() == before
    named_again = dlfbench(tmp_path, "compare", "run", "staple", "mv", *named, cache=shared_cache)
    assert named_again.returncode == 0, named_again.stderr


_SHARE = """
from dlfbench import Metric

SHARE = Metric("share", "Share", "", True, "Shared voxels.", lambda pair: pair.shared_vox / pair.reference_vox, {worst})
"""


def test_values_of_a_metric_are_not_shown_as_those_of_another(tmp_path: Path, shared_cache: Path) -> None:
    (tmp_path / "mine.py").write_text(_SHARE.format(worst="lambda pair: 0.0"))
    write_dataset(tmp_path / "data", people=4, sides="L")
    run = ("run", "--data", "data", "--hold-out", "0.5", "--methods", "mv,staple", "--out", "run")
    named = ("--metrics", "mine.py:SHARE")
    assert dlfbench(tmp_path, *run, *named, cache=shared_cache).returncode == 0
    assert dlfbench(tmp_path, "compare", "run", "mv", "staple", *named, cache=shared_cache).returncode == 0
    (tmp_path / "mine.py").write_text(_SHARE.format(worst="lambda pair: 0.0").replace("True", "False"))
    other = dlfbench(tmp_path, "compare", "run", "mv", "staple", *named, cache=shared_cache)
    assert other.returncode == 2
    assert "values of share are of a metric of that name that has other code" in " ".join(other.stderr.split())
    assert dlfbench(tmp_path, "compare", "run", "mv", "staple", cache=shared_cache).returncode == 0
    again = dlfbench(tmp_path, *run, *named, cache=shared_cache)
    assert again.returncode == 0, again.stderr
    assert dlfbench(tmp_path, "compare", "run", "mv", "staple", *named, cache=shared_cache).returncode == 0


@pytest.mark.slow
def test_broken_packages_of_every_kind_are_listed_with_the_reason_and_break_nothing(
    tmp_path: Path, shared_cache: Path
) -> None:
    broken = {"missing": "import nowhere", "raising": "1 / 0", "exiting": "raise SystemExit(3)", "odd": "THING = 3"}
    for name, code in broken.items():
        entries = "".join(f"[dlfbench.{group}]\n{name} = {name}:THING\n" for group in GROUPS)
        install(tmp_path, name, entries, code)
    for name in ("one-dist", "other-dist"):
        code = "from dlfbench_baselines.mv import MajorityVoting as THING"
        install(tmp_path, name, f"[dlfbench.segmenters]\ntwin = {name.replace('-', '_')}:THING\n", code)
    doctor = dlfbench(tmp_path, "doctor", cache=shared_cache)
    assert doctor.returncode == 0, doctor.stderr
    listed = [line for line in doctor.stdout.splitlines() if line.startswith(("missing", "raising", "exiting"))]
    assert len(listed) == 3 * len(GROUPS), doctor.stdout
    for what in ("methods", "registrations", "datasets", "metrics", "sections"):
        done = dlfbench(tmp_path, "list", what, cache=shared_cache)
        assert done.returncode == 0, done.stderr
        for reason in ("nowhere is not installed", "ZeroDivisionError", "SystemExit"):
            assert reason in done.stdout, what
    both = "one-dist: one_dist:THING; other-dist: other_dist:THING"
    for use, said in (("twin", both), ("raising", "ZeroDivisionError"), ("odd", "expected a function fuse")):
        done = dlfbench(tmp_path, "run", "--methods", f"mv,{use}", "--dry-run", cache=shared_cache)
        assert done.returncode == 2
        assert said in done.stderr
    done = dlfbench(tmp_path, "check-plugin", "one-dist:twin", cache=shared_cache)
    assert done.returncode == 0, done.stdout
