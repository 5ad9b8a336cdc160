"""What came of one image that was to be segmented, and the tables that list them."""

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from dlfbench.datasets.cases import LabelSet
from dlfbench.metrics.expectation import LEVEL
from dlfbench.use.quality import Quality


@dataclass(frozen=True)
class Segmented:
    """One image that was asked for.

    Attributes:
        name: Its name.
        path: The label map, in the order and on the grid of the image's file; None where it failed.
        reason: Why it failed.
        flags: What is odd about the image, and registrations that look wrong: atlas and what.
        volumes_mm3: Of each foreground label.
        quality: What is expected of each foreground label.
    """

    name: str
    path: Path | None
    reason: str = ""
    flags: tuple[str, ...] = ()
    volumes_mm3: tuple[float, ...] = ()
    quality: tuple[Quality, ...] = ()

    @property
    def all_flags(self) -> tuple[str, ...]:
        """Those of its labels first."""
        return (*(f"{q.label}: {flag}" for q in self.quality for flag in q.flags), *self.flags)


def volumes_table(done: Sequence[Segmented], labels: LabelSet) -> str:
    """Volumes in mm³ by image and label, as a table."""
    heads = ["image", "status", *(f"{name}_mm3" for _, name in labels.foreground), "to_look_at"]
    rows = []
    for one in done:
        sizes = [f"{volume:.1f}" for volume in one.volumes_mm3] or [""] * len(labels.foreground)
        rows.append([one.name, one.reason or "ok", *sizes, str(len(one.all_flags))])
    return _table(heads, rows)


def quality_table(done: Sequence[Segmented]) -> str:
    """Expected Dice by image and label, as a table; a flag a semicolon apart."""
    heads = ["image", "label", "expected_dice", f"lower_bound_{LEVEL * 100:.0f}", "flags"]
    rows = [
        [one.name, q.label, *("" if v != v else f"{v:.4f}" for v in (q.expected, q.bound)), "; ".join(q.flags)]
        for one in done
        for q in one.quality
    ]
    return _table(heads, rows)


def _table(heads: list[str], rows: list[list[str]]) -> str:
    text = io.StringIO()
    table = csv.writer(text, delimiter="\t", lineterminator="\n")
    table.writerow(heads)
    table.writerows(rows)
    return text.getvalue()
