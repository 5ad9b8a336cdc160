"""A method in another language or container: a command with files in and out."""

import difflib
import re
import shlex
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from dlfbench.plugin_files import check_command
from dlfbench.segmenters import exchange
from dlfbench.segmenters.interface import Context, Segmenter, Training
from dlfbench.volumes import AtlasSet, Segmentation, Target

_PLACEHOLDER = re.compile(r"\{(\w+)\}")
_ALWAYS = ("labels", "seed", "threads", "device", "folder", "model")
_KNOWN = ("target", "atlas_list", "output", "posteriors", *_ALWAYS)
_KNOWN_IN_TRAINING = ("training_list", *_ALWAYS)
_LAST_LINES = 5
_TOLD_BY = 1024  # bytes of a program, among which a compiled one has a zero


@dataclass(frozen=True)
class Command(Segmenter):
    """A command of your own: images, warped atlases and the answer travel as NIfTI files.

    The command is started without a shell, in the folder in which dlfbench was started, once per target. It must end
    with exit code 0 and have written a label map on the target's grid. What it prints is kept in the task's log.

    Placeholders: {target} image files of the target, one argument per modality; {atlas_list} a CSV file with the
    columns name, image0 (image1, ...) and labels, one row per warped atlas; {output} the label map to write, .nii.gz;
    {labels} the declared values such as 0,1,2; {seed}, {threads}; {device} cpu, or a card of its own such as cuda:0,
    which only who asks for it gets; {folder} an empty folder for its files.
    {posteriors}, where it is asked for, is an empty folder for the share of each label, VALUE.nii.gz on the target's
    grid; that of the background may be left out.

    A command that learns says how in `train`, which is started once a fold: {training_list} is a CSV with the columns
    name, image0 (image1, ...) and labels, one row per training case; {model} a folder for what it learns, which `run`
    gets as {model} and must not change.

    Attributes:
        run: The command line, such as "mytool --target {target} --atlases {atlas_list} --out {output}".
        version: Of the tool: other values are other results. Scripts named in the command count by their content.
        map: Table with the columns `from`, values that the command writes, and `to`, values of the study; `*` is every
            other one. Without it the command writes the study's own.
        train: The command line that learns from the training cases of a fold; none for a tool that does not.
    """

    run: str = ""
    version: str = ""
    map: str | None = None
    train: str = ""

    def __post_init__(self) -> None:
        problems = [f"run: {problem}" for problem in _problems(_words("run", self.run), trained=bool(self.train))]
        problems += [f"train: {problem}" for problem in _training_problems(_words("train", self.train))]
        if problems:
            raise ValueError("; ".join(problems))
        for line in filter(None, (self.run, self.train)):
            check_command(line)
        if self.map is not None:
            if not Path(self.map).is_file():
                raise ValueError(f"map: expected a table with the columns from and to, found no file {self.map}")
            object.__setattr__(self, "map", str(Path(self.map).resolve()))  # workers may start elsewhere

    @property
    def needs_atlases(self) -> bool:  # type: ignore[override]
        """Whether the command asks for the atlas list."""
        return "{atlas_list}" in self.run

    @property
    def needs_training(self) -> bool:  # type: ignore[override]
        """Whether there is something to train."""
        return bool(self.train)

    @property
    def uses_gpu(self) -> bool:  # type: ignore[override]
        """Whether a command line asks for the device."""
        return "{device}" in self.run + self.train

    @property
    def code_files(self) -> tuple[Path, ...]:
        """Scripts named in the command lines, and the label mapping."""
        words = [word for line in (self.run, self.train) for word in _words_of_scripts(shlex.split(line))]
        scripts = dict.fromkeys(path for word in words if (path := Path(word)).is_file())
        return (*scripts, *self.label_tables)

    @property
    def label_tables(self) -> tuple[Path, ...]:
        """The label mapping, if any."""
        return () if self.map is None else (Path(self.map),)

    def fit(self, training: Training, context: Context) -> None:
        """Writes the training cases, runs `train`, and keeps what it left.

        Raises:
            RuntimeError: The command cannot be started, fails, or leaves no model.
        """
        with _scratch() as (inputs, outputs):
            files = {"training_list": str(exchange.write_training(inputs, training))}
            model = context.folder.resolve()
            settings = self._settings(training.label_values, outputs, context)
            arguments = _filled(shlex.split(self.train), files | settings, [])
            _run(self.started(arguments, context, read=[inputs], write=[outputs, model]))
            if not any(model.iterdir()):
                raise RuntimeError("train ended with exit code 0 but left nothing in {model}")

    def segment(self, target: Target, atlases: AtlasSet, context: Context) -> Segmentation:
        """Writes the files, runs the command, reads and checks its answer.

        Raises:
            RuntimeError: The command cannot be started, fails, or leaves no label map.
            ValueError: Its label map or a share is on another grid.
        """
        with _scratch() as (inputs, outputs):
            shares = outputs / "shares"
            shares.mkdir()
            files = {"output": str(outputs / "output.nii.gz"), "posteriors": str(shares)}
            files["atlas_list"] = str(exchange.write_atlases(inputs, atlases, target.grid.in_ras))
            settings = self._settings(atlases.label_values, outputs, context)
            images = exchange.write_images(inputs / "target", target.images, target.grid.in_ras)
            arguments = _filled(shlex.split(self.run), files | settings, [str(path) for path in images])
            read = [inputs, *([context.folder.resolve()] if self.train else [])]
            _run(self.started(arguments, context, read=read, write=[outputs]))
            labels = exchange.read_output(outputs / "output.nii.gz", target.grid)
            posterior = None
            if "{posteriors}" in self.run:
                posterior = exchange.read_posteriors(shares, target.grid, atlases.label_values)
        return Segmentation(exchange.mapped(labels, self.label_tables, atlases.label_values), posterior)

    def _settings(self, label_values: Sequence[int], outputs: Path, context: Context) -> dict[str, str]:
        """Placeholders of every command line."""
        return {
            "seed": str(context.seed),
            "threads": str(context.threads),
            "device": context.device,
            "labels": ",".join(map(str, label_values)),
            "folder": str(outputs / "own"),
            "model": str(context.folder.resolve()),
        }

    def started(self, arguments: list[str], context: Context, *, read: list[Path], write: list[Path]) -> list[str]:
        """What is started for these arguments, which name files in folders that are read and folders to write to."""
        return arguments


