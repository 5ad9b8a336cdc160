"""Registrations by name: entry points in the group `dlfbench.registrations`."""

from collections.abc import Mapping
from dataclasses import is_dataclass
from typing import Any

from dlfbench import plugins
from dlfbench.errors import InputError
from dlfbench.parameters import build
from dlfbench.registration.interface import Registration


def make_registration(name: str, settings: Mapping[str, Any]) -> Registration:
    """Builds a registration from its registered name and settings.

    Raises:
        InputError: Unknown registration, unknown setting, wrong type or value.
    """
    kind = plugins.load(plugins.REGISTRATIONS, name)
    if not (is_dataclass(kind) and isinstance(kind, type) and hasattr(kind, "warp") and hasattr(kind, "version")):
        raise InputError(
            f"registration {name!r}: expected a frozen dataclass with warp and version, found {kind!r}; "
            "see docs/add-a-registration.md"
        )
    made: Any = build(kind, settings, where=f"registration {name!r}")
    return made  # type: ignore[no-any-return]
