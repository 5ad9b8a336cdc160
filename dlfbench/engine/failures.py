"""Failures, each counted and told once: what fails because something that it needs has failed is no further one."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dlfbench.engine.worker import Outcome


class Failures:
    """The failures of a start, as they come."""

    def __init__(self) -> None:
        self.count = 0
        self._known: set[str] = set()

    def is_new(self, outcome: "Outcome") -> bool:
        """Whether a task failed of itself, or of a task of an earlier start that was not told of in this one."""
        if outcome.status != "failed":
            return False
        new = outcome.cause not in self._known
        self._known |= {outcome.key, outcome.cause} - {""}
        self.count += new
        return new
