"""Modules beside plugin files, and all other code that keys hold of a plugin."""

import importlib
import json
import pickle
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest

from dlfbench.engine import fingerprint, keys
from dlfbench.engine.fingerprint import fingerprint_of
from dlfbench.engine.packing import pack
from dlfbench.engine.tasks.task import Place, Task
from dlfbench.metrics.definitions import Metric
from dlfbench.plugin_files import load_file
from dlfbench.segmenters.registry import make_method

FUNCTION = "def mine(target, atlases):\n    return atlases.labels[0]\n"
CLASS = '''
from dataclasses import dataclass
from {} import {} as Base

@dataclass(frozen=True)
class mine(Base):
    """Mine."""

    def fuse(self, target, atlases):
        return atlases.labels[0]
'''


@dataclass(frozen=True)
class Carrying(Task):
    """A task that holds something of a plugin file."""

    kind = "test"

    held: Any = None

    def run(self, place: Place, progress: Any) -> list[dict[str, Any]]:
        return []


@pytest.fixture
def installed() -> Iterator[None]:
    """What is installed is looked up anew, in the test and after it."""
    caches = (fingerprint._distributions, fingerprint._is_installed)
    for cached in caches:
        cached.cache_clear()
    yield
    for cached in caches:
        cached.cache_clear()


def sources_of(path: Path) -> str:
    """The code of the method `mine` of a file."""
    return fingerprint_of(type(make_method("m", f"{path}:mine", {}).segmenter)).sources


@pytest.mark.parametrize("helper", ["helper", "statistics", "yaml"])  # of nobody else, of Python, and installed
@pytest.mark.parametrize("line", ["from {} import VALUE", "import {}\nVALUE = {}.VALUE", "from .{} import VALUE"])
def test_modules_of_one_name_beside_two_files_are_two(tmp_path: Path, helper: str, line: str) -> None:
    found = []
    for value in (1, 2):
        folder = tmp_path / str(value)
        folder.mkdir()
        (folder / "other.py").write_text(f"VALUE = {value}\n")
        (folder / f"{helper}.py").write_text("from other import VALUE\n")
        (folder / "mine.py").write_text(
            f"{line.replace('{}', helper)}\n\ndef mine(target, atlases):\n    return VALUE\n"
        )
        found.append(folder / "mine.py")
    assert [load_file(f"{path}:mine")(None, None) for path in found] == [1, 2]
    assert sources_of(found[0]) != sources_of(found[1])


def test_packages_beside_a_file_and_imports_inside_of_functions_are_its_own(tmp_path: Path) -> None:
    found = []
    for value in (1, 2):
        package = tmp_path / str(value) / "parts"
        package.mkdir(parents=True)
        (package / "__init__.py").write_text("")
        (package / "deep.py").write_text("from parts import more\nVALUE = more.VALUE\n")
        (package / "more.py").write_text(f"VALUE = {value}\n")
        file = package.parent / "mine.py"
        file.write_text("def mine(target, atlases):\n    import parts.deep\n    return parts.deep.VALUE\n")
        found.append(load_file(f"{file}:mine"))
    assert [function(None, None) for function in found] == [1, 2]


def test_a_file_of_the_name_of_what_it_wraps_imports_that(tmp_path: Path) -> None:
    path = tmp_path / "yaml.py"
    path.write_text("import yaml\n\ndef mine(target, atlases):\n    return yaml.safe_load('1')\n")
    assert load_file(f"{path}:mine")(None, None) == 1


def test_a_change_beside_a_file_counts_within_a_session(tmp_path: Path) -> None:
    path = tmp_path / "mine.py"
    path.write_text("import helper\n\ndef mine(target, atlases):\n    return helper.VALUE\n")
    codes, values = [], []
    for value in (1, 2):
        (tmp_path / "helper.py").write_text(f"VALUE = {value}\n")
        values.append(load_file(f"{path}:mine")(None, None))
        codes.append(sources_of(path))
    assert values == [1, 2]
    assert codes[0] != codes[1]


