"""The log of a run: one line of JSON for each thing that happened, added to whatever earlier starts left."""

import contextlib
import json
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from dlfbench.engine.cluster import Resources
from dlfbench.engine.execute import Watcher
from dlfbench.engine.tasks.task import Place, Task
from dlfbench.engine.worker import Outcome


class RunLog:
    """Writes RUN/log.jsonl: `time` (UTC), `event` (start, task, end) and what belongs to it.

    Args:
        path: The file; lines are added to it.
    """

    def __init__(self, path: Path) -> None:
        self._file = path.open("a", encoding="utf-8", buffering=1)

    def __enter__(self) -> "RunLog":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        self._write("end", how="finished" if kind is None else kind.__name__, why=str(error or ""))
        with contextlib.suppress(OSError):
            self._file.close()

    def started(self, todo: Mapping[str, Task], place: Place, resources: Resources) -> None:
        """A run starts: what is left to do, and on what."""
        left = dict(Counter(task.kind for task in todo.values()))
        self._write("start", todo=left, device=place.device, threads=place.threads, **asdict(resources))

    def watching(self, watcher: Watcher) -> Watcher:
        """The same watcher; tasks that end are logged too."""

        def ended(task: Task, outcome: Outcome) -> None:
            about = {"kind": task.kind, **task.names, "status": outcome.status, "wall_s": round(outcome.wall_s, 3)}
            self._write("task", **about, **({"reason": outcome.reason} if outcome.reason else {}), key=task.key)
            watcher.ended(task, outcome)

        return Watcher(ended, watcher.progress)

    def _write(self, event: str, **content: Any) -> None:
        now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        with contextlib.suppress(OSError):  # a full disk stops the run where it matters
            self._file.write(json.dumps({"time": now, "event": event, **content}) + "\n")
