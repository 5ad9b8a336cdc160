"""The list of commands says what there is, and costs no imports."""

import re
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


def test_flags_say_what_they_do(dlfbench):
    said = " ".join(re.sub(r"[│|]", " ", dlfbench("run", "--help")[1]).split())
    assert "NAME[parameter=value] such as greedy_roi[margin_mm=20] (deforms only around the labels)" in said
    assert "How atlases are brought onto targets" not in said
    assert "a file of yours FILE.py:NAME" in said
    assert "NAME=METHOD" in said


def test_help_imports_nothing_that_works():
    asked = "import sys; from dlfbench.cli import app; app(['--help'], standalone_mode=False); print(*sys.modules)"
    printed = subprocess.run([sys.executable, "-c", asked], capture_output=True, text=True, check=True).stdout
    assert "check-plugin" in printed
    loaded = set(printed.split())
    assert not loaded & {"numpy", "pandas", "torch", "dask", "distributed", "scipy", "matplotlib"}


@pytest.mark.parametrize(
    ("words", "shown"),
    [
        (("check-plugin", "--help"), "NAME[parameter=value,...]"),
        (("data", "import", "--help"), "'freesurfer[structures=17,53]'"),
        (("list", "readers"), "Suffixes of the images, one a modality."),
    ],
)
def test_what_is_in_brackets_is_shown_and_options_are_explained(words, shown, dlfbench):
    code, text = dlfbench(*words)
    assert code == 0
    assert shown in " ".join(text.replace("│", " ").split())
