"""A container as a method, started by a runtime that is made up: no network, read-only inputs, a pinned image."""

import json
import os
import stat
import sys
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest

from dlfbench.errors import InputError
from dlfbench.segmenters.contract.scene import Scene
from dlfbench.segmenters.interface import Context
from dlfbench.segmenters.registry import make_method
from dlfbench.volumes import Segmentation

ID = "sha256:" + "a1" * 32

# stands for docker, podman and apptainer: keeps what it was asked, and does what the image would do
RUNTIME = """#!{python}
import csv, json, os, pathlib, sys
import nibabel as nib
import numpy as np
name, arguments = pathlib.Path(sys.argv[0]).name, sys.argv[1:]
if arguments[:2] == ["image", "inspect"]:
    if arguments[-1] == "absent:1":
        sys.exit("Error: No such image: absent:1")
    print("{id}")
    sys.exit()
pathlib.Path("{asked}").write_text(json.dumps([name, *arguments]))
atlases, output = arguments[-2:]
row = next(csv.DictReader(open(atlases)))
for place in (row["labels"], atlases):
    mounted = [a for a in arguments if a.endswith(":ro") and place.startswith(a.split(":")[0] + os.sep)]
    assert mounted, f"{{place}} is not in a folder that is mounted read-only"
assert any(a.endswith(os.path.dirname(output)) and not a.endswith(":ro") for a in arguments), "no place for the output"
nib.save(nib.load(row["labels"]), output)
"""


@pytest.fixture
def asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], list[str]]:
    """Puts the runtimes first on the path; calling it says how the last container was started."""
    said = tmp_path / "asked.json"
    (tmp_path / "bin").mkdir()
    for name in ("docker", "podman", "apptainer"):
        tool = tmp_path / "bin" / name
        tool.write_text(RUNTIME.format(python=sys.executable, id=ID, asked=said))
        tool.chmod(tool.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}")
    return lambda: json.loads(said.read_text())


def segment(folder: Path, **settings: str) -> Segmentation:
    method = make_method("m", "container", {"run": "--fuse {atlas_list} {output}", **settings}).segmenter
    return method.segment(Scene().target(), Scene().atlas_set(), Context(folder, threads=2))


@pytest.mark.parametrize("runtime", ["docker", "podman"])
def test_no_network_and_only_its_own_folders(runtime: str, asked: Callable[[], list[str]], tmp_path: Path) -> None:
    found = segment(tmp_path, image="tool:1", runtime=runtime)
    assert np.array_equal(found.labels, Scene().atlas_set().labels[0])
    command = asked()
    assert command[:4] == [runtime, "run", "--rm", "--init"]
    assert command[command.index("--network") + 1] == "none"
    assert command[command.index("--pull") + 1] == "never"
    assert len([word for word in command if word == "--volume"]) == 2
    assert command[-4:-2] == [ID, "--fuse"]  # started by its digest, not by a name that may have moved on


def test_apptainer_starts_a_file(asked: Callable[[], list[str]], tmp_path: Path) -> None:
    (tmp_path / "tool.sif").write_bytes(b"an image")
    found = segment(tmp_path, image=str(tmp_path / "tool.sif"), runtime="apptainer")
    assert np.array_equal(found.labels, Scene().atlas_set().labels[0])
    command = asked()
    assert "--containall" in command
    assert command[command.index("--network") + 1] == "none"


@pytest.mark.parametrize(("runtime", "flag"), [("docker", "--volume"), ("apptainer", "--bind")])
def test_a_model_is_written_when_it_is_made_and_read_only_afterwards(
    runtime: str, flag: str, asked: Callable[[], list[str]], tmp_path: Path
) -> None:
    (tmp_path / "tool.sif").write_bytes(b"an image")
    lines = {"train": "fit {training_list} {model}", "run": "{target} {output} {model}"}
    settings = {**lines, "image": str(tmp_path / "tool.sif"), "runtime": runtime}
    method = make_method("m", "container", settings).segmenter
    inputs, outputs, model = (tmp_path / name for name in ("in", "out", "model"))
    seen = []
    for read, write in (([inputs], [outputs, model]), ([inputs, model], [outputs])):
        words = method.started(["x"], Context(tmp_path), read=read, write=write)  # type: ignore[attr-defined]
        mounts = [words[place + 1] for place, word in enumerate(words) if word == flag]
        assert len(mounts) == 3
        seen.append(next(mount for mount in mounts if mount.startswith(str(model))))
    assert seen == [f"{model}:{model}", f"{model}:{model}:ro"]


@pytest.mark.parametrize(
    ("runtime", "expected"),
    [("docker", ["--gpus", "device=1"]), ("apptainer", ["--nv", "--env", "CUDA_VISIBLE_DEVICES=1"])],
)
def test_it_gets_the_card_of_its_task_and_no_other(
    runtime: str, expected: list[str], asked: Callable[[], list[str]], tmp_path: Path
) -> None:
    (tmp_path / "tool.sif").write_bytes(b"an image")
    settings = {"run": "{atlas_list} {output}", "image": str(tmp_path / "tool.sif"), "runtime": runtime}
    method = make_method("m", "container", {**settings, "run": "--on {device} {atlas_list} {output}"}).segmenter
    assert method.uses_gpu
    assert make_method("m", "container", {**settings, "gpu": "true"}).segmenter.uses_gpu
    assert not make_method("m", "container", settings).segmenter.uses_gpu
    for device, inside in (("cuda:1", "cuda:0"), ("cpu", "cpu")):
        method.segment(Scene().target(), Scene().atlas_set(), Context(tmp_path, device=device))
        command = asked()
        assert (expected[0] in command) == (device != "cpu")
        assert command[command.index("--on") + 1] == inside
        if device != "cpu":
            assert command[(place := command.index(expected[0])) : place + len(expected)] == expected


def test_the_digest_is_a_parameter_and_so_in_the_key(asked: Callable[[], list[str]], tmp_path: Path) -> None:
    sif = tmp_path / "tool.sif"
    sif.write_bytes(b"an image")
    settings = {"run": "{target} {output}", "image": str(sif), "runtime": "apptainer"}
    first = make_method("m", "container", settings).segmenter
    assert asdict(first)["digest"].startswith("sha256:")  # type: ignore[call-overload]
    sif.write_bytes(b"another image")
    assert make_method("m", "container", settings).segmenter != first
    pinned = {**settings, "digest": asdict(first)["digest"]}  # type: ignore[call-overload]
    with pytest.raises(InputError, match="with the digest sha256:.*, found sha256:.*; get that image again"):
        make_method("m", "container", pinned)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({}, "image: expected NAME:TAG"),
        ({"image": "absent:1"}, "docker has no image 'absent:1' .*No such image.*; run: docker pull absent:1"),
        ({"image": "nowhere.sif", "runtime": "apptainer"}, "no file 'nowhere.sif'; run: apptainer build"),
        ({"image": "tool:1", "run": "{target}"}, "{output}"),
        ({"image": "tool:1", "runtime": "lxc"}, "'docker', 'podman' or 'apptainer'"),
    ],
)
def test_what_cannot_be_started_is_said_before_work_starts(
    settings: dict[str, str], said: str, asked: Callable[[], list[str]]
) -> None:
    with pytest.raises(InputError, match=said):
        make_method("m", "container", {"run": "{target} {output}", **settings})


def test_without_the_runtime(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(InputError, match="podman cannot be started .*install it"):
        make_method("m", "container", {"run": "{target} {output}", "image": "tool:1", "runtime": "podman"})
