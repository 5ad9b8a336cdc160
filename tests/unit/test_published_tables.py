"""The tables of every published study, made again from its results: equal to those that were published."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from dlfbench.report.basis.basis import read_basis
from dlfbench.report.basis.comparison import LEVEL, smallest_adjusted_p
from dlfbench.report.sections import comparisons, losses, ranking, summary, volumes

REPORTS = Path(__file__).resolve().parents[2] / "reports"
STUDIES = sorted(path.parent.name for path in REPORTS.glob("*/results.parquet"))
MADE_OF_RESULTS = (summary, comparisons, ranking, losses, volumes)


def read(text_or_path) -> pd.DataFrame:
    return pd.read_csv(text_or_path, keep_default_na=False)


def with_former_marks(table: pd.DataFrame, basis) -> pd.DataFrame:
    """`not worse` again where so few persons can decide nothing, as reports marked until November 2026."""
    families = basis.comparisons.groupby(["test_set", "label", "metric"]).agg(
        persons=("persons", "max"), tests=("p", "count")
    )
    keys = zip(table["test_set"], table["label"], table["metric"], strict=True)
    few = np.array([smallest_adjusted_p(*families.loc[key].astype(int)) >= LEVEL for key in keys])
    taking_part = (table["kind"] == "method") & table["complete"] & (table["mean"] != "")
    lost = taking_part & (table["mark"] == "") & few
    return table.assign(mark=table["mark"].mask(lost, "not worse"))


@pytest.mark.slow
@pytest.mark.parametrize("study", STUDIES)
def test_tables_and_p_values_are_those_that_were_published(study: str, tmp_path: Path) -> None:
    basis = read_basis(REPORTS / study)
    contents = [module.make(basis) for module in MADE_OF_RESULTS]
    frames = {name: frame for content in contents if content for name, frame in content.frames.items()}
    assert {"summary", "comparisons", "ranks", "volumes"} <= set(frames)
    for name, frame in frames.items():
        frame.to_csv(tmp_path / "again.csv", index=False, float_format="%.9g", lineterminator="\n")
        again, published = read(tmp_path / "again.csv"), read(REPORTS / study / "tables" / f"{name}.csv")
        if name == "summary" and not again.equals(published):
            again = with_former_marks(again, basis)
        pd.testing.assert_frame_equal(again, published, check_exact=True)
