"""What a model card says of how a method was tested."""

import pandas as pd

from dlfbench.use.card import model_card
from synthetic_run import fail, make_results

ABOUT = {
    "method": "dlf", "study": "made-up", "dataset": "nowhere", "labels": {"background": 0, "anterior": 1},
    "modalities": ["T1w"], "parameters": {}, "has_atlases": True, "needs_atlases": True, "training_cases": ["a", "b"],
    "folds": [0], "licence": "", "versions": {"dlfbench": "0.1.0"},
}  # fmt: skip
ROWS = make_results(persons=2, methods={"dlf": 0.9}, bounds={}, labels={1: "anterior"})


def test_cases_are_counted_once_however_often_they_were_tested():
    trained = pd.concat([ROWS.assign(fold=fold, dice=0.8 + 0.01 * fold) for fold in range(3)], ignore_index=True)
    trained.loc[trained["case"] == "uint8-00L", "dice"] += 0.1
    failed = pd.concat([fail(trained[trained["fold"] == 2], "dlf", "in-domain-01R"), trained[trained["fold"] < 2]])
    card = model_card(ABOUT, failed)
    assert "| in-domain | anterior | 4 | 1 | 0.8100 |" in card
    assert "| uint8 | anterior | 4 | 0 | 0.8350 |" in card
    assert "the mean over trainings (3 in in-domain, 3 in uint8)" in card


def test_of_one_training_nothing_is_said_of_trainings():
    card = model_card(ABOUT, ROWS)
    assert "| in-domain | anterior | 4 | 0 |" in card
    assert "trainings" not in card
