"""A method in another language or container: a command with files in and out."""

import csv
import difflib
import re
import shlex
import subprocess
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dlfbench.datasets.cases import LabelSet
from dlfbench.datasets.mapping import read_mapping
from dlfbench.errors import InputError
from dlfbench.images import Grid, LabelArray, read_labels, write_image, write_labels
from dlfbench.plugin_files import check_command
from dlfbench.segmenters.interface import Context, Segmenter
from dlfbench.volumes import AtlasSet, Segmentation, Target

_PLACEHOLDER = re.compile(r"\{(\w+)\}")
_KNOWN = ("target", "atlas_list", "output", "labels", "seed", "threads", "device", "folder")
_LAST_LINES = 5


@dataclass(frozen=True)
class Command(Segmenter):
    """A command of your own: images, warped atlases and the answer travel as NIfTI files.

    The command is started without a shell, in the folder in which dlfbench was started, once per target. It must end
    with exit code 0 and have written a label map on the target's grid. What it prints is kept in the task's log.

    Placeholders: {target} image files of the target, one argument per modality; {atlas_list} a CSV file with the
    columns name, image0 (image1, ...) and labels, one row per warped atlas; {output} the label map to write, .nii.gz;
    {labels} the declared values such as 0,1,2; {seed}, {threads}, {device}; {folder} an empty folder for its files.

    Attributes:
        run: The command line, such as "mytool --target {target} --atlases {atlas_list} --out {output}".
        version: Of the tool: other values are other results. Scripts named in the command count by their content.
        map: Table with the columns `from`, values that the command writes, and `to`, values of the study; `*` is every
            other one. Without it the command writes the study's own.
    """

    run: str = ""
    version: str = ""
    map: str | None = None

    def __post_init__(self) -> None:
        try:
            words = shlex.split(self.run)
        except ValueError as error:
            raise ValueError(f"run: cannot be split into words ({error}), found {self.run!r}") from None
        problems = _problems(words)
        if problems:
            raise ValueError("; ".join(f"run: {problem}" for problem in problems))
        check_command(self.run)
        if self.map is not None:
            if not Path(self.map).is_file():
                raise ValueError(f"map: expected a table with the columns from and to, found no file {self.map}")
            object.__setattr__(self, "map", str(Path(self.map).resolve()))  # workers may start elsewhere

    @property
    def needs_atlases(self) -> bool:  # type: ignore[override]
        """Whether the command asks for the atlas list."""
        return "{atlas_list}" in self.run

    @property
    def code_files(self) -> tuple[Path, ...]:
        """Scripts named in the command, and the label mapping."""
        program, *words = shlex.split(self.run)
        paths = [Path(word) for word in (words if Path(program).is_absolute() else [program, *words])]
        return (*(path for path in paths if path.is_file()), *self.label_tables)

    @property
    def label_tables(self) -> tuple[Path, ...]:
        """The label mapping, if any."""
        return () if self.map is None else (Path(self.map),)

    def segment(self, target: Target, atlases: AtlasSet, context: Context) -> Segmentation:
        """Writes the files, runs the command, reads and checks its answer.

        Raises:
            RuntimeError: The command cannot be started, fails, or leaves no label map.
            ValueError: Its label map is on another grid.
        """
        with tempfile.TemporaryDirectory(prefix="dlfbench-") as scratch:
            inputs, outputs = Path(scratch).resolve() / "in", Path(scratch).resolve() / "out"
            (outputs / "own").mkdir(parents=True)
            files = {"output": str(outputs / "output.nii.gz"), "folder": str(outputs / "own")}
            files["atlas_list"] = str(_write_atlases(inputs, atlases, target.grid.in_ras))
            settings = {"seed": str(context.seed), "threads": str(context.threads), "device": context.device}
            settings["labels"] = ",".join(map(str, atlases.label_values))
            images = [str(path) for path in _write_images(inputs / "target", target.images, target.grid.in_ras)]
            arguments = _filled(shlex.split(self.run), files | settings, images)
            _run(self.started(arguments, inputs, outputs, context))
            labels = _read(outputs / "output.nii.gz", target.grid)
            return Segmentation(_mapped(labels, self.label_tables, atlases.label_values))

    def started(self, arguments: list[str], inputs: Path, outputs: Path, context: Context) -> list[str]:
        """What is started for these arguments, which name files in the folders `inputs` and `outputs`."""
        return arguments


