"""Executes a plan on Dask: a task is sent when those that it needs have ended, and few are under way at a time."""

import heapq
import logging
import queue
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from dlfbench.engine.cluster import Resources, Workers, connect
from dlfbench.engine.order import order_of_start
from dlfbench.engine.packing import pack
from dlfbench.engine.tasks.task import Place, Task
from dlfbench.engine.trouble import RunStopped, explain
from dlfbench.engine.worker import PROGRESS_TOPIC, Outcome, run_task, stop_processes
from dlfbench.records.folder import Product

log = logging.getLogger(__name__)

_UNDER_WAY = 1000  # enough for any cluster, and little for the scheduler to keep
_SPARE = 1  # sent before a worker is free, so that none waits for the next task
_LOOK_EVERY_S = 5.0


@dataclass(frozen=True)
class Watcher:
    """Who is told of progress.

    Attributes:
        ended: Called with each task that ended and its outcome.
        progress: Called with what long tasks say: names, kind, share (0 to 1), text.
    """

    ended: Callable[[Task, Outcome], None]
    progress: Callable[[dict[str, Any]], None]


def pending(
    tasks: Mapping[str, Task], place: Place, *, retry_failed: bool = False, failed: Collection[str] = ()
) -> dict[str, Task]:
    """The tasks that are not done, and all that need them.

    Not done is a task without a product, whose files are not as it left them, or that used other atlases than there are
    now; with `retry_failed` a failed one too. What needs a registration is left as it is: a warped atlas that is made
    again is the same. One that the run has made, and that is in the store no more, is made again for those alone that
    are left and need it.

    Args:
        tasks: Each after those that it needs.
        place: Run folder and store.
        retry_failed: Failed tasks are to be run again.
        failed: Registrations beside these that have failed.
    """
    left: dict[str, Task] = {}
    without, made = set(failed), set[str]()
    for key, task in tasks.items():
        product = place.folder.read_product(task.kind, key)
        again = any(need in left and left[need].kind != "registration" for need in task.needs)
        if product is not None and not product.ok and not retry_failed:
            without.add(key)
        if product is not None and product.ok and task.kind == "registration":
            made.add(key)
        if again or not _is_done(task, product, place, retry_failed) or _used_others(task, product, without):
            left[key] = task
    needed = {need for task in left.values() for need in task.needs}
    return {key: task for key, task in left.items() if key in needed or key not in made}


def in_turn(tasks: Mapping[str, Task], place: Place) -> Iterator[dict[str, Task]]:
    """Tasks in the parts in which they are run: first registrations that failed, which are tried again.

    What did without their atlases is made again with those that are there then; where there are no others, it stays.

    Args:
        tasks: Those that are left to do.
        place: Run folder and store.
    """
    tried = {key: task for key, task in tasks.items() if task.kind == "registration" and _has_failed(task, place)}
    if not tried:
        yield dict(tasks)
        return
    yield tried
    rest = {key: task for key, task in tasks.items() if key not in tried}
    failed = [key for key, task in tried.items() if _has_failed(task, place)]
    yield pending(rest, place, retry_failed=True, failed=failed)


def _has_failed(task: Task, place: Place) -> bool:
    product = place.folder.read_product(task.kind, task.key)
    return product is not None and not product.ok


def run_tasks(
    tasks: Mapping[str, Task],
    place: Place,
    resources: Resources,
    watcher: Watcher,
    references: Callable[[Task], frozenset[str]] = lambda task: frozenset(),
) -> None:
    """Runs tasks until each has a product.

    Args:
        tasks: Those to run, each after the tasks that it needs; needs outside of it have their products already.
        place: Run folder, store, device, threads.
        resources: Workers, GPUs, time limit.
        watcher: Told of progress.
        references: Seals of the files that a task must not open.

    Raises:
        InputError: The scheduler cannot be used.
        RunStopped: The machine is in trouble, or the scheduler is gone.
        KeyboardInterrupt: As it came; no product is half-written and the run can go on later.
    """
    if not tasks:
        return
    with connect(resources) as workers:
        if resources.scheduler is not None:
            _stop_processes(workers, place)  # of an earlier start that was killed: nobody waits for what they do
        workers.client.subscribe_topic(PROGRESS_TOPIC, lambda event: watcher.progress(event[1]))
        lost: list[str] = []
        try:
            for part in in_turn(tasks, place):
                _outdate(part, place)
                flow = _Flow(part, place, resources, workers, references)
                for task, outcome in flow.run():
                    _tell(watcher, task, outcome)
                lost += flow.lost
        finally:
            _stop_processes(workers, place)
        if lost:
            raise RunStopped(
                f"{lost[0]} (one of {len(lost)} tasks lost); see why its workers end (a job's time or memory)"
            )


def _stop_processes(workers: Workers, place: Place) -> None:
    with suppress(Exception):  # workers that are gone have no processes left
        workers.client.run(stop_processes, place.run)


def _tell(watcher: Watcher, task: Task, outcome: Outcome) -> None:
    try:
        watcher.ended(task, outcome)
    except Exception:  # what cannot be shown stops no run
        log.exception("%s %s: its end could not be told", task.kind, " ".join(map(str, task.names.values())))


