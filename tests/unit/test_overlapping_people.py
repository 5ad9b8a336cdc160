"""Losses where two test sets have people in common, and the picture of what is lost."""

import numpy as np
import pandas as pd
import pytest

from dlfbench.report.basis.generalization import drop_differences, drops
from dlfbench.report.basis.scores import ALL_LABELS, arrange_scores
from synthetic_run import make_results

METHODS, LABELS = ("mv", "jlf"), ("anterior", "posterior", "tail <b>")


def visits(missing=()):
    """The same people twice: at baseline, and worse a year later."""
    results = make_results(methods={"mv": 0.86, "jlf": 0.88})
    first = results[(results["kind"] == "method") & (results["test_set"] == "in-domain")]
    noise = np.random.default_rng(1).normal(0, 0.002, len(first))
    second = first.assign(test_set="later", case="later" + first["case"], dice=first["dice"] - 0.02 + noise)
    second = second[~second["person"].isin(missing)]
    about = {"methods": METHODS, "labels": LABELS, "seed": 0}
    return [arrange_scores(pd.concat([first, second]), test_set=name, **about) for name in ("in-domain", "later")]


def test_people_of_both_visits_are_compared_with_themselves_though_one_is_away():
    whole, lacking = (visits(missing) for missing in ((), ("in-domain-03",)))
    for test_sets, persons in ((whole, 12), (lacking, 11)):
        table = drops(test_sets, METHODS)
        row = table[(table["metric"] == "dice") & (table["label"] == ALL_LABELS) & (table["method"] == "mv")].iloc[0]
        assert (row["home_persons"], row["away_persons"]) == (persons, persons)
        assert row["drop"] == pytest.approx(0.02, abs=0.001)
        assert row["high"] - row["low"] < 0.004  # people differ by ten times as much
        lost = drop_differences(test_sets, METHODS).set_index("label").loc[ALL_LABELS]
        assert (lost["home_persons"], lost["away_persons"]) == (persons, persons)
        assert lost["high"] - lost["low"] < 0.004


def test_of_few_people_in_common_nothing_is_paired():
    away = [f"in-domain-{i:02d}" for i in range(12)]
    home, later = visits()
    strangers = arrange_scores(
        make_results(methods={"mv": 0.86, "jlf": 0.88}, seed=4)
        .query("kind == 'method' and test_set == 'in-domain'")
        .assign(test_set="later", person=lambda t: t["person"].where(t["person"] < away[3], "x" + t["person"])),
        test_set="later",
        methods=METHODS,
        labels=LABELS,
        seed=0,
    )
    assert len(set(home.persons) & set(strangers.persons)) == 3
    assert home.persons == later.persons
    row = drops([home, strangers], METHODS).iloc[0]
    assert (row["home_persons"], row["away_persons"]) == (12, 12)