@contextmanager
def _scratch() -> Iterator[tuple[Path, Path]]:
    """A folder for inputs, and one for outputs with the command's own."""
    with tempfile.TemporaryDirectory(prefix="dlfbench-") as scratch:
        inputs, outputs = Path(scratch).resolve() / "in", Path(scratch).resolve() / "out"
        inputs.mkdir()
        (outputs / "own").mkdir(parents=True)
        yield inputs, outputs


def _words(name: str, line: str) -> list[str]:
    try:
        return shlex.split(line)
    except ValueError as error:
        raise ValueError(f"{name}: cannot be split into words ({error}), found {line!r}") from None


def _words_of_scripts(words: list[str]) -> list[str]:
    """What may be a script: an absolute program is a part of the machine, unless it is a script itself."""
    named = words[1:] if words and Path(words[0]).is_absolute() and not _is_text(Path(words[0])) else words
    return [*named, *(value for word in named if (value := word.partition("=")[2]))]  # --weights=FILE


def _is_text(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return b"\0" not in file.read(_TOLD_BY)
    except OSError:
        return False


def _problems(words: list[str], *, trained: bool) -> list[str]:
    found = _placeholders(words)
    problems = []
    if not words or "output" not in found:
        problems.append("expected a command line with {output}, the label map that it writes")
    problems += _unknown(found, _KNOWN)
    if not {"target", "atlas_list"} & set(found) and words:
        problems.append("expected {target} or {atlas_list}: the command gets nothing to work on")
    if trained != ("model" in found):
        problems.append(
            "expected {model}: what `train` leaves there is not used"
            if trained
            else "{model} is what `train` leaves, and there is no `train`"
        )
    return problems


def _training_problems(words: list[str]) -> list[str]:
    found = _placeholders(words)
    lacking = [name for name in ("training_list", "model") if words and name not in found]
    return [f"expected {{{name}}} in the command line" for name in lacking] + _unknown(found, _KNOWN_IN_TRAINING)


def _placeholders(words: list[str]) -> list[str]:
    return [name for word in words for name in _PLACEHOLDER.findall(word)]


def _unknown(found: list[str], known: tuple[str, ...]) -> list[str]:
    problems = []
    for name in found:
        if name not in known:
            nearest = difflib.get_close_matches(name, known, n=1)
            hint = f"; did you mean {{{nearest[0]}}}?" if nearest else ""
            problems.append(f"unknown placeholder {{{name}}}; known: {', '.join(f'{{{n}}}' for n in known)}{hint}")
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
        filled.append(_PLACEHOLDER.sub(lambda match: {**values, "target": "".join(images[:1])}[match[1]], word))
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
