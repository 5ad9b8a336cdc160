"""Single files as plugins: found, imported, told apart by content, and never able to break dlfbench."""

import pickle
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dlfbench import plugin_files, plugins
from dlfbench.engine.fingerprint import fingerprint_of
from dlfbench.engine.packing import pack
from dlfbench.engine.tasks.task import Place, Task
from dlfbench.errors import InputError
from dlfbench.plugin_files import absolute, command_line, consent, is_file, without_folder
from dlfbench.segmenters.registry import make_method
from dlfbench.segmenters.specs import parse_methods
from dlfbench.study.tables import read_study

METHOD = '''
from dataclasses import dataclass
import numpy as np
from dlfbench import FusionMethod
import beside

@dataclass(frozen=True)
class Mine(FusionMethod):
    """Mine."""

    power: float = 2.0

    def fuse(self, target, atlases):
        return beside.first(atlases)
'''


@dataclass(frozen=True)
class Travelling(Task):
    """A task that holds a method."""

    kind = "test"

    segmenter: Any = None

    def run(self, place: Place, progress: Any) -> list[dict[str, Any]]:
        return []


@pytest.fixture
def file(tmp_path: Path) -> Path:
    (tmp_path / "beside.py").write_text("def first(atlases):\n    return atlases.labels[0]\n")
    path = tmp_path / "mine.py"
    path.write_text(METHOD)
    return path


def is_loaded(file: Path) -> bool:
    """Whether any module was loaded from the file's folder."""
    paths = [getattr(module, "__file__", None) for module in sys.modules.values()]
    return any(path and Path(path).parent == file.parent for path in paths)


def test_a_class_of_a_file_is_a_method_with_parameters(file: Path) -> None:
    method = make_method("m", f"{file}:Mine", {"power": "4"})
    assert method.segmenter.power == 4.0  # type: ignore[attr-defined]
    assert plugins.load(plugins.SEGMENTERS, str(file)) is type(method.segmenter)


def test_it_reaches_a_process_that_never_saw_the_file(file: Path) -> None:
    task = Travelling("key", segmenter=make_method("m", f"{file}:Mine", {}).segmenter)
    content = pickle.dumps(pack(task))
    file.unlink()
    here = str(Path(__file__).parent)
    code = f"import sys, pickle; sys.path.append({here!r}); print(pickle.loads({content!r}).open().segmenter)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "Mine(top=None, power=2.0)"


def test_its_code_counts_and_that_of_files_beside_it(file: Path) -> None:
    def code() -> str:
        return fingerprint_of(type(make_method("m", f"{file}:Mine", {}).segmenter)).sources

    first = code()
    file.write_text(METHOD + "\nX = 1\n")
    second = code()
    assert first != second
    moved = file.parent / "elsewhere"
    moved.mkdir()
    (moved / "mine.py").write_text(METHOD)
    (moved / "beside.py").write_text("def first(atlases):\n    return atlases.labels[0]\n")
    libraries = fingerprint_of(type(make_method("m", f"{moved / 'mine.py'}:Mine", {}).segmenter)).libraries
    assert "numpy" in libraries


def test_paths_start_at_a_folder_and_leave_keys_alone(tmp_path: Path) -> None:
    assert absolute("./mine.py:Mine", tmp_path) == f"{tmp_path / 'mine.py'}:Mine"
    assert absolute("jlf", tmp_path) == "jlf"
    assert without_folder(f"{tmp_path}/mine.py:Mine") == "mine.py:Mine"
    assert is_file("mine.py")
    assert not is_file("mine")


@pytest.mark.parametrize(
    ("text", "name", "said"),
    [
        ("import nowhere_to_be_found", ":M", ["nowhere_to_be_found is not installed"]),
        ("x = 1\n1 / 0", ":M", ["ZeroDivisionError", "line 2"]),
        ("def broken(:", ":M", ["SyntaxError", "line 1"]),
        ("raise SystemExit(3)", ":M", ["SystemExit"]),
        ("class Other: pass", ":M", ["defines no 'M'", "Other"]),
        ("class A: pass\nclass B: pass", "", ["say which", "A, B"]),
        ("class M: pass", ":M", ["expected a function fuse(target, atlases) or a subclass"]),
        ("from dlfbench import FusionMethod\nclass M(FusionMethod): pass", ":M", ["@dataclass(frozen=True)"]),
        ("def fuse(target): pass", ":fuse", ["(target, atlases)"]),
        (
            "def f(target, atlases, power=2): pass",
            ":f",
            ["come after *, each with a default; write def f(target, atlases, *, power=2)"],
        ),
        (
            "def f(target, atlases, context, power: int = 2, *, top=1): pass",
            ":f",
            ["write def f(target, atlases, context, *, power: int = 2, top=1)"],
        ),
        ("def f(target, atlases, context=None): pass", ":f", ["; write def f(target, atlases, context)"]),
        (
            "def f(target, atlases, power): pass",
            ":f",
            ["call power context where it is that, and write *, power=... where"],
        ),
        (
            "from dlfbench import FusionMethod\nfrom dataclasses import dataclass\n"
            "@dataclass(frozen=True)\nclass M(FusionMethod):\n    def fuse(self, target, atlases, power=2): pass",
            ":M",
            ["M.fuse is of (self, target, atlases) or", "found power=2; parameters are fields of the class"],
        ),
    ],
)
def test_broken_files_say_what_is_wrong(tmp_path: Path, text: str, name: str, said: list[str]) -> None:
    path = tmp_path / "broken.py"
    path.write_text(text)
    with pytest.raises(InputError) as caught:
        make_method("m", f"{path}{name}", {})
    assert all(part in str(caught.value) for part in (*said, "broken.py")), caught.value


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"none\.py: the plugin file cannot be read"):
        make_method("m", str(tmp_path / "none.py"), {})


