"""The tables of every published study, made again from its results: equal to those that were published."""

from pathlib import Path

import pandas as pd
import pytest

from dlfbench.report.basis.basis import read_basis
from dlfbench.report.sections import (
    budgets,
    calibration,
    claims,
    comparisons,
    curves,
    ensembles,
    losses,
    ranking,
    repeatability,
    subgroups,
    summary,
    trainings,
    trust,
    volumes,
)

REPORTS = Path(__file__).resolve().parents[2] / "reports"
STUDIES = sorted(str(path.parent.relative_to(REPORTS)) for path in REPORTS.rglob("results.parquet"))
MADE_OF_RESULTS = (
    *(summary, comparisons, ranking, losses, volumes, claims, trainings, ensembles, calibration, trust, subgroups),
    *(repeatability, curves, budgets),
)


def read(text_or_path) -> pd.DataFrame:
    return pd.read_csv(text_or_path, keep_default_na=False)


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
        pd.testing.assert_frame_equal(again, published, check_exact=True)
