"""A task on its way to the process that runs it: pickled once, opened there, and carried unopened by all others.

What a single file defines cannot be imported elsewhere: the file's text travels along. What a script or notebook
defines travels by value. All other code is read where the task is done, and must be there what was planned with.
"""

import pickle
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from dlfbench.datasets.digests import digest_file
from dlfbench.engine.fingerprint import fingerprint_of, is_own
from dlfbench.engine.script_code import is_of_script, script_code
from dlfbench.engine.tasks.task import Task
from dlfbench.errors import InputError
from dlfbench.plugin_files import adopt_files, loaded_files
from dlfbench.segmenters.interface import Segmenter
from dlfbench.segmenters.registry import Method

Code = tuple[tuple[str, str], ...]
"""Name of a module, or path of a file, and the digest of its code."""


@dataclass(frozen=True)
class PackedTask:
    """A packed task.

    Attributes:
        key: The task's key.
        kind: The task's kind.
        names: What the task is about.
        uses_gpu: Whether it asks for a GPU.
        content: The pickled task.
        path: Folders in which its modules are found.
        files: Plugin files by module: path and source.
        requires: Kind and key of the tasks without whose success there is nothing to do.
        inputs: Files of the dataset that a method may open by itself.
        references: Seals of the files that it must not open (see `isolation.references`).
        code: The code that is not part of `content` and `files`, as it was planned with.
    """

    key: str
    kind: str
    names: dict[str, Any]
    uses_gpu: bool
    content: bytes
    path: tuple[str, ...]
    files: dict[str, tuple[str, bytes]]
    requires: tuple[tuple[str, str], ...] = ()
    inputs: tuple[Path, ...] = ()
    references: frozenset[str] = frozenset()
    code: Code = ()

    @property
    def about(self) -> str:
        """What the task is about, for messages."""
        return " ".join(str(value) for value in self.names.values())

    def open(self) -> Task:
        """The task; its modules are imported by now."""
        sys.path += [folder for folder in self.path if folder not in sys.path]
        adopt_files(self.files)
        task: Task = pickle.loads(self.content)
        return task

    def check_code(self) -> None:
        """Checks that this process has the code that was planned with; what it has imported stays as it is.

        Raises:
            InputError: It has another.
        """
        changed = _changed(self.code)
        if changed:
            raise InputError(
                f"method {self.names['method']!r}: its code has changed since this run was started, or is not found "
                f"here ({', '.join(changed)}); start again, and what depends on it is made anew"
            )


def pack(task: Task, references: frozenset[str] = frozenset()) -> PackedTask:
    """Packs a task for any process, with the seals of the files that it must not open."""
    import cloudpickle

    content = cloudpickle.dumps(task)
    path = tuple(str(Path(folder).resolve()) for folder in sys.path)
    files = {module: file for module, file in loaded_files().items() if module.encode() in content}
    return PackedTask(
        task.key,
        task.kind,
        task.names,
        task.uses_gpu,
        content,
        path,
        files,
        requires=task.requires,
        inputs=task.inputs,
        references=references,
        code=task.code,
    )


def code_of(segmenter: Segmenter) -> Code:
    """The code of a method, and of those that it calls, that is read where a task is done."""
    names = set(_names_of_code(segmenter))
    for part in (*segmenter.parts, *(member.segmenter for member in segmenter.members)):
        names |= {name for name, _ in code_of(part)}
    return tuple((name, _digest_now(name)) for name in sorted(names))


def _names_of_code(segmenter: Segmenter) -> Iterator[str]:
    """Modules, and paths of files. A script or notebook travels by value; what it imports of its user's does not."""
    kind = type(segmenter)
    if is_of_script(kind):
        yield from (module for module in script_code(kind)[1] if is_own(module, ""))
    else:
        yield kind.__module__
    yield from (str(path.resolve()) for path in segmenter.code_files)


def _digest_now(name: str) -> str:
    """The digest of a module's code, as a key has it, or of a file; empty where it cannot be read."""
    of_module: Any = SimpleNamespace(__module__=name)
    try:
        return digest_file(Path(name)) if Path(name).is_absolute() else fingerprint_of(of_module).sources
    except (OSError, SyntaxError, ValueError):
        return ""


@cache
def _changed(code: Code) -> tuple[str, ...]:
    return tuple(name for name, planned in code if _digest_now(name) != planned)


def check_portable(methods: tuple[Method, ...]) -> None:
    """Checks that every method can travel to another process.

    Raises:
        InputError: One line for each that cannot.
    """
    import cloudpickle

    problems = []
    for method in methods:
        try:
            cloudpickle.dumps(method.segmenter)
        except Exception as error:  # whatever the method holds may raise
            problems.append(
                f"method {method.name!r}: cannot be sent to a worker process ({type(error).__name__}: {error}); let it "
                "use only functions, classes and plain values, and open files, locks and the like inside of its methods"
            )
    if problems:
        raise InputError(problems)
