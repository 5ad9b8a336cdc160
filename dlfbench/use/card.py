"""The model card of a packed method: what it is for people who did not train it."""

from collections.abc import Mapping
from typing import Any

import pandas as pd


def model_card(about: Mapping[str, Any], results: pd.DataFrame) -> str:
    """Markdown: method, training, how it was tested, how it is used.

    Args:
        about: What the package says of itself.
        results: Rows of the run's results.
    """
    labels = ", ".join(f"{name} ({value})" for name, value in about["labels"].items() if value)
    parameters = ", ".join(f"`{name} = {value!r}`" for name, value in about["parameters"].items())
    atlases = (
        "Atlases are inside."
        if about["has_atlases"]
        else "It fuses atlases, which are not inside: pack it with `--with-atlases` to segment with it elsewhere."
        if about["needs_atlases"]
        else "It needs no atlases."
    )
    cases, folds = len(about["training_cases"]), len(about["folds"])
    rows = results[(results["method"] == about["method"]) & (results["kind"] == "method")]
    versions = ", ".join(f"{name} {version}" for name, version in about["versions"].items())
    return f"""# {about["method"]}

Segments {labels} in {" and ".join(about["modalities"])}. {parameters}

- Trained in study `{about["study"]}` on {cases} cases of {about["dataset"]}, folds: {folds};
  `package.json` has their names and digests.
- {atlases}
- Licence: {about["licence"] or "not stated"}.
- Made with {versions}.

## How it was tested

{_table(rows)}

Means over test cases that were segmented; {_trainings(rows)}`results.csv` has every case. Nothing is known of images
unlike these. It is for research, and no medical device.

## How to use it

    dlfbench segment THIS.zip '{about["method"]}' IMAGES --out FOLDER
"""


def _table(rows: pd.DataFrame) -> str:
    """One row per test set and label; a case failed where one of the trainings that tested it failed."""
    lines = ["| test set | label | cases | failed | Dice | HD95 (mm) |", "|---|---|---|---|---|---|"]
    for (test_set, label), group in rows.groupby(["test_set", "label_name"], sort=False):
        cases = group.assign(done=group["status"] == "ok").groupby("case")
        done = cases[["dice", "hd95_mm"]].mean()[cases["done"].all()]
        means = f"{done['dice'].mean():.4f} | {done['hd95_mm'].mean():.2f}" if len(done) else "– | –"
        lines.append(f"| {test_set} | {label} | {len(cases)} | {len(cases) - len(done)} | {means} |")
    return "\n".join(lines)


def _trainings(rows: pd.DataFrame) -> str:
    """In how many trainings, of folds or of seeds, a case was tested, where that is more than one."""
    counts = rows.groupby(["test_set", "case"], sort=False)["fold"].nunique().groupby("test_set", sort=False).max()
    several = [f"{number} in {name}" for name, number in counts[counts > 1].items()]
    return f"a case's value is the mean over trainings ({', '.join(several)}); " * bool(several)
