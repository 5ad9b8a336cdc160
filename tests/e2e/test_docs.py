"""What the documentation says is run: its commands, its code, its two lines of set-up."""

import json
import re
import shlex
import shutil
import sys
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from builders import SHARED_DATA, write_dataset, write_nnunet_model
from dlfbench.cli.study_flags import StudyFlags, study_from_flags
from dlfbench.datasets.decathlon import read_decathlon
from dlfbench.plugin_files import consent
from dlfbench.records.predictions import against_references, score_predictions
from dlfbench.records.results import read_results
from dlfbench.study.tables import read_study
from layouts import move_side, write_ashs, write_bids, write_freesurfer, write_itk_files
from synthetic_run import make_results, make_run

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", ROOT / "examples" / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
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


@pytest.fixture(scope="module")
def others(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with data in the layouts of other tools, called as the pages call them."""
    root = tmp_path_factory.mktemp("others")
    folder = write_dataset(root / "tiny", people=2, modalities=2)
    move_side(read_decathlon(folder), "R", 32.0)
    tiny = read_decathlon(folder)
    write_ashs(root / "PACKAGE", tiny)
    write_freesurfer(root / "SUBJECTS", tiny, {1: 17, 2: 53})
    write_bids(root / "BIDS", tiny)
    write_itk_files(root / "ITK", tiny)
    return root


@pytest.fixture
def here(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder with the files of the pages, as a reader would have made them; the current one."""
    for page in ("add-a-method.md", "add-a-registration.md", "add-a-dataset.md", "add-a-section.md"):
        for code in blocks(page, "python") + blocks(page, "toml"):
            if file := re.match(r"# (\w+\.(?:py|toml))\n", code):
                (tmp_path / file[1]).write_text(code.replace("FOLDER", str(data)))
    shutil.copytree(ROOT / "examples", tmp_path / "examples")
    write_nnunet_model(tmp_path / "MODEL")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    yield tmp_path
    for file in tmp_path.glob("*.py"):
        sys.modules.pop(file.stem, None)


def _parameters() -> list[Any]:
    slow = ("dlfbench check-plugin",)
    return [pytest.param(*c, marks=pytest.mark.slow if c[1].startswith(slow) else ()) for c in sorted(commands())]


@pytest.mark.parametrize(("page", "line"), _parameters())
def test_commands_of_the_pages_are_accepted(
    page: str, line: str, data: Path, others: Path, here: Path, dlfbench: Cli
) -> None:
    for place in others.iterdir():
        (here / place.name).symlink_to(place)
    if (
        line.startswith(("dlfbench segment", "dlfbench export "))
        or "get msd" in line
        or "--scheduler" in line
        or "--metrics" in line
        or "| verify" in line
    ):
        pytest.skip(
            "needs a network, a scheduler, a fresh process or a whole run, or is a choice of commands: tested elsewhere"
        )
    if "ants_registration" in line and find_spec("ants") is None:
        pytest.skip("antspyx is not installed")
    for run, method in (("RUN", None), ("RUN1", "mv"), ("RUN2", "jlf")):
        if run in line.split():
            made = make_results(persons=4, labels={1: "whole"})
            make_run(here / run, made[(made["method"] == method) | (method is None)].reset_index(drop=True))
    for registration in ("greedy", "simpleitk"):
        if line.startswith("dlfbench report") and f"runs/{registration}" in line.split():
            run_folder = make_run(here / "runs" / registration, make_results(persons=4, labels={1: "whole"}))
            identity = {"registration": {"use": registration}, "seed": 3, "protocol": {}, "metrics": {}, "data": {}}
            (run_folder / "identity.json").write_text(json.dumps(identity))
    known = {"FOLDER": data, "PREDICTIONS": data / "labelsTr", "LABELS": data / "labelsTr"}
    known["msd-hippocampus"] = SHARED_DATA / "Task04_Hippocampus"
    known |= {f"reports/{study.name}": study for study in (ROOT / "reports").iterdir()}
    if "export-bids" in line:
        scoring = against_references("mine", data / "labelsTr", data / "labelsTr")
        known["RUN"] = score_predictions(scoring, here / "segmented")
    arguments = [str(known.get(word, word)) for word in shlex.split(line)[1:]]
    if "..." in arguments or ("msd-hippocampus" in line and not SHARED_DATA.is_dir()):
        pytest.skip("leaves something out, or needs real data that are not here")
    code, text = dlfbench(*arguments, *(["--dry-run"] if arguments[0] == "run" else []))
    assert code == 0, text


@pytest.mark.slow
def test_the_methods_of_the_guide_and_the_examples_run_to_the_report(data: Path, here: Path, dlfbench: Cli) -> None:
    methods = [
        "mv",
        "my_fusion.py:my_fusion",
        "sharp=my_fusion.py:my_fusion[power=8]",
        "brightness.py:Brightness",
        f"{ROOT}/examples/mutual_information_voting.py:mutual_information_voting",
    ]
    code, text = dlfbench("run", "--data", data, "--hold-out", "0.3", "--methods", ",".join(methods), "--out", "run")
    assert code == 0, text
    results = read_results(here / "run").query("kind == 'method'")
    assert set(results.status) == {"ok"}, set(results.reason)
    dice = results.groupby("method").dice.mean()
    assert set(dice.index) == {"mv", "my_fusion", "sharp", "Brightness", "mutual_information_voting"}
    assert dice["mutual_information_voting"] > dice["mv"] - 0.02
    assert "sharp" in (here / "run" / "report" / "index.html").read_text()


def test_the_guide_takes_under_60_lines_and_the_example_30() -> None:
    code = blocks("add-a-method.md", "python")[0] + blocks("add-a-method.md", "toml")[0]
    assert len([line for line in code.splitlines() if line.strip()]) < 60
    example = (ROOT / "examples" / "mutual_information_voting.py").read_text().split('"""', 2)[2]
    assert len([line for line in example.splitlines() if line.strip()]) <= 30


def test_study_files_of_the_guide_can_be_read(here: Path) -> None:
    (here / "study.toml").write_text(blocks("add-a-method.md", "toml")[0])
    consent("./my_fusion.py")
    (method,) = read_study("study.toml").build_methods()
    assert method.name == "sharp"


@pytest.mark.slow
@pytest.mark.parametrize("page", ["add-a-method.md", "python-api.md"])
def test_code_of_the_pages_runs_as_a_script(
    page: str, data: Path, here: Path, shared_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DLFBENCH_CACHE", str(shared_cache))
    (here / "phantom-quick.toml").write_text(f'[data]\ndataset = "{data}"\n[protocol]\nhold_out = 0.3\n')
    scope: dict[str, Any] = {"__name__": "__main__"}
    for code in blocks(page, "python"):
        if not re.match(r"# \w+\.py\n", code):
            ready = code.replace("FOLDER", str(data)).replace('"phantom-quick"', '"phantom-quick.toml"')
            exec(ready, scope)
    assert set(scope["run"].results.status) == {"ok"}


@pytest.mark.slow
def test_the_registration_of_the_guide_runs_without_a_flag(data: Path, here: Path, dlfbench: Cli) -> None:
    study = ("centres.toml", "--trust", "--data", data, "--hold-out", "0.3", "--methods", "mv", "--out", "run")
    code, text = dlfbench("run", *study)
    assert code == 0, text
    made = pd.read_parquet(here / "run" / "registrations.parquet")
    assert set(made["flags"]) == {""}
    assert read_results(here / "run").query("kind == 'method'").dice.mean() > 0.5


def test_links_between_pages_lead_somewhere() -> None:
    reports = ROOT / "reports"
    for page in (*PAGES, ROOT / "findings" / "README.md", *reports.glob("*.md"), *reports.glob("*/*.md")):
        for target in re.findall(r"\]\(([^)#]+)\)", page.read_text()):
            assert target.startswith("http") or (page.parent / target).exists(), f"{page.relative_to(ROOT)}: {target}"


def test_lists_name_all_that_is_there() -> None:
    findings = (ROOT / "findings" / "README.md").read_text()
    for script in (ROOT / "findings").glob("*.sh"):
        title = script.read_text().splitlines()[1].removeprefix("# ")
        assert f"| [{script.name}]({script.name}) | {title}" in findings
    studies = (ROOT / "reports" / "README.md").read_text()
    for page in (ROOT / "reports").glob("*/README.md"):
        assert f"]({page.parent.name}/README.md) |" in studies


def test_default_study_asks_about_the_phantom() -> None:
    study = study_from_flags(None, StudyFlags())
    assert (study.name, study.data.dataset) == ("phantom-quick", "phantom")
    assert sys.version_info >= (3, 11)
