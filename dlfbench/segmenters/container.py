"""A method in a container image: a command, without network, whose inputs are read-only."""

import os
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from dlfbench.datasets.digests import digest_file
from dlfbench.segmenters.command import Command
from dlfbench.segmenters.interface import Context


@dataclass(frozen=True)
class Container(Command):
    """A method in a container of docker, podman or apptainer; files go in and out as for `command`.

    The container has no network. It sees the folder of its inputs and, where it learned, that of its model, read-only,
    and the folder of its outputs, all at the paths that the placeholders say, and nothing else of the machine. With
    `gpu`, or where {device} stands in a line, it gets one card too, where there is one: cuda:0 to it. The image must be
    here already: nothing is downloaded. Which image it was is pinned: its digest is a parameter of the method, so that
    it stands in the run's study file and in the key of every result, and another image of the same name is refused, or
    makes new results.
    A container that outlives a time limit is found by: docker ps --filter label=dlfbench

    Attributes:
        run: The arguments that the image is started with, such as "--target {target} --out {output}"; placeholders as
            for `command`, also in `train`.
        image: NAME:TAG of an image that docker or podman has; for apptainer an image file (.sif).
        runtime: What starts it.
        digest: Of the image: docker's and podman's ID, or the SHA-256 of the file; asked for where it is not given.
        gpu: It uses a GPU where there is one, also without being told of the {device}.
    """

    image: str = field(default="", kw_only=True)
    runtime: Literal["docker", "podman", "apptainer"] = field(default="docker", kw_only=True)
    digest: str = field(default="", kw_only=True)
    gpu: bool = field(default=False, kw_only=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.image:
            raise ValueError("image: expected NAME:TAG of a container image, or a .sif file for apptainer, found none")
        here = _file_digest(self.image) if self.runtime == "apptainer" else _image_id(self.runtime, self.image)
        if self.digest and self.digest != here:
            raise ValueError(
                f"image: expected {self.image} with the digest {self.digest}, found {here}; get that image again, or "
                "leave `digest` out for new results"
            )
        object.__setattr__(self, "digest", here)

    @property
    def uses_gpu(self) -> bool:  # type: ignore[override]
        """Whether it is said to, or a line asks for the device."""
        return self.gpu or super().uses_gpu

    @property
    def code_files(self) -> tuple[Path, ...]:
        """The label mapping; paths in `run` and `train` are the container's."""
        return self.label_tables

    def started(self, arguments: list[str], context: Context, *, read: list[Path], write: list[Path]) -> list[str]:
        """The command line of the runtime. The image is named by its digest: no other can be started."""
        card = _card(context)
        if self.runtime == "apptainer":
            binds = _mounts("--bind", read, write)
            gpu = ["--nv", "--env", f"CUDA_VISIBLE_DEVICES={card}"] if card else []
            image = str(Path(self.image).resolve())
            return ["apptainer", "run", "--containall", "--net", "--network", "none", *binds, *gpu, image, *arguments]
        mounts = _mounts("--volume", read, write)
        limits = ["--network", "none", "--pull", "never", "--label", "dlfbench", "--cpus", str(context.threads)]
        user = ["--userns", "keep-id"] if self.runtime == "podman" else ["--user", f"{os.getuid()}:{os.getgid()}"]
        gpu = ["--gpus", f"device={card}"] if card else []
        return [self.runtime, "run", "--rm", "--init", *limits, *mounts, *user, *gpu, self.digest, *arguments]

    def _settings(self, label_values: Sequence[int], outputs: Path, context: Context) -> dict[str, str]:
        device = "cuda:0" if _card(context) else "cpu"  # the only one that it sees
        return super()._settings(label_values, outputs, replace(context, device=device))


def _card(context: Context) -> str:
    """Number of the card to use; none on the CPU."""
    kind, _, number = context.device.partition(":")
    return (number or "0") if kind == "cuda" else ""


def _mounts(flag: str, read: list[Path], write: list[Path]) -> list[str]:
    folders = [f"{folder}:{folder}:ro" for folder in read] + [f"{folder}:{folder}" for folder in write]
    return [word for folder in folders for word in (flag, folder)]


def _image_id(runtime: str, image: str) -> str:
    """The ID of an image: the SHA-256 of its configuration, and so of all its layers."""
    command = [runtime, "image", "inspect", "--format", "{{.Id}}", image]
    try:
        done = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False)
    except OSError as error:
        raise ValueError(
            f"runtime: {runtime} cannot be started ({error.strerror}); install it, or give runtime=docker, podman or "
            "apptainer"
        ) from None
    found = done.stdout.strip()
    if done.returncode or not found:
        said = (done.stderr.strip().splitlines() or ["nothing"])[-1]
        raise ValueError(f"image: {runtime} has no image {image!r} (it said: {said}); run: {runtime} pull {image}")
    return found if found.startswith("sha256:") else f"sha256:{found}"


def _file_digest(image: str) -> str:
    path = Path(image)
    if not path.is_file():
        raise ValueError(
            f"image: expected an image file for apptainer, found no file {image!r}; "
            "run: apptainer build FILE.sif docker://NAME:TAG"
        )
    return f"sha256:{digest_file(path)}"
