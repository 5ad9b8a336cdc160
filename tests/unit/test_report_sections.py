"""Sections of one's own: found as plugins, given their place, named where they cannot be made."""

from pathlib import Path

import pytest

from dlfbench.errors import InputError
from dlfbench.report import Content, Section
from dlfbench.report.basis.basis import read_basis
from dlfbench.report.page import make_report
from dlfbench.report.section import in_order, more_sections
from dlfbench.report.sections import OWN_SECTIONS
from dlfbench.report.shown.embed import data_uri
from dlfbench.report.shown.figure_style import Picture
from synthetic_run import fail, make_results, make_run

pytestmark = pytest.mark.figures

OWN = """
import pandas as pd
from dlfbench.report import Cell, Content, Section, Table, finish, new_axes

def make(basis):
    axes = new_axes(3, 2)
    axes.plot([0, 1])
    picture = finish(axes, name="own-line", title="A line", alt="A line that rises from left to right.")
    table = Table(title="Own", columns=("a",), rows=((Cell("<i>"),),))
    return Content(text=["<b>said</b>"], tables={"own": table}, frames={"own": pd.DataFrame({"a": [1]})},
                   pictures=[picture])

OWN = Section(name="own", title="My own", make=make)
NOTHING = Section(name="nothing", title="Nothing", make=lambda basis: None)
BROKEN = Section(name="broken", title="Broken", make=lambda basis: 1 / 0)
TAKEN = Section(name="results", title="Taken", make=make)
THING = 3
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "own_section.py"
    path.write_text(OWN)
    return path


@pytest.fixture(scope="module")
def basis(tmp_path_factory):
    return read_basis(make_run(tmp_path_factory.mktemp("run"), make_results(persons=2, labels={1: "one"})))


def own(file):
    (section,) = more_sections([f"{file}:OWN"])
    return section.make


def only(basis, monkeypatch, *sections):
    """A report of these sections alone."""
    monkeypatch.setattr("dlfbench.report.page.OWN_SECTIONS", ())
    return make_report(basis, sections)


def test_one_file_is_a_section_with_page_tables_and_figure(basis, file, monkeypatch, tmp_path):
    report = only(basis, monkeypatch, *more_sections([f"{file}:OWN", f"{file}:NOTHING"]))
    page = report.page(tmp_path)
    assert '<section id="own">' in page
    assert '<a href="#own">My own</a>' in page
    assert "&lt;b&gt;said&lt;/b&gt;" in page
    assert "&lt;i&gt;" in page
    assert "Nothing" not in page
    assert ([*report.frames], [*report.tables], [p.name for p in report.pictures]) == (["own"], ["own"], ["own-line"])


def test_a_template_beside_the_file_is_used(basis, file, monkeypatch, tmp_path):
    file.with_suffix(".html.j2").write_text("<h3>mine</h3>{{ show.table(tables.own) }}{{ basis.methods | length }}")
    page = only(basis, monkeypatch, *more_sections([f"{file}:OWN"])).page(tmp_path)
    assert "<h3>mine</h3>" in page
    assert "said" not in page


def test_a_section_that_fails_is_named_and_costs_nothing_else(basis, file, monkeypatch, tmp_path, caplog):
    file.with_suffix(".html.j2").write_text("{{ nowhere.at.all }}")
    page = only(basis, monkeypatch, *more_sections([f"{file}:OWN", f"{file}:BROKEN"])).page(tmp_path)
    assert "This section could not be made: ZeroDivisionError: division by zero" in page
    assert "This section could not be made: UndefinedError" in page
    assert "section broken could not be made" in caplog.text


def test_a_section_does_not_write_over_the_files_of_another(basis, file, monkeypatch, tmp_path):
    first, second = (Section(name=name, title=name, make=make) for name in ("one", "two") for make in [own(file)])
    report = only(basis, monkeypatch, first, second)
    assert list(report.frames) == ["own"]
    assert "it writes tables/own.csv, as the section &#39;one&#39; does" in report.page(tmp_path)


def test_what_is_no_section_is_said_all_at_once(file):
    with pytest.raises(InputError) as caught:
        more_sections([f"{file}:THING", f"{file}:ELSE", "unheard-of"])
    assert len(caught.value.problems) == 3
    assert "expected a dlfbench.report.Section, found int" in caught.value.problems[0]


def test_two_sections_of_one_name_are_refused(file):
    with pytest.raises(InputError, match="two sections are called 'results'"):
        in_order(OWN_SECTIONS, more_sections([f"{file}:TAKEN"]))


def test_open_sections_come_before_folded_ones():
    mine = Section(name="mine", title="Mine", make=lambda basis: Content())
    order = in_order(OWN_SECTIONS, [mine])
    folded = [section.folded for section in order]
    assert folded == sorted(folded)
    assert order[folded.index(True) - 1] is mine


def test_no_section_of_ours_fails(page):
    assert "could not be made" not in page


def failed_everywhere(results):
    for method in ("mv", "svwv", "jlf"):
        for case in set(results["case"]):
            results = fail(results, method, case)
    return results


def perfect(results):
    whole = results["reference_volume_mm3"]
    right = {"dice": 1.0, "surface_dice": 1.0, "hd95_mm": 0.0, "assd_mm": 0.0, "volume_error": 0.0}
    return results.assign(**right, prediction_volume_mm3=whole)


def nothing_found(results):
    nan = float("nan")
    wrong = {"dice": 0.0, "surface_dice": 0.0, "hd95_mm": nan, "assd_mm": nan, "volume_error": -1.0}
    changed = results.assign(**wrong, prediction_volume_mm3=0.0, prediction_empty=True)
    return changed.where(results["kind"] == "method", results)


@pytest.mark.slow
@pytest.mark.parametrize("change", [failed_everywhere, perfect, nothing_found, lambda results: results.head(3)])
def test_no_section_of_ours_fails_of_odd_results(change, tmp_path, caplog):
    results = change(make_results(persons=2, labels={1: "one"}))
    make_report(read_basis(make_run(tmp_path, results)))
    assert not caplog.records


def test_figures_keep_their_text_and_lose_only_what_is_not_seen():
    svg = '<?xml version="1.0"?><svg><!-- c --><path d="M 1.23456 7"/><text>0.875 &lt; 5% "x" #1</text></svg>'
    found = str(data_uri(Picture("n", "t", "a", svg.encode())))
    assert found == "data:image/svg+xml,<svg><path d='M 1.23 7'/><text>0.875 %26lt; 5%25 'x' %231</text></svg>"