def test_a_change_of_a_module_counts_within_a_session(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "edited_module.py"
    path.write_text("def mine(target, atlases):\n    return 1\n")
    monkeypatch.syspath_prepend(tmp_path)
    edited_module = importlib.import_module("edited_module")

    before = fingerprint_of(edited_module.mine)
    path.write_text("def mine(target, atlases):\n    return 22\n")
    assert fingerprint_of(edited_module.mine) != before


def test_what_a_module_beside_a_file_defines_reaches_another_process(tmp_path: Path) -> None:
    (tmp_path / "helper.py").write_text(
        "from dataclasses import dataclass\n@dataclass(frozen=True)\nclass Held:\n    value: int = 3\n"
    )
    (tmp_path / "mine.py").write_text("from helper import Held\nHELD = Held()\n")
    content = pickle.dumps(pack(Carrying("key", held=load_file(f"{tmp_path / 'mine.py'}:HELD"))))
    code = (
        f"import sys, pickle; sys.path.append({str(Path(__file__).parent)!r}); "
        f"held = pickle.loads({content!r}).open().held; "
        "print(held, isinstance(held, sys.modules[type(held).__module__.partition('.')[0]].Held))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "Held(value=3) True"


@pytest.mark.parametrize("text", [FUNCTION, CLASS.format("dlfbench", "FusionMethod")])
def test_what_a_plugin_has_of_dlfbench_counts(tmp_path: Path, text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "mine.py"
    path.write_text(text)
    before = sources_of(path)
    read = fingerprint._read

    def read_changed(module: str, *file: Any) -> Any:
        code, names = read(module, *file)
        return f"{code} changed" if module == "dlfbench.fusion.selection" else code, names

    monkeypatch.setattr(fingerprint, "_read", read_changed)
    monkeypatch.setattr(fingerprint, "_known", {})
    assert sources_of(path) != before


def test_a_baseline_that_a_plugin_extends_counts_however_it_was_installed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, installed: None
) -> None:
    path = tmp_path / "mine.py"
    path.write_text(CLASS.format("dlfbench_baselines.mv", "MajorityVoting"))
    kind = load_file(f"{path}:mine")
    wheel = {**fingerprint._distributions(), "dlfbench_baselines": [metadata.distribution("numpy")]}
    monkeypatch.setattr(fingerprint, "_distributions", lambda: wheel)
    assert "dlfbench_baselines.mv" in dict(fingerprint._follow([kind.__module__], kind.__module__)[0])


@pytest.mark.parametrize("editable", [True, False])
def test_a_library_in_development_counts_by_its_code(
    tmp_path: Path, editable: bool, monkeypatch: pytest.MonkeyPatch, installed: None
) -> None:
    library, info, path = (tmp_path / name for name in ("own_lib.py", "own_lib-1.dist-info", "apart/mine.py"))
    info.mkdir()
    path.parent.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: own-lib\nVersion: 1\n")
    (info / "top_level.txt").write_text("own_lib\n")
    (info / "direct_url.json").write_text(json.dumps({"url": "file:///x", "dir_info": {"editable": editable}}))
    monkeypatch.syspath_prepend(tmp_path)
    library.write_text("VALUE = 1\n")
    path.write_text("import own_lib\n\ndef mine(target, atlases):\n    return own_lib.VALUE\n")
    before = sources_of(path)
    library.write_text("VALUE = 22\n")
    assert (sources_of(path) != before) == editable


def test_metrics_count_with_what_they_hold_and_their_worst_value(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "worst.py").write_text("def worst(pair):\n    return 0.0\n")
    share, changed = (tmp_path / name / "share.py" for name in ("one", "other"))
    for path, sign in ((share, ""), (changed, "-")):
        path.parent.mkdir()
        path.write_text(f"def share(pair, factor=1.0):\n    return {sign}factor\n")

    def code(value: Any, worst: Any) -> Any:
        metric = Metric("share", "Share", "", True, "x", value=value, worst=worst)
        monkeypatch.setattr(keys, "MORE_METRICS", (metric,))
        return keys.scoring_code()[1]

    function, other = (load_file(f"{path}:share") for path in (share, changed))
    assert code(function, function) == f"share {fingerprint_of(function).sources}"  # as it was before
    codes = [code(partial(one, factor=factor), one) for one, factor in ((function, 0.1), (function, 1.0), (other, 0.1))]
    assert len(set(codes)) == 3
    assert code(function, load_file(f"{tmp_path / 'worst.py'}:worst")) != code(function, function)
