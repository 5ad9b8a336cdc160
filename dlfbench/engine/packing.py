"""A task on its way to the process that runs it: pickled once, opened there, and carried unopened by all others.

What a single file defines cannot be imported elsewhere: the file's text travels along. What a script or notebook
defines travels by value.
"""

import pickle
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dlfbench.engine.tasks import Task
from dlfbench.errors import InputError
from dlfbench.plugin_files import adopt_files, loaded_files
from dlfbench.segmenters.registry import Method


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
    )


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
