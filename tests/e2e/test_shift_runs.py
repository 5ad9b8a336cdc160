"""Changed copies of a test set through the command line."""

from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from benchmarks.publish import publish
from builders import write_dataset

pytestmark = pytest.mark.figures

Cli = Callable[..., tuple[int, str]]


@pytest.mark.slow
def test_changed_copies_are_test_sets_of_their_own(dlfbench: Cli, tmp_path: Path) -> None:
    data = write_dataset(tmp_path / "data", people=3, sides="L")
    flags = ["--data", data, "--hold-out", "0.3", "--methods", "mv", "--out", tmp_path / "run"]
    code, text = dlfbench("run", *flags, "--shift", "inversion:5", "--shift", "blur:1")
    assert code == 0, text
    scores = pd.read_csv(tmp_path / "run" / "results.csv").query("method == 'mv'")
    assert set(scores["test_set"]) == {"in-domain", "inversion-5", "blur-1"}
    assert (scores["status"] == "ok").all()
    assert scores.groupby("test_set")["person"].unique().map(tuple).nunique() == 1
    names = {path.name for path in (tmp_path / "run" / "segmentations" / "mv").rglob("*.nii.gz")}
    assert any("~inversion-5" in name for name in names)
    assert "inversion-5" in (tmp_path / "run" / "report" / "index.html").read_text()
    drawn = {path.stem for path in (tmp_path / "run" / "report" / "figures").glob("severity*.svg")}
    assert drawn == {"severity_inversion_in-domain", "severity_blur_in-domain"}
    publish([tmp_path / "run"], tmp_path / "published", images=True)
    files = {path.name: path.read_bytes() for path in (tmp_path / "published").rglob("*") if path.is_file()}
    assert {"index.html", "study.toml", "results.parquet", "summary.csv", "severity_blur_in-domain.svg"} <= set(files)
    assert files["index.html"].count(b"image/webp") > 0
    assert not any(str(tmp_path).encode() in content for content in files.values())
