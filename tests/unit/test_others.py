"""Other tools' definitions: columns of theirs beside ours, and what is said where one is not installed."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from builders import write_dataset
from dlfbench.errors import InputError
from dlfbench.metrics import others
from dlfbench.metrics.others import OTHER_TOOLS, Masks
from dlfbench.records.others import find_tools, means_beside

Cli = Callable[..., tuple[int, str]]
SHAPE = (12, 12, 12)


def needs(tool: str) -> None:
    if not OTHER_TOOLS[tool].installed:
        pytest.skip(f"{OTHER_TOOLS[tool].package} is not installed")


def box(*sides: tuple[int, int]) -> np.ndarray:
    mask = np.zeros(SHAPE, bool)
    mask[tuple(slice(*side) for side in sides)] = True
    return mask


def masks(*, spacing_mm: tuple[float, float, float] = (1.0, 1.0, 1.0)) -> Masks:
    """A cube of 64 voxels, predicted one voxel off along z: 48 shared."""
    reference, prediction = box((3, 7), (3, 7), (3, 7)), box((3, 7), (3, 7), (4, 8))
    return Masks(prediction, reference, spacing_mm, 1.0)


@pytest.mark.parametrize("tool", OTHER_TOOLS)
def test_each_tool_agrees_on_dice(tool: str) -> None:
    needs(tool)
    values, errors = OTHER_TOOLS[tool].measure(masks())
    assert values["dice"] == pytest.approx(0.75)
    assert not errors


@pytest.mark.parametrize("tool", ["medpy", "monai", "surface-distance"])
def test_axes_and_spacing_are_given_in_the_tool_s_own_order(tool: str) -> None:
    needs(tool)
    values, _ = OTHER_TOOLS[tool].measure(masks(spacing_mm=(1.0, 2.0, 5.0)))
    assert values["hd_mm"] == pytest.approx(5)


def test_what_a_tool_raises_is_a_missing_value_with_its_words() -> None:
    needs("medpy")
    empty = replace(masks(), prediction=np.zeros(SHAPE, bool))
    values, errors = OTHER_TOOLS["medpy"].measure(empty)
    assert values["dice"] == 0
    assert np.isnan(values["hd95_mm"])
    assert errors["hd95_mm"].startswith("RuntimeError")


def test_pooled_and_directed_percentiles_differ_where_one_side_errs() -> None:
    needs("medpy")
    needs("monai")
    reference = box((1, 6), (1, 6), (1, 6))
    both = Masks(reference | box((9, 11), (9, 11), (9, 11)), reference, (1.0, 1.0, 1.0), 1.0)
    pooled = OTHER_TOOLS["medpy"].measure(both)[0]["hd95_mm"]
    assert pooled < OTHER_TOOLS["monai"].measure(both)[0]["hd95_mm"]


def test_unknown_and_missing_tools_are_refused_at_once_with_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    gone = replace(OTHER_TOOLS["medpy"], module="no_such_module")
    monkeypatch.setitem(others.OTHER_TOOLS, "medpy", gone)
    with pytest.raises(InputError) as refusal:
        find_tools(["medpy", "mdpy"])
    assert refusal.value.problems == (
        "--as medpy: MedPy is not installed; run: pip install MedPy",
        "--as: expected one of medpy, monai, surface-distance, nnunet; found 'mdpy'",
    )


def test_means_are_over_rows_where_both_have_a_value() -> None:
    table = pd.DataFrame(
        {
            "method": "mv",
            "dice": [0.8, 0.0, np.nan],
            "medpy_dice": [0.8, 0.0, 1.0],
            "hd95_mm": [2.0, 50.0, np.nan],
            "medpy_hd95_mm": [1.0, np.nan, np.nan],
            "assd_mm": [1.0, 50.0, np.nan],
            "medpy_assd_mm": [1.0, np.inf, np.nan],
        }
    )
    assert means_beside(table, OTHER_TOOLS["medpy"]) == [
        ("mv", "dice", "0.4000", "0.4000", 2, 3),
        ("mv", "hd95_mm", "2.0000", "1.0000", 1, 3),
        ("mv", "assd_mm", "1.0000", "1.0000", 1, 3),
    ]


def test_score_as_writes_the_other_tool_s_numbers_beside_ours(tmp_path: Path, dlfbench: Cli) -> None:
    needs("medpy")
    data = write_dataset(tmp_path / "tiny", people=2, sides="L")
    labels = data / "labelsTr"
    arguments = ("--predictions", labels, "--references", labels, "--out", tmp_path / "scored")
    code, text = dlfbench("score", *arguments, "--as", "medpy")
    assert code == 0, text
    assert "both directions pooled" in text
    table = pd.read_csv(tmp_path / "scored" / "as-medpy.csv")
    assert len(table) == 4
    assert (table[["medpy_dice", "dice"]] == 1).all(axis=None)
    assert (table[["medpy_hd95_mm", "hd95_mm", "medpy_assd_mm"]] == 0).all(axis=None)
    assert table["version"].str.startswith("MedPy ").all()
