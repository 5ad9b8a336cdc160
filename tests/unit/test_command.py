"""A command as a method: files in, a label map out, and every way in which that can fail."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from dlfbench.errors import InputError
from dlfbench.segmenters.contract.scene import Scene
from dlfbench.segmenters.interface import Context
from dlfbench.segmenters.registry import make_method
from dlfbench.volumes import Segmentation

TOOL = """
import csv, sys
import nibabel as nib
import numpy as np
how, atlases, output, *targets = sys.argv[1:]
target = nib.load(targets[0])
rows = list(csv.DictReader(open(atlases)))
assert nib.load(rows[0]["image0"]).shape == target.shape
labels = np.asarray(nib.load(rows[0]["labels"]).dataobj)
print("started", file=sys.stderr)
if how == "fail":
    sys.exit("no licence")
if how == "grid":
    labels = labels[1:]
if how == "fraction":
    labels = labels + 0.5
if how != "nothing":
    nib.save(nib.Nifti1Image(labels, target.affine), output)
"""


def segment(tmp_path: Path, how: str, sample: Scene | None = None) -> Segmentation:
    (tmp_path / "a tool.py").write_text(TOOL)
    run = f"{sys.executable} '{tmp_path}/a tool.py' {how} {{atlas_list}} {{output}} {{target}}"
    method = make_method("m", "command", {"run": run}).segmenter
    sample = sample or Scene()
    return method.segment(sample.target(), sample.atlas_set(), Context(tmp_path))


def test_the_answer_is_the_tool_s(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    found = segment(tmp_path, "good", Scene(modalities=2))
    assert np.array_equal(found.labels, Scene(modalities=2).atlas_set().labels[0])
    said = capfd.readouterr().out
    assert "exit code 0 after" in said
    assert "started" in said


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ("fail", r"ended with exit code 1 after [\d.]+ s; it said: started \| no licence"),
        ("nothing", "exit code 0 but wrote no {output}"),
        ("grid", "15x18x14 voxels .* the target on 16x18x14"),
        ("fraction", "a label map holds integers"),
    ],
)
def test_failures_say_what_happened(how: str, said: str, tmp_path: Path) -> None:
    with pytest.raises((RuntimeError, ValueError), match=said):
        segment(tmp_path, how)


def test_no_shell_reads_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[list[str]] = []

    def run(arguments: list[str], **_: object) -> subprocess.CompletedProcess[str]:
        started.append(arguments)
        return subprocess.CompletedProcess(arguments, 1)

    monkeypatch.setattr(subprocess, "run", run)
    method = make_method("m", "command", {"run": "tool 'a b;rm -rf x' $HOME --t={target} {output}"}).segmenter
    with pytest.raises(RuntimeError, match="exit code 1"):
        method.segment(Scene().target(), Scene().atlas_set(), Context(tmp_path))
    assert started[0][:3] == ["tool", "a b;rm -rf x", "$HOME"]
    assert started[0][3].startswith("--t=/")


@pytest.mark.parametrize(
    ("run", "said"),
    [
        ("", "{output}"),
        ("tool {target}", "{output}"),
        ("tool {output}", "{target} or {atlas_list}"),
        ("tool {traget} {output}", "unknown placeholder {traget}"),
        ("tool {traget} {output}", "did you mean {target}?"),
        ("tool 'a {target} {output}", "cannot be split"),
    ],
)
def test_wrong_commands_are_refused_before_anything_runs(run: str, said: str) -> None:
    with pytest.raises(InputError) as caught:
        make_method("m", "command", {"run": run})
    assert said in str(caught.value)


def test_a_tool_that_is_not_there_is_named(tmp_path: Path) -> None:
    method = make_method("m", "command", {"run": "no-such-tool {target} {output}"}).segmenter
    with pytest.raises(RuntimeError, match="no-such-tool: cannot be started: No such file .*; is it installed"):
        method.segment(Scene().target(), Scene().atlas_set(), Context(tmp_path))


def test_atlases_are_asked_for_by_the_placeholder_and_scripts_count_as_code(tmp_path: Path) -> None:
    (tmp_path / "t.py").write_text("")
    without = make_method("m", "command", {"run": f"python {tmp_path}/t.py {{target}} {{output}}"}).segmenter
    assert not without.needs_atlases
    assert without.code_files == (tmp_path / "t.py",)


def test_files_of_options_count_as_code(tmp_path: Path) -> None:
    for name in ("t.py", "weights.pt"):
        (tmp_path / name).write_text("")
    run = f"python {tmp_path}/t.py --weights={tmp_path}/weights.pt --level=3 {{target}} {{output}}"
    found = make_method("m", "command", {"run": run}).segmenter.code_files
    assert found == (tmp_path / "t.py", tmp_path / "weights.pt")


def test_a_program_counts_as_code_where_it_is_a_script(tmp_path: Path) -> None:
    tool = tmp_path / "tool.py"
    tool.write_text("#!/usr/bin/env python\n")
    line = "{} {{target}} {{output}}"
    assert make_method("m", "command", {"run": line.format(tool)}).segmenter.code_files == (tool,)
    assert make_method("m", "command", {"run": line.format(sys.executable)}).segmenter.code_files == ()
