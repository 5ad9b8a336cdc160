"""What a section of a report is: data in; frames, tables and pictures out.

A section is one file, with a template of the same name beside it where the general one does not do:

    def make(basis: Basis) -> Content | None: ...

    AGE = Section(name="age", title="Dice against age", make=make)

The page, its navigation and the folders tables/ and figures/ are made from the ordered list of sections; what a section
leaves out (it gives None) is nowhere.
"""

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pandas as pd

from dlfbench import plugins
from dlfbench.errors import InputError
from dlfbench.report.basis.basis import Basis
from dlfbench.report.shown.figure_style import Picture
from dlfbench.report.shown.tables import Table


@dataclass(frozen=True, kw_only=True)
class Content:
    """What one section of one report says.

    Attributes:
        text: Paragraphs; the general template shows them first.
        tables: By file name: shown by the general template, and written to tables/ as LaTeX and Markdown.
        frames: By file name: numbers unrounded, written to tables/ as CSV with nine digits.
        pictures: Shown by the general template, and written to figures/.
        shown: What the section's own template needs besides, by name.
    """

    text: Sequence[str] = ()
    tables: Mapping[str, Table] = field(default_factory=dict)
    frames: Mapping[str, pd.DataFrame] = field(default_factory=dict)
    pictures: Sequence[Picture] = ()
    shown: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Section:
    """A part of a report.

    Attributes:
        name: Its anchor in the page, unique.
        title: Its heading, and its entry in the navigation.
        make: Computes and draws it; None where the run has nothing for it.
        folded: Shown closed, for those who look for it.
    """

    name: str
    title: str
    make: Callable[[Basis], Content | None]
    folded: bool = False

    @property
    def summary(self) -> str:
        """What it shows, in a line: the first of `make`'s docstring, or else the title."""
        return (self.make.__doc__ or self.title).strip().split("\n")[0]

    @property
    def template(self) -> Path | None:
        """The template beside the file in which `make` is written; None where there is none."""
        path = Path(inspect.getfile(self.make)).with_suffix(".html.j2")
        return path if path.is_file() else None


def more_sections(uses: Sequence[str] = ()) -> list[Section]:
    """Sections of installed packages (entry point group `dlfbench.sections`), then those named.

    Args:
        uses: `FILE.py:NAME` or names of entry points.

    Raises:
        InputError: A section that is named does not exist or cannot be used; every problem at once.
    """
    installed = [plugin.loaded for plugin in known_section_plugins() if not plugin.reason]
    named: list[Section] = []
    problems: list[str] = []
    for use in uses:
        try:
            named.append(_section(plugins.load(plugins.SECTIONS, use), use))
        except InputError as error:
            problems += error.problems
    if problems:
        raise InputError(problems)
    return [*installed, *(section for section in named if section not in installed)]


def known_section_plugins() -> list[plugins.Plugin]:
    """Sections of the entry point group `dlfbench.sections`, with the reason where one cannot be used."""
    return [_checked(plugin) for plugin in plugins.plugins(plugins.SECTIONS).values()]


def in_order(own: Sequence[Section], more: Sequence[Section]) -> list[Section]:
    """Sections as the page shows them: ours, others', and then what is folded.

    Raises:
        InputError: Two sections have one name.
    """
    every = [*own, *more]
    names = [section.name for section in every]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise InputError([f"two sections are called {name!r}; give yours another name" for name in twice])
    return sorted(every, key=lambda section: section.folded)


def _checked(plugin: plugins.Plugin) -> plugins.Plugin:
    if plugin.reason or isinstance(plugin.loaded, Section):
        return plugin
    return replace(plugin, loaded=None, reason=_not_a_section(plugin.loaded))


def _section(loaded: Any, use: str) -> Section:
    if not isinstance(loaded, Section):
        raise InputError(f"section {use!r}: {_not_a_section(loaded)}")
    return loaded


def _not_a_section(found: Any) -> str:
    return f"expected a dlfbench.report.Section, found {type(found).__name__}"
