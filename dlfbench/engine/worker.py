"""What a Dask worker does with a task: hand it to a child process and see to it that there is a product."""

import queue
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from dlfbench.engine.child import Child
from dlfbench.engine.parcel import Parcel
from dlfbench.engine.tasks import Place
from dlfbench.records.folder import Product, Status

PROGRESS_TOPIC = "dlfbench-progress"

_own = threading.local()
_children: set[Child] = set()
_cards: "queue.SimpleQueue[str]" = queue.SimpleQueue()


@dataclass(frozen=True)
class Outcome:
    """How a task ended; small enough to travel to the tasks that need it."""

    key: str
    kind: str
    status: Status
    reason: str
    wall_s: float


def run_task(task: Parcel, place: Place, limit_s: float | None, needed: Sequence[Outcome]) -> Outcome:
    """Runs a task in this thread's child process and leaves its product in the run folder.

    A task that needs a failed fit or segmentation fails with that reason. Failed registrations are left to the
    tasks that load atlases: they go on with the others.

    Raises:
        RunStopped: The run was interrupted or the disk is full.
    """
    blocked = [outcome for outcome in needed if outcome.status == "failed" and outcome.kind != "registration"]
    if blocked:
        return _failed(task, place, f"{blocked[0].kind} failed: {blocked[0].reason}")
    limit_s = limit_s if task.kind in ("fit", "segmentation") else None
    product = _with_device(
        task, place, lambda own: _child(place.threads).run(task, own, limit_s=limit_s, progress=_say(task))
    )
    if not product.ok:
        place.folder.write_product(product)
    return _outcome(product)


def stop_children() -> None:
    """Ends every child process of this worker, at once; their tasks raise RunStopped."""
    for child in tuple(_children):
        child.stop()
        _children.discard(child)


def set_cards(count: int) -> None:
    """Declares the GPUs of this process; each GPU task takes one for itself."""
    while not _cards.empty():
        _cards.get()
    for card in range(count):
        _cards.put(f"cuda:{card}")


def _with_device(task: Parcel, place: Place, work: Callable[[Place], Product]) -> Product:
    if place.device == "cpu" or not task.uses_gpu:
        return work(replace(place, device="cpu"))
    card = "cuda:0" if _cards.empty() else _cards.get()
    try:
        return work(replace(place, device=card))
    finally:
        _cards.put(card)


def _child(threads: int) -> Child:
    child: Child | None = getattr(_own, "child", None)
    if child is None or child not in _children or child.threads != threads:
        child = _own.child = Child(threads)
        _children.add(child)
    return child


def _say(task: Parcel) -> Callable[[float, str], None]:
    def say(share: float, message: str) -> None:
        from distributed import get_worker

        get_worker().log_event(
            PROGRESS_TOPIC, {"names": task.names, "kind": task.kind, "share": share, "text": message}
        )

    return say


def _failed(task: Parcel, place: Place, reason: str) -> Outcome:
    product = Product(task.key, task.kind, "failed", reason, task.names)
    place.folder.write_product(product)
    return _outcome(product)


def _outcome(product: Product) -> Outcome:
    wall_s: Any = product.cost.get("wall_s", 0.0)
    return Outcome(product.key, product.kind, product.status, product.reason, float(wall_s))