def _problems(words: list[str]) -> list[str]:
    found = [name for word in words for name in _PLACEHOLDER.findall(word)]
    problems = []
    if not words or "output" not in found:
        problems.append("expected a command line with {output}, the label map that it writes")
    for name in found:
        if name not in _KNOWN:
            nearest = difflib.get_close_matches(name, _KNOWN, n=1)
            hint = f"; did you mean {{{nearest[0]}}}?" if nearest else ""
            problems.append(f"unknown placeholder {{{name}}}; known: {', '.join(f'{{{n}}}' for n in _KNOWN)}{hint}")
    if not {"target", "atlas_list"} & set(found) and words:
        problems.append("expected {target} or {atlas_list}: the command gets nothing to work on")
    return problems


def _filled(words: list[str], values: Mapping[str, str], images: list[str]) -> list[str]:
    """The command's arguments. A value is never split or read by a shell, whatever it holds."""
    filled: list[str] = []
    for word in words:
        if word == "{target}":
            filled += images
            continue
        if "{target}" in word and len(images) > 1:
            raise RuntimeError(f"{word!r}: with {len(images)} modalities, {{target}} must be an argument of its own")
        filled.append(_PLACEHOLDER.sub(lambda match: {**values, "target": images[0]}[match[1]], word))
    return filled


def _run(arguments: list[str]) -> None:
    """Runs to the end; a time-out ends this process, its group and so the command with what it started."""
    print(f"$ {shlex.join(arguments)}", flush=True)
    started = time.monotonic()
    with tempfile.TemporaryFile("w+", errors="replace") as errors:
        try:
            done = subprocess.run(arguments, stdin=subprocess.DEVNULL, stderr=errors, check=False)
        except OSError as error:
            raise RuntimeError(f"{arguments[0]}: cannot be started: {error.strerror}; is it installed?") from None
        errors.seek(0)
        said = errors.read().strip()
    took = f"exit code {done.returncode} after {time.monotonic() - started:.1f} s"
    print(f"{said}\n{took}", flush=True)
    if done.returncode:
        last = " | ".join(said.splitlines()[-_LAST_LINES:]) or "nothing"
        raise RuntimeError(f"{arguments[0]} ended with {took}; it said: {last}")


def _write_images(stem: Path, images: np.ndarray, grid: Grid) -> list[Path]:
    paths = [stem.with_name(f"{stem.name}_{channel:04d}.nii.gz") for channel in range(len(images))]
    for path, voxels in zip(paths, images, strict=True):
        write_image(path, voxels, grid)
    return paths


def _write_atlases(folder: Path, atlases: AtlasSet, grid: Grid) -> Path:
    """The list of the atlases, and their files beside it."""
    rows = []
    for number, name in enumerate(atlases.names):
        stem = folder / "atlases" / f"atlas{number:03d}"
        labels = stem.with_name(f"{stem.name}_labels.nii.gz")
        images = _write_images(stem, atlases.images[number], grid)
        write_labels(labels, atlases.labels[number].clip(min=0), grid)  # many tools know no label below 0
        rows.append([name, *images, labels])
    path = folder / "atlases.csv"
    folder.mkdir(parents=True, exist_ok=True)
    modalities = atlases.images.shape[1] if len(atlases) else 1
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([["name", *(f"image{m}" for m in range(modalities)), "labels"], *rows])
    return path


def _mapped(labels: LabelArray, tables: tuple[Path, ...], label_values: tuple[int, ...]) -> LabelArray:
    """The study's labels, which have no names here: the table gives values."""
    for table in tables:
        mapping = read_mapping(table, LabelSet(label_values, tuple(map(str, label_values))))
        try:
            labels = np.maximum(mapping.apply(labels, "the command's output"), 0)
        except InputError as error:
            raise ValueError(str(error)) from None
    return labels


def _read(path: Path, grid: Grid) -> LabelArray:
    if not path.is_file():
        raise RuntimeError("the command ended with exit code 0 but wrote no {output}")
    try:
        labels, found = read_labels(path)
    except InputError as error:
        raise RuntimeError(f"the command's output cannot be used: {error}") from None
    if not found.matches(grid):
        raise ValueError(f"the command's output is on {found.describe()}; the target on {grid.describe()}")
    return labels
