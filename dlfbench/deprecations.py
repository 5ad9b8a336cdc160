"""What is on its way out: still there for a release, with a warning that says what to use instead."""

import warnings
from dataclasses import dataclass


@dataclass(frozen=True)
class Deprecation:
    """A public name, parameter or flag that is going.

    Attributes:
        what: As users write it, such as `dlfbench.Verdict` or `mv[ties]`.
        instead: What to write from now on.
        since: Version that first warned.
        gone_in: Version without it; a test fails where that version still has it.
    """

    what: str
    instead: str
    since: str
    gone_in: str

    def warn(self) -> None:
        """Warns the caller of the caller."""
        warnings.warn(
            f"{self.what} is deprecated since dlfbench {self.since} and gone in {self.gone_in}: use {self.instead}",
            DeprecationWarning,
            stacklevel=3,
        )


NAMES: dict[str, Deprecation] = {}
"""By name in `dlfbench`; the new name is `instead`, less `dlfbench.`."""

OTHERS: tuple[Deprecation, ...] = ()
"""Parameters, flags and columns, each warned of where it is read."""


def every() -> tuple[Deprecation, ...]:
    """All that is on its way out."""
    return (*NAMES.values(), *OTHERS)
