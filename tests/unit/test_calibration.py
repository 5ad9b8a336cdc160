"""Calibration: counts by hand, means over persons, and what the report shows of them."""

import numpy as np
import pandas as pd
import pytest

from dlfbench.datasets.cases import LabelSet
from dlfbench.fusion.posterior import Posterior
from dlfbench.images import UNKNOWN
from dlfbench.metrics.calibration import BINS, CALIBRATION_COLUMNS, calibration
from dlfbench.records.merge import merge
from dlfbench.records.record import read_record, write_record
from dlfbench.records.results import write_table
from dlfbench.report.basis.basis import read_basis
from dlfbench.report.basis.calibration import calibrated, reliability
from dlfbench.report.sections.calibration import CALIBRATION
from synthetic_run import LABELS, make_run

pytestmark = pytest.mark.figures

ONE = LabelSet((0, 1), ("background", "one"))


def shares(*of_one: float) -> Posterior:
    """A posterior of (2, x, 1, 1)."""
    one = np.array(of_one, np.float32)[:, None, None]
    return Posterior.of_dense(np.stack([1 - one, one]), (0, 1))


def counted(found: list[dict[str, float]], name: str) -> list[float]:
    return [bin_[name] for bin_ in found]


def test_voxels_are_counted_by_their_share():
    found = calibration(shares(0.05, 0.75, 0.75, 1.0), np.array([0, 1, 0, 1])[:, None, None], ONE, spacing_mm=(1, 1, 1))
    assert counted(found[1], "voxels") == [1, 0, 0, 0, 0, 0, 0, 2, 0, 1]
    assert counted(found[1], "expected") == pytest.approx([0.05, 0, 0, 0, 0, 0, 0, 1.5, 0, 1.0])
    assert counted(found[1], "observed") == [0, 0, 0, 0, 0, 0, 0, 1, 0, 1]
    assert counted(found[1], "squared") == pytest.approx([0.0025, 0, 0, 0, 0, 0, 0, 0.625, 0, 0])


def test_what_is_not_known_or_far_away_does_not_count():
    reference = np.zeros((30, 1, 1), int)
    reference[[0, 1, 2]] = [[[1]], [[UNKNOWN]], [[0]]]
    found = calibration(shares(*[0.5] * 30), reference, ONE, spacing_mm=(2, 1, 1))
    assert sum(counted(found[1], "voxels")) == 5  # 10 mm are 5 voxels beyond the only one, and one is not known
    assert calibration(shares(0.5), np.ones((1, 1, 1), int), ONE, spacing_mm=(1, 1, 1), undrawn=(1,)) == {}
    assert calibration(shares(0.5), np.zeros((1, 1, 1), int), ONE, spacing_mm=(1, 1, 1)) == {}


def counts(persons=6, methods=("mv", "jlf"), sharpness=(0.0, 0.2)) -> pd.DataFrame:
    """Each bin holds 100 voxels; of the second method's, 0.2 too few have the label."""
    rows = []
    for person in range(persons):
        for method, wrong in zip(methods, sharpness, strict=True):
            for label, name in LABELS.items():
                head = {"method": method, "fold": 0, "test_set": "in-domain", "case": f"in-domain-{person:02d}L"}
                head |= {"person": f"in-domain-{person:02d}", "label": label, "label_name": name}
                for place in range(BINS):
                    share = (place + 0.5) / BINS
                    many = {"voxels": 100.0, "expected": 100 * share, "observed": 100 * max(share - wrong, 0)}
                    rows.append({**head, "bin": place, **many, "squared": 100 * share * (1 - share)})
    return pd.DataFrame(rows, columns=list(CALIBRATION_COLUMNS))


def test_error_and_brier_score_are_means_over_persons():
    found = calibrated(counts(), seed=0).set_index(["method", "label_name"])
    assert found.loc[("mv", "anterior"), "ece"] == pytest.approx(0)
    shortfall = (0.05 + 0.15 + 8 * 0.2) / 10
    assert found.loc[("jlf", "all labels"), "ece"] == pytest.approx(shortfall)
    assert found.loc[("mv", "anterior"), "brier"] == pytest.approx(
        np.mean([s * (1 - s) for s in np.arange(0.05, 1, 0.1)])
    )
    assert set(found["persons"]) == {6}


def test_every_person_weighs_the_same_in_the_diagram():
    table = counts(persons=2, methods=("mv",), sharpness=(0.0,))
    second = table["person"] == "in-domain-01"
    table.loc[second, ["voxels", "expected"]] *= 1000
    table.loc[second, "observed"] = 0
    found = reliability(table, ["anterior"])
    assert np.allclose(found["observed"], found["expected"] / 2)


def test_the_section_shows_table_diagram_and_who_gave_no_posterior(tmp_path):
    run = make_run(tmp_path / "run")
    assert CALIBRATION.make(read_basis(run)) is None
    write_table(counts(), run / "calibration.parquet")
    content = CALIBRATION.make(read_basis(run))
    assert content.text[-1] == "No posteriors of svwv."
    assert len(content.tables["calibration"].rows) == 2 * (len(LABELS) + 1)
    assert [picture.name for picture in content.pictures] == ["calibration_in-domain"]
    assert b"in-domain, " in content.pictures[0].content
    assert CALIBRATION.folded


def test_it_survives_being_merged_and_written(tmp_path):
    run, other = make_run(tmp_path / "run"), make_run(tmp_path / "other")
    write_table(counts(), run / "calibration.parquet")
    write_record(merge([read_record(run), read_record(other)]), tmp_path / "merged")
    assert len(read_record(tmp_path / "merged").calibration) == len(counts())


def test_a_point_of_the_diagram_rests_on_more_than_a_few_voxels():
    table = counts(persons=1, methods=("mv",), sharpness=(0.0,))
    table.loc[table["bin"] == 3, ["voxels", "expected", "observed"]] *= 0.49
    assert list(reliability(table, ["anterior"])["bin"]) == [0, 1, 2, 4, 5, 6, 7, 8, 9]


def test_opposite_errors_of_two_trainings_do_not_cancel():
    table = counts(methods=("dlf",), sharpness=(0.2,))
    away = 100 * (table["bin"] + 0.5) / BINS - table["observed"]
    other = table.assign(fold=1, observed=table["observed"] + 2 * away)
    found = calibrated(pd.concat([table, other], ignore_index=True), seed=0)
    alone = calibrated(table, seed=0)
    assert found["ece"].tolist() == pytest.approx(alone["ece"].tolist())
    assert found["brier"].tolist() == pytest.approx(alone["brier"].tolist())


def test_a_voxel_counts_once_in_the_diagram_however_many_trainings_tested_it():
    table = counts(persons=1, methods=("mv",), sharpness=(0.0,))
    table.loc[table["bin"] == 3, ["voxels", "expected", "observed"]] *= 0.49
    found = reliability(pd.concat([table.assign(fold=fold) for fold in range(3)]), ["anterior"])
    assert list(found["bin"]) == [0, 1, 2, 4, 5, 6, 7, 8, 9]
