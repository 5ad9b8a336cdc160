"""The code of scripts and notebooks: what counts as a change, and what does not."""

import ast
import os
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest

from dlfbench.engine.fingerprint import _digest_of, _distributions, fingerprint_of

SCRIPT = """
from dataclasses import dataclass
import numpy as np
FACTOR = 2

def scale(x):
    # a comment
    return x * FACTOR

def unused(x):
    return x

class Base:
    def common(self):
        return 1

@dataclass(frozen=True)
class Mine(Base):
    power: float = 1.0

    @staticmethod
    def inner(x):
        return [scale(y) for y in x]

    def fuse(self, target, atlases):
        return np.asarray(self.inner(atlases))
"""


def mine(script: str) -> Any:
    scope: dict[str, Any] = {"__name__": "__main__"}
    exec(script, scope)
    return scope["Mine"]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("x * FACTOR", "x + FACTOR"),
        ("FACTOR = 2", "FACTOR = 3"),
        ("return 1", "return 2"),
        ("scale(y) for y in x", "scale(-y) for y in x"),
        ("np.asarray", "np.array"),
    ],
)
def test_a_change_of_what_the_class_uses_is_another_code(old: str, new: str) -> None:
    assert old in SCRIPT
    assert fingerprint_of(mine(SCRIPT)) != fingerprint_of(mine(SCRIPT.replace(old, new)))


@pytest.mark.parametrize(("old", "new"), [("# a comment", "# another\n\n"), ("return x\n", "return 2 * x\n")])
def test_comments_and_the_rest_of_the_script_do_not_count(old: str, new: str) -> None:
    assert old in SCRIPT
    assert fingerprint_of(mine(SCRIPT)) == fingerprint_of(mine(SCRIPT.replace(old, new)))


def codes(*scripts: str) -> list[Any]:
    """The code of the function `mine` of each script."""
    found = []
    for script in scripts:
        scope: dict[str, Any] = {"__name__": "__main__"}
        exec(script, scope)
        found.append(fingerprint_of(scope["mine"]))
    return found


VALUES = """
import collections, enum, functools, re, threading, types
from pathlib import Path
import numpy as np
from scipy.ndimage import gaussian_filter

def one(x, p=1):
    return x

def two(x, p=1):
    return 2 * x

def held(p):
    def inside(x):
        return p
    return inside

Named = collections.namedtuple("Named", "a")

{}

def mine(target, atlases):
    return G(target)
"""


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("G = functools.partial(gaussian_filter, sigma=1)", "G = functools.partial(gaussian_filter, sigma=3)"),
        ("G = functools.partial(one, p=2)", "G = functools.partial(one, p=3)"),
        ("G = functools.partial(one, p=2)", "G = functools.partial(two, p=2)"),
        ("G = range(-1, 2)", "G = range(-3, 4)"),
        ("G = slice(0, 2)", "G = slice(0, 9)"),
        ("G = Path('a')", "G = Path('b')"),
        ("G = (Path('a'), 1)", "G = (Path('b'), 1)"),
        ("G = re.compile('a')", "G = re.compile('b')"),
        ("G = np.dtype('f4')", "G = np.dtype('i2')"),
        ("G = np.array(['a', 1], object)", "G = np.array(['b', 1], object)"),
        ("G = np.add", "G = np.subtract"),
        ("G = {'w': np.mean}", "G = {'w': np.median}"),
        ("G = {'w': one}", "G = {'w': two}"),
        ("G = {'v': one, 'w': two}", "G = {'w': one, 'v': two}"),
        ("G = {'w': functools.partial(one, p=2)}", "G = {'w': functools.partial(one, p=3)}"),
        ("G = [lambda x: x]", "G = [lambda x: 2 * x]"),
        ("G = {'a': held(1), 'b': held(2)}", "G = {'a': held(2), 'b': held(1)}"),
        ("G = np.vectorize(lambda x: x)", "G = np.vectorize(lambda x: 2 * x)"),
        ("G = functools.cache(one)", "G = functools.cache(two)"),
        ("G = types.SimpleNamespace(a=1)", "G = types.SimpleNamespace(a=2)"),
        ("G = Named(1)", "G = Named(2)"),
        ("G = collections.OrderedDict(a=1)", "G = collections.OrderedDict(a=2)"),
        ("class G:\n    def __getitem__(self, i): return 1", "class G:\n    def __getitem__(self, i): return 2"),
        ("class G(enum.Enum):\n    A = 1", "class G(enum.Enum):\n    A = 2"),
        (
            "class T:\n    def __init__(self, a): self.a = {'of': [a]}\nG = T(1)",
            "class T:\n    def __init__(self, a): self.a = {'of': [a]}\nG = T(2)",
        ),
    ],
)
def test_a_change_of_a_value_is_another_code_and_equal_values_are_the_same(old: str, new: str) -> None:
    before, same, after = codes(*(VALUES.format(text) for text in (old, old, new)))
    assert before == same != after


