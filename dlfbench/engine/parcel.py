"""A task on its way to the process that runs it: pickled once, opened there, and carried unopened by all others.

Classes of single files, scripts and notebooks cannot be imported elsewhere: they travel by value.
"""

import pickle
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dlfbench.engine.tasks import Task
from dlfbench.errors import InputError
from dlfbench.segmenters.registry import Method


@dataclass(frozen=True)
class Parcel:
    """A packed task.

    Attributes:
        key: The task's key.
        kind: The task's kind.
        names: What the task is about.
        uses_gpu: Whether it asks for a GPU.
        content: The pickled task.
        path: Folders in which its modules are found.
    """

    key: str
    kind: str
    names: dict[str, Any]
    uses_gpu: bool
    content: bytes
    path: tuple[str, ...]

    def open(self) -> Task:
        """The task; its modules are imported by now."""
        sys.path += [folder for folder in self.path if folder not in sys.path]
        task: Task = pickle.loads(self.content)
        return task


def pack(task: Task) -> Parcel:
    """Packs a task for any process."""
    import cloudpickle

    path = tuple(str(Path(folder).resolve()) for folder in sys.path)
    return Parcel(task.key, task.kind, task.names, task.uses_gpu, cloudpickle.dumps(task), path)


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
