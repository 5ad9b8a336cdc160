"""JLF of another checkout of dlfbench, in a process of its own: a rival like any other, in the same turns.

The lower half of this file runs in that process, on the other checkout's code: it uses only what both have.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
import numpy.typing as npt


class OtherBuild:
    """Fuses with the code of a checkout; a context manager, which ends the process.

    Problems are handed over before anything is timed.
    """

    def __init__(self, checkout: Path, problems: Sequence[Any], threads: int) -> None:
        if not (checkout / "dlfbench").is_dir():
            raise SystemExit(f"{checkout}: no checkout of dlfbench; give a folder that `git worktree add` made")
        self._folder = tempfile.TemporaryDirectory()
        self._numbers = {id(problem): number for number, problem in enumerate(problems)}
        for number, problem in enumerate(problems):
            _write(Path(self._folder.name), number, problem)
        path = os.pathsep.join(map(str, (checkout.resolve(), checkout.resolve() / "baselines")))
        self._process = subprocess.Popen(
            [sys.executable, "-P", __file__, self._folder.name, str(threads)],
            env={**os.environ, "PYTHONPATH": path}, cwd=self._folder.name,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        self.name = f"jlf of build {_commit(checkout)}"

    def __call__(self, problem: Any) -> npt.NDArray[Any]:
        """Labels (x, y, z)."""
        number = self._numbers[id(problem)]
        self._ask(f"{number}")
        found: npt.NDArray[Any] = np.load(Path(self._folder.name) / f"{number}.labels.npy")
        return found

    def process_time(self) -> float:
        """Processor time of the process so far, s."""
        return float(self._ask("time"))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()
        self._folder.cleanup()

    def _ask(self, what: str) -> Any:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(what + "\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline()
        if not answer:
            raise SystemExit(f"{self.name} ended with status {self._process.wait()}; its message is above")
        return json.loads(answer)


def _write(folder: Path, number: int, problem: Any) -> None:
    target, atlases = problem.target, problem.atlases
    # where an atlas does not reach it has no label, which older builds do not know: background
    np.savez(
        folder / f"{number}.npz", images=target.images, affine=target.grid.affine, names=list(atlases.names),
        atlas_images=atlases.images, atlas_labels=np.maximum(atlases.labels, 0), values=list(atlases.label_values),
    )  # fmt: skip


def _commit(checkout: Path) -> str:
    asked = ["git", "-C", str(checkout), "rev-parse", "--short", "HEAD"]
    told = subprocess.run(asked, capture_output=True, text=True, check=False)
    return told.stdout.strip() or checkout.name


def _serve(folder: Path, threads: int) -> None:
    """Answers on standard output: to `time` its processor time, to the number of a problem when it is solved."""
    from dlfbench.images import Grid
    from dlfbench.segmenters.interface import Context
    from dlfbench.volumes import AtlasSet, Target
    from dlfbench_baselines.jlf import JointLabelFusion

    read: dict[int, Any] = {}
    for path in folder.glob("*.npz"):
        a = np.load(path)
        target = Target("target", a["images"], Grid.of(a["images"].shape[1:], a["affine"]))
        names, values = tuple(map(str, a["names"])), tuple(map(int, a["values"]))
        read[int(path.stem)] = target, AtlasSet(names, a["atlas_images"], a["atlas_labels"], values)
    for line in sys.stdin:
        if line.strip() != "time":
            target, atlases = read[int(line)]
            found = JointLabelFusion().segment(target, atlases, Context(folder, threads=threads))
            np.save(folder / f"{int(line)}.labels.npy", np.asarray(found.labels))
        print(json.dumps(time.process_time()), flush=True)


if __name__ == "__main__":
    _serve(Path(sys.argv[1]), int(sys.argv[2]))
