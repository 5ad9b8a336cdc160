"""Deep label fusion and the U-Net through the command line."""

from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from builders import write_dataset

Cli = Callable[..., tuple[int, str]]


@pytest.mark.slow
def test_dlf_and_unet_run_in_a_study_and_leave_curves(dlfbench: Cli, tmp_path: Path) -> None:
    data = write_dataset(tmp_path / "data", people=5, sides="L")
    small = "steps=30,features=4,preset=quick"
    methods = f"mv,simple,dlf[{small},watched=0.3],unet[{small}],votenet[{small}]"
    flags = ["--data", data, "--hold-out", "0.3", "--methods", methods, "--out", tmp_path / "run"]
    code, text = dlfbench("run", *flags)
    assert code == 0, text
    scores = pd.read_csv(tmp_path / "run" / "results.csv")
    dlf, mv = (scores[scores["method"].str.startswith(name)]["dice"].mean() for name in ("dlf", "mv"))
    assert dlf > mv - 0.1
    assert (scores["status"] == "ok").all()
    curves = list((tmp_path / "run" / "tasks" / "fit").glob("*/curves.csv"))
    columns = sorted(len(pd.read_csv(path).columns) for path in curves)
    assert columns == [2, 2, 3]  # a validation where cases are kept aside
    assert "Training of dlf" in (tmp_path / "run" / "report" / "index.html").read_text()
