"""`dlfbench new-method`: a small installable project with a method, its test, a README and the entry point."""

import keyword
import re
import sys
from importlib.resources import files
from pathlib import Path
from string import Template

from dlfbench import plugins
from dlfbench.errors import InputError

_NAME = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")


def write_project(name: str, folder: Path, *, trains: bool = False) -> Path:
    """Writes a project that passes the contract as it is.

    Args:
        name: Of the method, such as `my_fusion`; also of the module and the folder.
        folder: Where the project's folder is made.
        trains: Whether the method learns from training cases.

    Returns:
        The project's folder.

    Raises:
        InputError: The name cannot be used, or there is such a folder already.
    """
    _check_name(name)
    project = folder / name
    if project.exists():
        raise InputError(f"{project}: is there already and is not overwritten; give another name or move it")
    words = {"name": name, "project": name.replace("_", "-"), "kind": _class_name(name)}
    templates = files("dlfbench.scaffold") / "templates"
    method = "trained.txt" if trains else "fusion.txt"
    made = {
        "pyproject.txt": "pyproject.toml",
        "readme.txt": "README.md",
        method: f"{name}.py",
        "test.txt": f"test_{name}.py",
    }
    texts = {path: Template((templates / source).read_text()).substitute(words) for source, path in made.items()}
    project.mkdir(parents=True)
    for path, text in texts.items():
        (project / path).write_text(text)
    return project


def _check_name(name: str) -> None:
    if not _NAME.fullmatch(name) or keyword.iskeyword(name):
        raise InputError(f"name {name!r}: expected small letters, digits and single underscores, such as my_fusion")
    if name in sys.stdlib_module_names or name in ("dlfbench", "numpy", "torch"):
        raise InputError(f"name {name!r}: a module of that name exists in Python or its libraries; choose another")
    if name in plugins.names(plugins.SEGMENTERS):
        raise InputError(f"name {name!r}: a method of that name is installed; choose another")


def _class_name(name: str) -> str:
    return "".join(word.capitalize() for word in name.split("_"))
