"""What the documentation says is run: its commands, its code, its two lines of set-up."""

import re
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from builders import write_dataset
from conftest import SHARED_DATA
from dlfbench import plugins
from dlfbench.cli.study_flags import study_from_flags
from dlfbench.results import read_results
from synthetic_run import make_results, make_run

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
Cli = Callable[..., tuple[int, str]]


def commands() -> list[tuple[str, str]]:
    """Every command of the pages, without its comment, with the first page that has it."""
    lines = [(page.name, line.strip()) for page in PAGES for line in page.read_text().splitlines()]
    found = [(line.split("  #")[0].strip(), page) for page, line in lines if line.startswith("dlfbench ")]
    return [(page, line) for line, page in dict(reversed(found)).items()]


def blocks(page: str, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", (ROOT / "docs" / page).read_text(), flags=re.S)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_dataset(tmp_path_factory.mktemp("data") / "tiny", people=9, groups="abc")


@pytest.fixture
def own_methods(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, type]:
    """The methods of docs/add-a-method.md, as if their package were installed."""
    made: dict[str, type] = {}
    for code, (name, kind) in zip(
        blocks("add-a-method.md", "python"), (("gw", "GlobalWeighting"), ("bright", "Brightness")), strict=True
    ):
        file = re.match(r"# (\w+)\.py", code)
        assert file is not None
        (tmp_path / f"{file[1]}.py").write_text(code)
        monkeypatch.syspath_prepend(tmp_path)
        made[name] = getattr(__import__(file[1]), kind)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    known = plugins.load
    monkeypatch.setattr(plugins, "load", lambda group, name: made.get(name) or known(group, name))
    return made


@pytest.mark.parametrize(("page", "line"), sorted(commands()))
def test_commands_of_the_pages_are_accepted(
    page: str,
    line: str,
    data: Path,
    tmp_path: Path,
    dlfbench: Cli,
    own_methods: dict[str, type],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if "get msd" in line or "--scheduler" in line or "| verify" in line:
        pytest.skip("needs a network, a scheduler, or is a choice of commands: tested elsewhere")
    monkeypatch.chdir(tmp_path)
    for run, method in (("RUN", None), ("RUN1", "mv"), ("RUN2", "jlf")):
        if run in line.split():
            made = make_results(persons=2, labels={1: "whole"})
            make_run(tmp_path / run, made[(made["method"] == method) | (method is None)].reset_index(drop=True))
    words = {"FOLDER": str(data), "msd-hippocampus": str(SHARED_DATA / "Task04_Hippocampus")}
    arguments = [words.get(word, word) for word in line.split()[1:]]
    if "..." in arguments or ("msd-hippocampus" in line and not SHARED_DATA.is_dir()):
        pytest.skip("leaves something out, or needs real data that are not here")
    code, text = dlfbench(*arguments, *(["--dry-run"] if arguments[0] == "run" else []))
    assert code == 0, text


def test_the_methods_of_the_guide_run_to_the_report(
    data: Path, tmp_path: Path, dlfbench: Cli, own_methods: dict[str, type]
) -> None:
    arguments = [
        "--data",
        data,
        "--hold-out",
        "0.3",
        "--methods",
        "mv,gw,gw[power=8],bright",
        "--out",
        tmp_path / "run",
    ]
    code, text = dlfbench("run", *arguments)
    assert code == 0, text
    results = read_results(tmp_path / "run")
    assert set(results[results.kind == "method"].method) == {"mv", "gw", "gw[power=8]", "bright"}
    assert set(results.status) == {"ok"}
    assert "gw[power=8]" in (tmp_path / "run" / "report" / "index.html").read_text()
    code, text = dlfbench("report", tmp_path / "run")
    assert code == 0
    assert "gw[power=8]" in text


def test_the_guide_s_fusion_method_takes_under_60_lines() -> None:
    code = blocks("add-a-method.md", "python")[0] + blocks("add-a-method.md", "toml")[0]
    assert len([line for line in code.splitlines() if line.strip()]) < 60


def test_links_between_pages_lead_somewhere() -> None:
    for page in PAGES:
        for target in re.findall(r"\]\(([^)#]+)\)", page.read_text()):
            assert target.startswith("http") or (page.parent / target).exists(), f"{page.name}: {target}"


def test_default_study_asks_about_the_phantom() -> None:
    study = study_from_flags(None, {})
    assert (study.name, study.data.dataset) == ("phantom-quick", "phantom")
    assert sys.version_info >= (3, 11)
