"""Registrations by name: entry points in the group `dlfbench.registrations`."""

from collections.abc import Mapping
from typing import Any

from dlfbench import plugins
from dlfbench.parameters import build
from dlfbench.registration.interface import Registration


def make_registration(name: str, settings: Mapping[str, Any]) -> Registration:
    """Builds a registration from its registered name and settings.

    Raises:
        InputError: Unknown registration, unknown setting, wrong type or value.
    """
    made: Registration = build(plugins.load(plugins.REGISTRATIONS, name), settings, where=f"registration {name!r}")
    return made
