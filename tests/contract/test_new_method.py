"""What `dlfbench new-method` writes keeps the contract as it is, and is never written over anything."""

import re
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest

from dlfbench.segmenters.contract.suite import check_plugin

Cli = Callable[..., tuple[int, str]]


@pytest.mark.parametrize(
    ("name", "options"), [("my_fusion", []), pytest.param("my_net", ["--trains"], marks=pytest.mark.slow)]
)
def test_the_method_keeps_the_contract_as_made(name: str, options: list[str], tmp_path: Path, dlfbench: Cli) -> None:
    code, text = dlfbench("new-method", name, *options, "--folder", tmp_path)
    assert code == 0
    assert f"pip install -e {tmp_path / name}" in text
    project = tomllib.loads((tmp_path / name / "pyproject.toml").read_text())
    module, _, kind = project["project"]["entry-points"]["dlfbench.segmenters"][name].partition(":")
    verdict = check_plugin(f"{tmp_path / name / module}.py:{kind}")
    assert verdict.passed, str(verdict)
    for file in (tmp_path / name).iterdir():
        assert not re.search(r"\$[a-z]", file.read_text())
        compile(file.read_text(), file.name, "exec") if file.suffix == ".py" else None


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("My-Fusion", "small letters"),
        ("class", "small letters"),
        ("random", "a module of that name"),
        ("jlf", "a method of that name is installed"),
    ],
)
def test_names_that_cannot_be_used_are_refused(name: str, said: str, tmp_path: Path, dlfbench: Cli) -> None:
    code, text = dlfbench("new-method", name, "--folder", tmp_path)
    assert code == 2
    assert said in text
    assert not list(tmp_path.iterdir())


def test_nothing_is_overwritten(tmp_path: Path, dlfbench: Cli) -> None:
    (tmp_path / "mine").mkdir()
    code, text = dlfbench("new-method", "mine", "--folder", tmp_path)
    assert code == 2
    assert "not overwritten" in text
    assert not list((tmp_path / "mine").iterdir())
