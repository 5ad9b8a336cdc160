"""How a label map is scored against the reference of a case: of a run's methods, and of predictions made elsewhere."""

from dataclasses import dataclass
from typing import Any

from dlfbench.datasets.cases import Case, LabelSet
from dlfbench.images import Grid, LabelArray
from dlfbench.metrics.scores import Reference


@dataclass(frozen=True)
class Judge:
    """A case whose reference is read.

    Attributes:
        reference: Label map (x, y, z), `UNKNOWN` where nothing is to be known.
        grid: Of the reference.
        scored: What label maps are scored against.
    """

    reference: LabelArray
    grid: Grid
    scored: Reference

    @classmethod
    def of(cls, case: Case, labels: LabelSet, tolerance_mm: float) -> "Judge":
        """Reads the reference of a case.

        Raises:
            InputError: It cannot be read.
        """
        reference, grid = case.read_reference()
        scored = Reference.of(
            reference, labels=labels, spacing_mm=grid.spacing_mm, tolerance_mm=tolerance_mm, undrawn=case.undrawn
        )
        return cls(reference, grid, scored)

    def check_grid(self, grid: Grid, where: str) -> None:
        """Raises ValueError where a label map is not on the reference's grid."""
        if not grid.matches(self.grid):
            raise ValueError(f"{where}: grid {grid.describe()} is not the reference's {self.grid.describe()}")

    def rows(self, prediction: LabelArray) -> list[dict[str, Any]]:
        """Metric values of a label map (x, y, z) on the reference's grid: a row per foreground label."""
        return [score.row() for score in self.scored.scores(prediction)]
