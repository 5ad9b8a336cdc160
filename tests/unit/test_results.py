"""Results are written whole, in one order, and read back as they were."""

import os
import stat
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from dlfbench.errors import InputError, reason_of
from dlfbench.metrics import known
from dlfbench.metrics.known import METRICS, MORE_METRICS, TAKEN_NAMES
from dlfbench.plugin_files import load_file
from dlfbench.plugins import Plugin
from dlfbench.records.folder import write_text
from dlfbench.records.results import METRIC_COLUMNS, RESULT_COLUMNS, read_results, write_results


def rows():
    table = []
    for method in ["mv", "jlf"]:
        for case in ["b", "a"]:
            row = dict.fromkeys(RESULT_COLUMNS, 1 / 3) | {"method": method, "kind": "method", "fold": 0, "case": case}
            row |= {"test_set": "in-domain", "person": case, "label": 1, "label_name": "organ", "status": "ok"}
            table.append(row | {"reference_empty": False, "prediction_empty": True, "reason": None})
    failed = table[0] | dict.fromkeys(METRIC_COLUMNS) | {"status": "failed", "reason": "it, too, failed\n"}
    table[0] = failed | {"reference_empty": None, "prediction_empty": None}
    return pd.DataFrame(table)


def test_any_order_of_rows_and_columns_makes_the_same_files(tmp_path):
    write_results(rows(), tmp_path / "a")
    write_results(rows().iloc[::-1, ::-1], tmp_path / "b")
    for name in ["results.csv", "results.parquet"]:
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


def test_reads_back_what_was_written(tmp_path):
    write_results(rows(), tmp_path)
    found = read_results(tmp_path)
    assert list(found) == list(RESULT_COLUMNS)
    assert list(found["method"]) == ["jlf", "jlf", "mv", "mv"]
    assert found["dice"].isna().sum() == 1
    assert found.loc[found["status"] == "failed", "reason"].item() == "it, too, failed\n"
    assert found["prediction_empty"].isna().sum() == 1


def test_nothing_half_written_stays(tmp_path, monkeypatch):
    write_results(rows(), tmp_path)
    before = (tmp_path / "results.csv").read_bytes()

    def full(*_args, **_settings):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(pd.DataFrame, "to_csv", full)
    with pytest.raises(OSError, match="No space"):
        write_results(rows().assign(dice=0.5), tmp_path)
    assert (tmp_path / "results.csv").read_bytes() == before
    assert {path.name for path in tmp_path.iterdir()} == {"results.csv", "results.parquet"}


def test_a_row_given_twice_is_refused(tmp_path):
    with pytest.raises(ValueError, match="two rows for"):
        write_results(pd.concat([rows(), rows()]), tmp_path)


def test_missing_columns_are_named(tmp_path):
    with pytest.raises(ValueError, match="lack the columns person, dice"):
        write_results(rows().drop(columns=["dice", "person"]), tmp_path)


def test_no_run_folder_is_said(tmp_path):
    with pytest.raises(InputError, match="expected the folder of a run"):
        read_results(tmp_path)


def test_a_damaged_file_is_said(tmp_path):
    (tmp_path / "results.parquet").write_bytes(b"PAR1 half")
    with pytest.raises(InputError, match="collect the run again"):
        read_results(tmp_path)


def test_every_metric_is_a_column():
    assert set(METRIC_COLUMNS) == {metric.name for metric in METRICS} <= set(RESULT_COLUMNS)
    assert np.all([len(text) > 3 for text in RESULT_COLUMNS.values()])


def test_no_metric_of_a_plugin_has_the_name_of_another_column(tmp_path, monkeypatch):
    others = set(RESULT_COLUMNS) - {metric.name for metric in MORE_METRICS}
    assert others <= TAKEN_NAMES
    names = [*sorted(others), "bound", "atlas", "calibration", "own"]
    text = "from dlfbench import Metric\n"
    for name in names:
        text += (
            f"{name.upper()} = Metric({name!r}, 'Title', '', True, 'What it is.', lambda pair: 1.0, lambda pair: 0.0)\n"
        )
    (tmp_path / "m.py").write_text(text)
    named = [f"{tmp_path / 'm.py'}:{name.upper()}" for name in names]
    monkeypatch.setattr(known, "named_metrics", lambda: tuple(named))
    with pytest.raises(InputError) as caught:
        known._of_files(())
    assert len(caught.value.problems) == len(names) - 1
    plugins = [Plugin(name, "package", load_file(use)) for name, use in zip(names, named, strict=True)]
    *refused, fine = [known._checked(plugin) for plugin in plugins]
    assert all("of no other column" in plugin.reason for plugin in refused)
    assert not fine.reason


@pytest.mark.skipif(os.name != "posix", reason="permissions of POSIX")
def test_others_may_read_what_a_run_says_of_itself_as_the_umask_says(tmp_path: Path) -> None:
    mask = os.umask(0o022)
    try:
        write_text(tmp_path / "new" / "study.toml", "seed = 0\n")
    finally:
        os.umask(mask)
    assert (tmp_path / "new" / "study.toml").read_text() == "seed = 0\n"
    assert stat.S_IMODE((tmp_path / "new" / "study.toml").stat().st_mode) == 0o644
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["study.toml"]


def test_what_a_stranger_raises_is_said_in_few_words() -> None:
    class Silent(Exception):
        def __str__(self) -> str:
            raise RuntimeError("no text")

    assert reason_of(ValueError("odd")) == "ValueError: odd"
    assert reason_of(Silent()) == "Silent"
    long = reason_of(ValueError("x" * 10**6), cut=" and so on")
    assert long.startswith("ValueError: xxx")
    assert long.endswith("x and so on")
    assert len(long) < 2100
