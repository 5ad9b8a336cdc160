"""The fusion methods through the command line."""

from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

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


@pytest.mark.slow
def test_corrective_learning_and_jlf_on_the_most_similar_run_in_a_study(dlfbench: Cli, tmp_path: Path) -> None:
    data = write_dataset(tmp_path / "data", people=5, sides="L")
    methods = [
        "mv_cl=corrected[host=mv,rounds=20]",
        "jlf3_cl=corrected[rounds=20,host=jlf[beta=4,top=3]]",
        "jlf[top=2]",
    ]
    flags = ["--data", data, "--hold-out", "0.3", "--methods", ",".join(methods), "--out", tmp_path / "run"]
    code, text = dlfbench("run", *flags)
    assert code == 0, text
    scores = pd.read_csv(tmp_path / "run" / "results.csv")
    for method in ("mv_cl", "jlf3_cl", "jlf[top=2]"):
        assert (scores[scores["method"] == method]["dice"] > 0.5).all(), method


def test_an_unknown_host_is_found_before_anything_runs(dlfbench: Cli, tmp_path: Path) -> None:
    data = write_dataset(tmp_path / "data", people=3, sides="L")
    code, text = dlfbench("run", "--data", data, "--methods", "corrected[host=mw]", "--out", tmp_path / "run")
    assert code == 2
    assert "unknown label fusion method 'mw'; known: jlf, mv, simple, staple, svwv" in " ".join(text.split())
    assert not (tmp_path / "run").exists()