def test_equal_values_are_the_same_in_every_process(tmp_path: Path) -> None:
    values = "[{'a', 'b', 'c', Path('d')}, one, held(np.arange(3)), Named(object), T(), np.float32(2), np.nan, ...]"
    made = "class T:\n    def __init__(self): self.lock, self.me = threading.Lock(), self"
    script = tmp_path / "script.py"
    text = VALUES.format(f"{made}\nG = {values}")
    script.write_text(
        f"{text}\nfrom dlfbench.engine.fingerprint import fingerprint_of\nprint(fingerprint_of(mine).sources)"
    )
    found = {
        subprocess.run(
            [sys.executable, script],
            env={**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": os.pathsep.join(sys.path)},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(found) == 1


@pytest.mark.parametrize(
    "text",
    [
        "def mine(target, atlases):\n    import beside_script\n    return beside_script.VALUE",
        "def mine(target, atlases):\n    from beside_script import VALUE\n    return VALUE",
        "import beside_script\ndef mine(target, atlases):\n    return beside_script.VALUE",
        "import beside_package.module\ndef mine(target, atlases):\n    return beside_package.module.VALUE",
    ],
)
def test_modules_beside_a_script_count_wherever_they_are_imported(
    text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sys, "modules", {**sys.modules})
    package = tmp_path / "beside_package"
    package.mkdir()
    (package / "__init__.py").write_text("")
    found = []
    for value in ("1", "22"):
        for path in (tmp_path / "beside_script.py", package / "module.py"):
            path.write_text(f"VALUE = {value}\n")
        found += codes(text)
    assert found[0] != found[1]


def test_libraries_count_by_their_version() -> None:
    assert "numpy" in fingerprint_of(mine(SCRIPT)).libraries


def test_what_is_installed_is_what_importlib_knows():
    known = {module: sorted(names) for module, names in metadata.packages_distributions().items()}
    found = {module: sorted(one.metadata["Name"] for one in those) for module, those in _distributions().items()}
    assert found.items() <= known.items()  # newer Pythons know of compiled files too
    assert {"numpy", "torch", "nibabel"} <= found.keys()


@pytest.mark.parametrize(
    "around",
    [
        "def f():\n    {}",
        "class A:\n    async def f(self):\n        {}",
        "for x in y:\n    pass\nelse:\n    def f():\n        {}",
        "try:\n    pass\nexcept E:\n    def f():\n        {}\nfinally:\n    pass",
        "match x:\n    case 1:\n        def f():\n            {}",
        "with a:\n    if b:\n        pass\n    else:\n        def f():\n            {}",
    ],
)
def test_docstrings_do_not_count_wherever_they_stand(around):
    one, other, code = (around.format(text) for text in ("'One.'", "'Another.'", "return 1"))
    assert _digest_of(ast.parse(one)) == _digest_of(ast.parse(other)) != _digest_of(ast.parse(code))
