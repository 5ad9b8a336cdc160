"""One made-up run and its page, for all tests that only read them."""

import pytest

from dlfbench.report import write_report
from dlfbench.report.basis.basis import read_basis
from page_reader import Reader
from synthetic_run import fail, make_results, make_run

FAILED_CASE = "uint8-03L"


@pytest.fixture(scope="session")
def reported_run(tmp_path_factory):
    """A run in which svwv failed on one case, with its report."""
    run = make_run(tmp_path_factory.mktemp("run"), fail(make_results(), "svwv", FAILED_CASE))
    write_report(run)
    return run


@pytest.fixture(scope="session")
def page(reported_run):
    return (reported_run / "report" / "index.html").read_text()


@pytest.fixture(scope="session")
def read(page):
    return Reader(page)


@pytest.fixture(scope="session")
def analysis(reported_run):
    return read_basis(reported_run)
