"""The fusion methods through the command line."""

from collections.abc import Callable
from pathlib import Path

import pandas as pd

from builders import write_dataset

Cli = Callable[..., tuple[int, str]]


def test_staple_and_atlas_selection_run_in_a_study(dlfbench: Cli, tmp_path: Path) -> None:
    data = write_dataset(tmp_path / "data", people=3, sides="L")
    flags = ["--data", data, "--hold-out", "0.3", "--methods", "staple,mv[top=1]", "--out", tmp_path / "run"]
    code, text = dlfbench("run", *flags)
    assert code == 0, text
    scores = pd.read_csv(tmp_path / "run" / "results.csv")
    assert set(scores["method"]) >= {"staple", "mv[top=1]"}
    assert (scores.query("method == 'staple'")["dice"] > 0.5).all()
    assert 'top = "none"' in (tmp_path / "run" / "study.toml").read_text()
