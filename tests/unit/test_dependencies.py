"""What the project imports is what pyproject.toml declares, and the other way round."""

import ast
import sys
import tomllib
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
OWN = {"dlfbench", "dlfbench_baselines", "benchmarks", *(path.stem for path in (ROOT / "tests").rglob("*.py"))}
NOT_IMPORTED = {"picsl-greedy", "pandas-stubs", "mypy", "ruff", "pytest-timeout", "pytest-xdist"}
"""Used as programs, by tools, or by other libraries for us."""
OPTIONAL = {"dask_jobqueue", "medpy", "panoptica", "seg_metrics", "surface_distance", "a_library_that_nobody_has"}
"""Where it is asked for, the text says how to install it; of tests: what must not be there."""
BY_NAME = {"distributed", "dask", "dask-jobqueue", "pyarrow"}
"""Also named in text, such as pandas' `engine="pyarrow"`."""


def declared(*extras: str) -> dict[str, Requirement]:
    """Requirements by distribution: those of everybody, and of these extras."""
    texts = [*PROJECT["dependencies"], *(text for extra in extras for text in PROJECT["optional-dependencies"][extra])]
    found = {canonicalize_name(one.name): one for one in map(Requirement, texts)}
    return {name: one for name, one in found.items() if name != "dlfbench"}


def imported(*tops: str) -> dict[str, set[str]]:
    """Modules of other distributions that files import, each with the files that do."""
    found: dict[str, set[str]] = {}
    for path in (path for top in tops for path in (ROOT / top).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) and not node.level else []
            for name in {name.partition(".")[0] for name in names} - OWN - set(sys.stdlib_module_names):
                found.setdefault(name, set()).add(str(path.relative_to(ROOT)))
    return found


@pytest.mark.parametrize(
    ("tops", "extras"),
    [(("dlfbench", "baselines"), ()), (("tests", "benchmarks"), ("test", "dev", "slurm"))],
    ids=["the package", "its tests"],
)
def test_everything_imported_is_declared(tops: tuple[str, ...], extras: tuple[str, ...]) -> None:
    known, distributions = declared(*extras), metadata.packages_distributions()
    lacking = {
        module: sorted(files)[:3]
        for module, files in imported(*tops).items()
        if not {canonicalize_name(name) for name in distributions.get(module, [module])} & set(known)
    }
    assert set(lacking) <= OPTIONAL, lacking


def test_everything_declared_is_used() -> None:
    distributions = metadata.packages_distributions()
    used = {canonicalize_name(name) for module in imported("dlfbench", "baselines")
            for name in distributions.get(module, [])}  # fmt: skip
    assert not set(declared()) - used - NOT_IMPORTED - BY_NAME


def test_what_reaches_into_private_parts_has_an_upper_bound() -> None:
    assert any(spec.operator.startswith("<") for spec in declared()["nnunetv2"].specifier)