def test_methods_are_read_with_names_files_and_quotes() -> None:
    text = "mv,sharp=jlf[beta=4,patch_radius=2,2,1],./a/my.py:Mine[power=3],t=command[run='x, [y] {output}']"
    assert parse_methods(text) == {
        "mv": {"use": "mv"},
        "sharp": {"use": "jlf", "beta": "4", "patch_radius": "2,2,1"},
        "Mine[power=3]": {"use": "./a/my.py:Mine", "power": "3"},
        "t": {"use": "command", "run": "x, [y] {output}"},
    }


def test_a_function_is_a_method_whose_options_are_parameters(tmp_path: Path) -> None:
    path = tmp_path / "f.py"
    path.write_text("def first(target, atlases, *, which: int = 0):\n    return atlases.labels[which]\n")
    segmenter = make_method("m", f"{path}:first", {"which": "1"}).segmenter
    atlases = type("Set", (), {"labels": np.stack([np.zeros((2, 2, 2), int), np.ones((2, 2, 2), int)])})
    atlases.label_values, atlases.open = (0, 1), None
    assert segmenter.segment(None, atlases, None).labels.all()  # type: ignore[arg-type]
    with pytest.raises(InputError, match="parameter 'which'"):
        make_method("m", f"{path}:first", {"which": "many"})


def test_code_that_only_a_study_file_names_is_run_after_consent_which_is_remembered(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study, link = file.with_suffix(".toml"), file.with_name("link.py")
    link.symlink_to(file)
    for table in (
        f'm = {{use = "{file}:Mine"}}',
        f'm = {{use = "corrected", host = "{file}:Mine"}}',
        f'm = {{use = "{file}"}}',
        f'm = {{use = "{link}:Mine"}}',
    ):
        study.write_text(f"[methods]\n{table}\n")
        with pytest.raises(InputError, match=r"mine\.py: a study file names this file.*--trust"):
            read_study(study).build_methods()
    assert not is_loaded(file)
    consent(f"{file}:Mine")
    monkeypatch.setattr(plugin_files, "_agreed", set())  # another process, later
    assert read_study(study).build_methods()


@pytest.mark.parametrize("flags", [[], ["--dry-run"]])
def test_a_foreign_study_runs_no_code_unasked(
    flags: list[str], file: Path, dlfbench: Callable[..., tuple[int, str]]
) -> None:
    study = file.with_suffix(".toml")
    study.write_text(f'[methods.m]\nuse = "{file}:Mine"\n')
    code, text = dlfbench("run", study, "--out", file.parent / "run", *flags)
    assert (code, "--trust" in text) == (2, True)
    assert not is_loaded(file)
    assert dlfbench("run", study, "--out", file.parent / "run", "--dry-run", "--trust")[0] == 0
    assert dlfbench("run", study, "--out", file.parent / "run", "--dry-run")[0] == 0  # remembered


def test_a_command_that_only_a_study_file_names_is_run_after_consent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, dlfbench: Callable[..., tuple[int, str]]
) -> None:
    run, study = "tool --in {target} --out {output}", tmp_path / "study.toml"
    by_hand = [f"by_hand=command[run='{run} --more']"]
    study.write_text(f'[methods.m]\nuse = "command"\nrun = "{run}"\n')
    with pytest.raises(InputError, match="a study file names this command.*tool --in.*--trust"):
        read_study(study).build_methods()
    assert dlfbench("run", "--methods", *by_hand, "--out", tmp_path / "hand", "--dry-run")[0] == 0
    code, text = dlfbench("run", study, "--out", tmp_path / "run", "--dry-run")
    assert (code, "--trust" in text) == (2, True)
    assert dlfbench("run", study, "--out", tmp_path / "run", "--dry-run", "--trust")[0] == 0
    monkeypatch.setattr(plugin_files, "_agreed", set())  # another process, later
    monkeypatch.setattr(plugin_files, "_named_by_hand", set())
    assert read_study(study).build_methods()
    study.write_text(f'[methods.m]\nuse = "command"\nrun = "{run} --format-disk"\n')
    with pytest.raises(InputError, match="--format-disk"):
        read_study(study).build_methods()
    learns = f"{run} {{model}}"
    consent(command_line(learns))
    study.write_text(f'[methods.m]\nuse = "command"\nrun = "{learns}"\ntrain = "fit {{training_list}} {{model}}"\n')
    with pytest.raises(InputError, match="this command.*: fit .*--trust"):
        read_study(study).build_methods()
    assert dlfbench("run", study, "--out", tmp_path / "learns", "--dry-run", "--trust")[0] == 0
