"""The list of commands says what there is, and costs no imports."""

import subprocess
import sys

import pytest

from dlfbench.cli import _COMMANDS, command


@pytest.mark.parametrize("name", sorted(_COMMANDS))
def test_each_command_is_there_and_says_what_it_does(name):
    assert command(name).help.strip()


@pytest.mark.parametrize(
    ("arguments", "shown"),
    [("run", "jlf,jlf[beta=4]"), ("run", "jlf[patch_radius=3]"), ("data import", "'freesurfer[")],
)
def test_help_shows_brackets_as_they_are_typed(arguments, shown, dlfbench):
    assert shown in dlfbench(*arguments.split(), "--help")[1]


def test_help_imports_nothing_that_works():
    asked = "import sys; from dlfbench.cli import app; app(['--help'], standalone_mode=False); print(*sys.modules)"
    printed = subprocess.run([sys.executable, "-c", asked], capture_output=True, text=True, check=True).stdout
    assert "check-plugin" in printed
    loaded = set(printed.split())
    assert not loaded & {"numpy", "pandas", "torch", "dask", "distributed", "scipy", "matplotlib"}
