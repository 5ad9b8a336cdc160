"""Strange inputs by the hundred, see `bad_inputs`: refused with the right words, or accepted; never a traceback."""

from pathlib import Path

import numpy as np
import pytest

from bad_inputs import HARMLESS, REFUSED, judge, verdicts
from builders import write_dataset


@pytest.mark.parametrize("kind", [*list(REFUSED)[::8], *list(HARMLESS)[::6]])
def test_a_sample_of_strange_inputs(kind: str, tmp_path: Path) -> None:
    good = write_dataset(tmp_path / "good", people=4, sides="L", groups=("a", "b"))
    verdict = judge(kind, good, tmp_path, np.random.default_rng(1))
    assert verdict.right, f"{verdict.outcome}: {verdict.text}"


@pytest.mark.slow
def test_300_strange_inputs(tmp_path: Path) -> None:
    wrong = [verdict for verdict in verdicts(300, tmp_path) if not verdict.right]
    assert not wrong, "\n".join(f"{v.kind}: {v.outcome}\n{v.text}" for v in wrong)
