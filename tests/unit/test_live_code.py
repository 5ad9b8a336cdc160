"""The code of scripts and notebooks: what counts as a change, and what does not."""

import ast
from importlib import metadata
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
