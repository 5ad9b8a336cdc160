"""Executes a plan on Dask: a local cluster by default, or a scheduler that is already there."""

import logging
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from dlfbench.engine.child import RunStopped
from dlfbench.engine.runfolder import Product
from dlfbench.engine.tasks import Place, Task
from dlfbench.engine.worker import PROGRESS_TOPIC, Outcome, run_task, set_cards, stop_children

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Resources:
    """What a run may use.

    Attributes:
        workers: Tasks at a time on this machine.
        scheduler: Address of a Dask scheduler to use instead, such as `tcp://host:8786`.
        gpus: Cards that GPU tasks share out among themselves; 0 for none.
        limit_s: Time limit of a fit or segmentation.
    """

    workers: int
    scheduler: str | None = None
    gpus: int = 0
    limit_s: float | None = None


@dataclass(frozen=True)
class Watcher:
    """Who is told of progress.

    Attributes:
        ended: Called with each task that ended and its outcome.
        progress: Called with what long tasks say: names, kind, share (0 to 1), text.
    """

    ended: Callable[[Task, Outcome], None]
    progress: Callable[[dict[str, Any]], None]


def pending(tasks: Mapping[str, Task], place: Place, *, retry_failed: bool = False) -> dict[str, Task]:
    """The tasks without a product, in order; with `retry_failed` also those that failed."""
    return {key: task for key, task in tasks.items() if not _is_done(task, place, retry_failed)}


def execute(tasks: Mapping[str, Task], place: Place, resources: Resources, watcher: Watcher) -> None:
    """Runs tasks until each has a product.

    Args:
        tasks: Those to run, each after the tasks that it needs; needs outside of it have their products already.
        place: Run folder, store, device, threads.
        resources: Workers, GPUs, time limit.
        watcher: Told of progress.

    Raises:
        RunStopped: A task could not write (the disk is full).
        KeyboardInterrupt: As it came; no product is half-written and the run can go on later.
    """
    from distributed import as_completed

    if not tasks:
        return
    with _client(resources, place) as client:
        client.subscribe_topic(PROGRESS_TOPIC, lambda event: watcher.progress(event[1]))
        futures: dict[str, Any] = {}
        for key, task in tasks.items():
            needed = [futures[need] for need in task.needs if need in futures]
            card = {"GPU": 1} if task.uses_gpu and resources.gpus else None
            futures[key] = client.submit(
                run_task, task, place, resources.limit_s, needed, key=f"{task.kind}-{key}", resources=card, pure=False
            )
        try:
            for future in as_completed(list(futures.values()), raise_errors=False):
                task = tasks[future.key.partition("-")[2]]
                watcher.ended(task, _outcome_of(future, task, place))
        finally:
            client.run(stop_children)


def count_gpus(device: str) -> int:
    """GPUs to use for a device of `auto`, `cpu` or `cuda`; PyTorch is asked only where there can be one."""
    if device == "cpu" or (device == "auto" and shutil.which("nvidia-smi") is None):
        return 0
    import torch

    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if device == "cuda" and not count:
        log.warning("--device cuda: PyTorch sees no GPU; running on the CPU")
    return count


def _is_done(task: Task, place: Place, retry_failed: bool) -> bool:
    product = place.folder.read_product(task.kind, task.key)
    if product is not None and not product.ok:
        return not retry_failed
    if task.kind == "registration":
        return task.key in place.store
    return product is not None and _output_exists(task, place)


def _output_exists(task: Task, place: Place) -> bool:
    if task.kind != "segmentation":
        return True
    names = task.names
    return place.folder.segmentation_path(names["method"], names["fold"], names["case"]).is_file()


def _outcome_of(future: Any, task: Task, place: Place) -> Outcome:
    if future.status == "finished":
        return future.result()  # type: ignore[no-any-return]
    error = future.exception()
    if isinstance(error, RunStopped):
        raise error
    reason = f"worker lost: {type(error).__name__}: {error}"
    place.folder.write_product(Product(task.key, task.kind, "failed", reason, task.names))
    return Outcome(task.key, task.kind, "failed", reason, 0.0)


@contextmanager
def _client(resources: Resources, place: Place) -> Iterator[Any]:
    """A client of the scheduler named, or of one inside this process whose threads each own a child process."""
    import dask
    from distributed import Client, LocalCluster

    if resources.scheduler:
        with Client(resources.scheduler) as client:
            yield client
        return
    set_cards(resources.gpus)
    logging.getLogger("distributed").setLevel(logging.ERROR)
    # Tasks run in children, so nothing here blocks the loop; a slow machine must not look like a dead one.
    patience = {"distributed.scheduler.worker-ttl": None, "distributed.comm.timeouts.connect": "60s"}
    with (
        dask.config.set(patience),
        LocalCluster(
            n_workers=1,
            threads_per_worker=resources.workers,
            processes=False,
            memory_limit=0,
            dashboard_address="127.0.0.1:0",
            resources={"GPU": resources.gpus} if resources.gpus else None,
            silence_logs=logging.ERROR,
        ) as cluster,
        Client(cluster) as client,
    ):
        yield client


def default_workers() -> int:
    """Processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
