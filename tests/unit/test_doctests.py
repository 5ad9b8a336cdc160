"""Examples in docstrings are true."""

import doctest
from importlib import import_module

import pytest

MODULES = [
    "dlfbench.datasets.cases",
    "dlfbench.datasets.mapping",
    "dlfbench.datasets.shifts",
    "dlfbench.files",
    "dlfbench.metrics.scores",
    "dlfbench.report.basis.statistics",
    "dlfbench.report.shown.format",
    "dlfbench.segmenters.specs",
    "dlfbench.study.protocol",
    "dlfbench.wording",
]


@pytest.mark.parametrize("module", MODULES)
def test_examples_are_true(module: str) -> None:
    found = doctest.testmod(import_module(module))
    assert found.attempted
    assert not found.failed
