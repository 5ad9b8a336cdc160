"""The report as one offline HTML page, made from the ordered list of sections."""

import logging
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import jinja2
import pandas as pd
from markupsafe import Markup

from dlfbench.report.basis.basis import Basis
from dlfbench.report.section import Content, Section, in_order
from dlfbench.report.sections import OWN_SECTIONS
from dlfbench.report.shown import format as say
from dlfbench.report.shown.embed import data_uri, explorer
from dlfbench.report.shown.figure_style import Picture
from dlfbench.report.shown.tables import Table
from dlfbench.report.shown.templates import templates

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Made:
    """A section of this report.

    Attributes:
        section: Which one.
        content: What it says; empty where it could not be made.
        problem: Why it could not be made.
    """

    section: Section
    content: Content
    problem: str = ""


@dataclass(frozen=True)
class Report:
    """A report, made and not yet written."""

    basis: Basis
    made: Sequence[Made]

    @property
    def pictures(self) -> list[Picture]:
        """Every figure, in the order of the page."""
        return [picture for made in self.made for picture in made.content.pictures]

    @property
    def tables(self) -> Mapping[str, Table]:
        """Tables for papers, by file name."""
        return {name: table for made in self.made for name, table in made.content.tables.items()}

    @property
    def frames(self) -> Mapping[str, pd.DataFrame]:
        """Numbers unrounded, by file name."""
        return {name: frame for made in self.made for name, frame in made.content.frames.items()}

    def page(self, folder: Path) -> str:
        """The page, to lie in that folder. Every name that comes from data, studies or plugins is escaped."""
        environment = _environment(folder)
        bodies = [(made, _body(environment, self.basis, made)) for made in self.made]
        return environment.get_template("page.html.j2").render(
            basis=self.basis, record=self.basis.record, say=say, bodies=bodies, subtitle=_subtitle(self.basis)
        )


def make_report(basis: Basis, more: Sequence[Section] = ()) -> Report:
    """Computes and draws every section: ours, then these, then the folded ones.

    Raises:
        InputError: Two sections have one name.
    """
    made = (_make(section, basis) for section in in_order(OWN_SECTIONS, more))
    return Report(basis, list(_each_its_files(one for one in made if one is not None)))


def _each_its_files(every: Iterable[Made]) -> Iterator[Made]:
    """The sections, less the content of those that would write over a file of one before."""
    taken: dict[str, str] = {}
    for made in every:
        content = made.content
        files = [f"tables/{name}.csv" for name in content.frames] + [f"tables/{name}.tex" for name in content.tables]
        files += [f"figures/{picture.name}" for picture in content.pictures]
        twice = [file for file in files if file in taken]
        if twice:
            log.warning("report: section %s left out: %s", made.section.name, ", ".join(twice))
            problem = f"it writes {twice[0]}, as the section {taken[twice[0]]!r} does; give it another name"
            yield Made(made.section, Content(), problem)
        else:
            taken |= dict.fromkeys(files, made.section.name)
            yield made


def _make(section: Section, basis: Basis) -> Made | None:
    try:
        content = section.make(basis)
    except Exception as error:
        return Made(section, Content(), _explain(section, error))
    return None if content is None else Made(section, content)


def _subtitle(basis: Basis) -> str:
    description = basis.record.data.description
    counts = [
        say.count(len(basis.methods), "method"),
        say.count(len(basis.scores), "test set"),
        say.count(len(basis.record.labels), "label"),
    ]
    return f"{basis.record.dataset}{f': {description}' if description else ''} · {', '.join(counts)}"


def _environment(folder: Path) -> jinja2.Environment:
    environment = templates("dlfbench.report")
    environment.filters |= {"data_uri": data_uri, "explorer": explorer}
    environment.filters["link"] = lambda path: Path(os.path.relpath(path, folder)).as_posix()
    environment.globals["say"] = say
    environment.globals["show"] = environment.get_template("macros.html.j2").module
    return environment


def _body(environment: jinja2.Environment, basis: Basis, made: Made) -> Markup:
    """The section's HTML, by its own template or the general one; what is wrong where that cannot be made."""
    problem = made.problem
    if not problem:
        try:
            return _filled(environment, basis, made.section, made.content)
        except Exception as error:
            problem = _explain(made.section, error)
    return Markup(environment.get_template("problem.html.j2").render(problem=problem))


def _filled(environment: jinja2.Environment, basis: Basis, section: Section, content: Content) -> Markup:
    if section.template is None:
        template = environment.get_template("section.html.j2")
    else:
        template = environment.from_string(section.template.read_text(encoding="utf-8"))
    parts = {"text": content.text, "tables": content.tables, "pictures": content.pictures}
    return Markup(template.render(basis=basis, **parts, **content.shown))


def _explain(section: Section, error: Exception) -> str:
    """Why a section is missing: one of them, perhaps a stranger's, must not cost the report of a run of days."""
    log.warning("report: section %s could not be made", section.name, exc_info=error)
    return f"{type(error).__name__}: {error}"
