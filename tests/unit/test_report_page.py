"""The page says what the analysis says, shows every name as text, and needs nothing from outside."""

import re

import pytest

from dlfbench.report import headline, write_report
from dlfbench.report.basis.scores import ALL_LABELS
from page_reader import Reader
from synthetic_run import fail, make_results, make_run

pytestmark = pytest.mark.figures


def test_tags_close_and_ids_are_unique(read):
    assert read.open == []
    assert len(read.ids) == len(set(read.ids))


def test_every_link_in_the_page_has_its_place(read):
    anchors = [source[1:] for source in read.sources if source.startswith("#")]
    assert anchors
    assert set(anchors) <= set(read.ids)


def test_nothing_comes_from_the_network(page, read):
    assert all(source.startswith(("data:", "#", "tables/")) for source in read.sources)
    assert not re.search(r"@import|url\(http|fetch\(|XMLHttpRequest", page)


def test_linked_files_are_there(reported_run, read):
    files = [source for source in read.sources if source.startswith("tables/")]
    assert files
    assert all((reported_run / "report" / name).is_file() for name in files)


def test_every_figure_and_table_is_a_file_too(reported_run, read):
    folder = reported_run / "report"
    vector, bitmap = ({path.stem for path in (folder / "figures").glob(f"*.{kind}")} for kind in ("svg", "png"))
    assert vector == bitmap
    assert len(vector) == len(set(read.alts))
    names = {path.stem for path in (folder / "tables").glob("*.tex")}
    assert names == {
        *("overview", "results_in-domain", "results_uint8", "ranks_by_metric", "comparisons", "losses", "lost"),
        *("ranks", "volumes", "bounds", "worst", "costs", "time"),
    }
    assert (folder / "tables" / "comparisons.md").read_text().count("\n") == 2 + 2 * 3


def test_names_and_reasons_are_text(page, read):
    assert "<script>alert" not in page
    assert "tail <b>" not in page
    assert "tail &lt;b&gt;" in page
    assert read.explorers["table-failures"]["rows"][0][-1] == "RuntimeError: <script>alert(1)</script>"


def test_every_figure_says_what_it_shows(read):
    assert len(read.alts) > 10
    assert all(len(alt) > 30 for alt in read.alts)


def test_the_incomplete_method_is_named(read):
    text = " ".join(read.text)
    assert "svwv is not ranked: 1 of 24 cases have no result." in text
    assert "23/24" in text


def test_the_settings_are_there(read):
    text = " ".join(read.text)
    for part in ('name = "made-up"', "3.11.0", "in-domain-00L", "Holm", "95th-percentile Hausdorff distance"):
        assert part in text


def test_the_terminal_and_the_page_agree(reported_run, analysis):
    table = headline(reported_run)
    assert table.columns[:3] == ("test set", "method", "n/N")
    assert table.columns[-1] == "HD95 mm"
    rows = {(str(row[0]), str(row[1])): [str(cell) for cell in row[2:]] for row in table.rows}
    assert rows["uint8", "svwv"][0] == "23/24"
    assert rows["in-domain", "jlf"][-2] == f"{analysis.row('in-domain', 'jlf', ALL_LABELS, 'dice')['mean']:.3f}"
    assert ("in-domain", "mean single candidate") in rows


def test_the_same_run_makes_the_same_page(reported_run, page):
    assert write_report(reported_run).read_text() == page


def test_one_method_makes_a_page(tmp_path):
    results = make_results(persons=3)
    few = results[(results["test_set"] == "uint8") & (results["method"] == "mv") & (results["label"] == 1)]
    page = write_report(make_run(tmp_path, few)).read_text()
    assert 'id="comparisons"' not in page
    assert 'id="pair"' not in page
    assert 'id="generalization"' not in page


def test_a_run_where_all_failed_makes_a_page(tmp_path):
    results = make_results(persons=2)
    results = results[results["kind"] == "method"]
    for method in ("mv", "svwv", "jlf"):
        for case in results["case"].unique():
            results = fail(results, method, case, reason="MemoryError: out of memory")
    read = Reader(write_report(make_run(tmp_path, results)).read_text())
    assert len(read.explorers["table-failures"]["rows"]) == 24
