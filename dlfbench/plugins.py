"""Extension points: everything that can be plugged in is found through entry points, ours included.

A name in use is one of: `NAME`, an entry point; `DISTRIBUTION:NAME`, where two distributions claim one name;
`FILE.py:NAME`, an object of a single file; `python:NAME`, an object that a script gave to `dlfbench.run`.

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
from dlfbench.plugin_files import is_file, load_file

SEGMENTERS = "dlfbench.segmenters"
REGISTRATIONS = "dlfbench.registrations"
DATASETS = "dlfbench.datasets"
METRICS = "dlfbench.metrics"
READERS = "dlfbench.readers"
SECTIONS = "dlfbench.sections"

WHAT = {
    SEGMENTERS: "method",
    REGISTRATIONS: "registration",
    DATASETS: "dataset",
    METRICS: "metric",
    READERS: "kind of data",
    SECTIONS: "section",
}

_GIVEN = "python:"
_given: dict[tuple[str, str], Any] = {}


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


def names(group: str) -> tuple[str, ...]:
    """Every name in the group. Imports nothing."""
    return tuple(_claims(group))


def load(group: str, name: str) -> Any:
    """The object of that name; imports nothing else.

    Raises:
        InputError: Unknown (the known ones are listed, the nearest suggested) or not available (why, and what to do).
    """
    if is_file(name):
        return load_file(name)
    if name.startswith(_GIVEN):
        return _given_object(group, name)
    claims = _claims(group)
    distribution, colon, own_name = name.partition(":")
    entries = claims.get(own_name if colon else name, [])
    if colon:
        entries = [entry for entry in entries if _distribution(entry) == distribution]
    if not entries:
        raise InputError(unknown(WHAT[group], name, claims))
    plugin = _plugin(name, entries)
    if plugin.reason:
        raise InputError(f"{WHAT[group]} {name!r} is not available: {plugin.reason}")
    return plugin.loaded


def give(group: str, name: str, thing: Any) -> str:
    """Makes an object known for the lifetime of this process; returns the name to use."""
    _given[group, f"{_GIVEN}{name}"] = thing
    return f"{_GIVEN}{name}"


def unknown(what: str, name: str, known: Iterable[str], *, show: Callable[[str], str] = str) -> str:
    """One line for a name that does not exist: what is known, as `show` writes it, and the nearest."""
    names = sorted(known)
    nearest = difflib.get_close_matches(name, names, n=1)
    hint = f"; did you mean {nearest[0]!r}?" if nearest else ""
    return f"unknown {what} {name!r}; known: {', '.join(map(show, names)) or 'none'}{hint}"


def _given_object(group: str, name: str) -> Any:
    if (group, name) not in _given:
        raise InputError(
            f"{WHAT[group]} {name!r} was defined in a script or notebook and given to dlfbench.run; "
            "run that again, or give another run folder"
        )
    return _given[group, name]


def _plugin(name: str, entries: list[EntryPoint]) -> Plugin:
    by_source = {f"{_distribution(entry)}: {entry.value}": entry for entry in entries}
    if len(by_source) > 1:
        names = sorted({f"{_distribution(entry)}:{entry.name}" for entry in entries})
        which = f"say which, as {' or '.join(names)}, or remove one" if len(names) > 1 else "remove one"
        sources = "; ".join(sorted(by_source))
        return Plugin(name, sources, reason=f"two plugins claim this name ({sources}); {which}")
    (source, entry), *_ = by_source.items()
    try:
        return Plugin(name, source, loaded=entry.load())
    except ModuleNotFoundError as error:
        missing = (error.name or "").partition(".")[0]
        return Plugin(name, source, reason=f"{missing} is not installed; run: pip install {missing}")
    except (Exception, SystemExit) as error:  # anything may go wrong in a stranger's module, and must stay there
        return Plugin(name, source, reason=f"importing {source} failed: {type(error).__name__}: {error}")


def _distribution(entry: EntryPoint) -> str:
    return entry.dist.name if entry.dist else "?"


def reload_plugins() -> None:
    """Forgets what was found; for tests and for sessions that install a plugin."""
    importlib.invalidate_caches()
    _claims.cache_clear()
