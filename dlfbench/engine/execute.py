"""Executes a plan on Dask."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from dlfbench.engine.child import RunStopped
from dlfbench.engine.cluster import Resources, connect
from dlfbench.engine.parcel import pack
from dlfbench.engine.tasks import Place, Task
from dlfbench.engine.worker import PROGRESS_TOPIC, Outcome, run_task, stop_children
from dlfbench.records.folder import Product


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
        InputError: The scheduler cannot be used.
        RunStopped: A task could not write (the disk is full).
        KeyboardInterrupt: As it came; no product is half-written and the run can go on later.
    """
    from distributed import as_completed

    if not tasks:
        return
    with connect(resources) as client:
        client.subscribe_topic(PROGRESS_TOPIC, lambda event: watcher.progress(event[1]))
        futures: dict[str, Any] = {}
        for key, task in tasks.items():
            needed = [futures[need] for need in task.needs if need in futures]
            card = {"GPU": 1} if task.uses_gpu and resources.gpus else None
            futures[key] = client.submit(
                run_task,
                pack(task),
                place,
                resources.limit_s,
                needed,
                key=f"{task.kind}-{key}",
                resources=card,
                pure=False,
            )
        try:
            for future in as_completed(list(futures.values()), raise_errors=False):
                task = tasks[future.key.partition("-")[2]]
                watcher.ended(task, _outcome_of(future, task, place))
        finally:
            client.run(stop_children)


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
