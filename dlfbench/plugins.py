"""Extension points: everything that can be plugged in is found through entry points, ours included.

A plugin that cannot be imported, or whose name two distributions claim, is listed with the reason and never breaks
anything else.
"""

import difflib
import importlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from dlfbench.errors import InputError

SEGMENTERS = "dlfbench.segmenters"
REGISTRATIONS = "dlfbench.registrations"
DATASETS = "dlfbench.datasets"

WHAT = {SEGMENTERS: "method", REGISTRATIONS: "registration", DATASETS: "dataset"}


@dataclass(frozen=True)
class Plugin:
    """One name in an entry point group.

    Attributes:
        name: What users write.
        source: Distribution and object, such as `dlfbench: dlfbench_baselines.mv:MajorityVoting`.
        loaded: The object, None where it is not available.
        reason: Why it is not available, and what to do; empty where it is.
    """

    name: str
    source: str
    loaded: Any = None
    reason: str = ""

    @property
    def summary(self) -> str:
        """First line of the docstring."""
        return (getattr(self.loaded, "__doc__", None) or "").strip().split("\n")[0]


@cache
def _claims(group: str) -> dict[str, list[EntryPoint]]:
    claims: dict[str, list[EntryPoint]] = {}
    for entry in entry_points(group=group):
        claims.setdefault(entry.name, []).append(entry)
    return dict(sorted(claims.items()))


def plugins(group: str) -> dict[str, Plugin]:
    """Every plugin of the group, by name, available or not. Imports them all."""
    return {name: _plugin(name, entries) for name, entries in _claims(group).items()}


def load(group: str, name: str) -> Any:
    """The object of that name; imports nothing else.

    Raises:
        InputError: Unknown (the known ones are listed, the nearest suggested) or not available (why, and what to do).
    """
    claims = _claims(group)
    if name not in claims:
        raise InputError(unknown(WHAT[group], name, claims))
    plugin = _plugin(name, claims[name])
    if plugin.reason:
        raise InputError(f"{WHAT[group]} {name!r} is not available: {plugin.reason}")
    return plugin.loaded


def unknown(what: str, name: str, known: Iterable[str], *, show: Callable[[str], str] = str) -> str:
    """One line for a name that does not exist: what is known, as `show` writes it, and the nearest."""
    names = sorted(known)
    nearest = difflib.get_close_matches(name, names, n=1)
    hint = f"; did you mean {nearest[0]!r}?" if nearest else ""
    return f"unknown {what} {name!r}; known: {', '.join(map(show, names)) or 'none'}{hint}"


def _plugin(name: str, entries: list[EntryPoint]) -> Plugin:
    sources = sorted({f"{entry.dist.name if entry.dist else '?'}: {entry.value}" for entry in entries})
    if len(sources) > 1:
        return Plugin(
            name, "; ".join(sources), reason=f"two plugins claim this name ({'; '.join(sources)}); remove one"
        )
    try:
        return Plugin(name, sources[0], loaded=entries[0].load())
    except ModuleNotFoundError as error:
        missing = (error.name or "").partition(".")[0]
        return Plugin(name, sources[0], reason=f"{missing} is not installed; run: pip install {missing}")
    except Exception as error:  # anything may go wrong in a stranger's module, and must stay there
        return Plugin(name, sources[0], reason=f"importing {sources[0]} failed: {type(error).__name__}: {error}")


def reload_plugins() -> None:
    """Forgets what was found; for tests and for sessions that install a plugin."""
    importlib.invalidate_caches()
    _claims.cache_clear()