def _outdate(tasks: Mapping[str, Task], place: Place) -> None:
    try:
        for task in tasks.values():
            task.outdate(place.folder)
    except OSError as error:
        raise RunStopped(explain(error)) from error


class _Flow:
    """Which tasks wait, may start, and are under way."""

    def __init__(
        self,
        tasks: Mapping[str, Task],
        place: Place,
        resources: Resources,
        workers: Workers,
        references: Callable[[Task], frozenset[str]],
    ) -> None:
        self.tasks, self.place, self.resources, self.workers = tasks, place, resources, workers
        self.references = references
        self.lost: list[str] = []
        self._keys = list(order_of_start(tasks))
        self._order = {key: number for number, key in enumerate(self._keys)}
        self._under_way: dict[str, Any] = {}
        self._ended: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._waits_for: dict[str, int] = {}
        self._needed_by: defaultdict[str, list[str]] = defaultdict(list)
        for key, task in tasks.items():
            needs = [need for need in dict.fromkeys(task.needs) if need in tasks]
            self._waits_for[key] = len(needs)
            for need in needs:
                self._needed_by[need].append(key)
        self._ready: list[int] = []
        self._fits: list[int] = []  # those that are ready; and those that were not sent
        self._fits_left = [self._order[key] for key in self._keys if tasks[key].kind == "fit"]
        for key in self._keys:
            if not self._waits_for[key]:
                self._set_ready(key)

    def run(self) -> Iterator[tuple[Task, Outcome]]:
        """Each task as it ends. What needs a task that was lost is left for the next start."""
        self._send()
        while self._under_way:
            future = self._next_to_end()
            key = future.key.partition("-")[2]
            del self._under_way[key]
            outcome = self._outcome(future, self.tasks[key])
            if outcome is not None:
                self._free(key)
            self._send()
            if outcome is not None:
                yield self.tasks[key], outcome

    def _free(self, key: str) -> None:
        for other in self._needed_by.pop(key, ()):
            self._waits_for[other] -= 1
            if not self._waits_for[other]:
                self._set_ready(other)

    def _set_ready(self, key: str) -> None:
        heapq.heappush(self._fits if self.tasks[key].kind == "fit" else self._ready, self._order[key])

    def _send(self) -> None:
        while (number := self._next()) is not None:
            task = self.tasks[self._keys[number]]
            future = self.workers.client.submit(
                run_task,
                pack(task, self.references(task)),
                self.place,
                self.resources.limit_s,
                key=f"{task.kind}-{task.key}",
                resources={"GPU": 1} if task.uses_gpu and self.resources.gpus else None,
                priority=-number,
                pure=False,
            )
            self._under_way[task.key] = future
            future.add_done_callback(self._ended.put)

    def _next(self) -> int | None:
        """The task that is sent next.

        On this machine's processors few are sent at a time, so that what gets ready is not behind what was sent before.
        Fits start early, because they take long, and in their order; but they leave a worker to the rest as long as
        there is some.
        """
        few = self.resources.scheduler is None and not self.resources.gpus
        if len(self._under_way) >= (self.resources.workers + _SPARE if few else _UNDER_WAY):
            return None
        if self._fits and (not few or self._fit_may_start()):
            number = heapq.heappop(self._fits)
            self._fits_left.remove(number)
            return number
        return heapq.heappop(self._ready) if self._ready else None

    def _fit_may_start(self) -> bool:
        fits = sum(self.tasks[key].kind == "fit" for key in self._under_way)
        others = self._ready or fits < len(self._under_way)
        return not others or (fits < self.resources.workers - 1 and self._fits[0] == self._fits_left[0])

    def _next_to_end(self) -> Any:
        while True:
            try:
                return self._ended.get(timeout=_LOOK_EVERY_S)
            except queue.Empty:
                self.workers.look()

    def _outcome(self, future: Any, task: Task) -> Outcome | None:
        """How a task ended; None where its worker ended again and again.

        Raises:
            RunStopped: The run cannot go on.
        """
        from distributed import KilledWorker

        if future.status == "finished":
            return future.result()  # type: ignore[no-any-return]
        if future.status == "cancelled":
            raise RunStopped(f"{self.workers.where}: the scheduler is gone")
        error = future.exception()
        if isinstance(error, RunStopped):
            raise error
        if isinstance(error, KilledWorker):
            self.lost.append(f"{task.kind} {' '.join(map(str, task.names.values()))}: {error}")
            return None
        raise RunStopped(f"{task.kind} {' '.join(map(str, task.names.values()))}: {type(error).__name__}: {error}")


def _is_done(task: Task, product: Product | None, place: Place, retry_failed: bool) -> bool:
    if product is not None and not product.ok:
        return not retry_failed
    if task.kind == "registration":
        return task.key in place.store
    return product is not None and not place.folder.damaged(product)


def _used_others(task: Task, product: Product | None, failed: Collection[str]) -> bool:
    """Whether a product was made with other atlases than those whose registration has not failed, or is tried again."""
    if product is None or not product.ok or not task.registrations:
        return False
    used = task.used(product)
    return used is not None and used != {one.key for one in task.registrations} - set(failed)
