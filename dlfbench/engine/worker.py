"""What a Dask worker does with a task: have a process of its own do it, and see to it that there is a product."""

import queue
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from dlfbench.engine.child import carry_out
from dlfbench.engine.packing import PackedTask
from dlfbench.engine.tasks.task import Place
from dlfbench.engine.trouble import RunStopped, Trouble, explain
from dlfbench.isolation.process import Call, Died, Process, Stopped, TookTooLong
from dlfbench.records.folder import Product, Status

PROGRESS_TOPIC = "dlfbench-progress"

_OF_METHODS = ("fit", "segmentation")
_LIMITED = ("registration", *_OF_METHODS)
# imported once for many processes, neither starts a thread; PyTorch for networks alone, whose memory it counts to
_NEEDED = ("dlfbench.engine.child",)
_NEEDED_BY_NETWORKS = (*_NEEDED, "torch")
_MOST_TRIES = 3  # of what died, but not by a method's fault
_own = threading.local()
_processes: dict[Process, Path] = {}  # and the run folder that each works for
_cards: "queue.SimpleQueue[str]" = queue.SimpleQueue()


@dataclass(frozen=True)
class Outcome:
    """How a task ended.

    Attributes:
        key: The task's.
        kind: The task's.
        status: ok or failed.
        reason: Why it failed.
        wall_s: What it took.
        dice: Mean over labels, of a score.
        cause: Key of the task that it needs and that failed, where that is why; else empty.
        flags: What looks wrong, of a registration.
    """

    key: str
    kind: str
    status: Status
    reason: str
    wall_s: float
    dice: float | None = None
    cause: str = ""
    flags: str = ""


def run_task(task: PackedTask, place: Place, limit_s: float | None) -> Outcome:
    """Runs a task in a process of its own and leaves its product in the run folder.

    A task that needs a failed fit or segmentation fails with that reason. Failed registrations are left to the
    tasks that load atlases: they go on with the others.

    Raises:
        RunStopped: The run was interrupted, or the machine is in trouble; there is no product.
    """
    try:
        cause = _failed_need(task, place)
        product = _blocked(task, cause) if cause else _with_device(task, place, lambda own: _tried(task, own, limit_s))
        place.folder.write_product(product)
        log = place.folder.log_path(task.kind, task.key)
        if product.ok and log.is_file() and (task.kind not in _OF_METHODS or log.stat().st_size == 0):
            log.unlink(missing_ok=True)
    except OSError as error:
        raise RunStopped(explain(error)) from error
    except Stopped:
        raise RunStopped("interrupted") from None
    wall_s: Any = product.cost.get("wall_s", 0.0)
    return Outcome(
        product.key,
        product.kind,
        product.status,
        product.reason,
        float(wall_s),
        _dice(product),
        cause.key if cause else "",
        "; ".join(flag for row in product.rows for flag in row.get("flags", ())),
    )


def _dice(product: Product) -> float | None:
    known = [row["dice"] for row in product.rows if row.get("dice") is not None] if product.kind == "score" else []
    return sum(known) / len(known) if known else None


def stop_processes(run: Path) -> None:
    """Ends every process of this worker's tasks for one run, at once; these raise RunStopped. Other runs go on."""
    for process, owner in tuple(_processes.items()):
        if owner == run:
            process.stop()
            _processes.pop(process, None)


def set_cards(count: int) -> None:
    """Declares the GPUs of this process; each GPU task takes one for itself."""
    while not _cards.empty():
        _cards.get()
    for card in range(count):
        _cards.put(f"cuda:{card}")


def _failed_need(task: PackedTask, place: Place) -> Product | None:
    """The fit or segmentation that a task needs and that failed, in this start or an earlier one."""
    needs = (place.folder.read_product(kind, key) for kind, key in task.requires)
    return next((needed for needed in needs if needed is not None and not needed.ok), None)


def _blocked(task: PackedTask, cause: Product) -> Product:
    return Product(task.key, task.kind, "failed", f"{cause.kind} failed: {cause.reason}", task.names)


def _with_device(task: PackedTask, place: Place, work: Callable[[Place], Product]) -> Product:
    if place.device == "cpu" or not task.uses_gpu:
        return work(replace(place, device="cpu"))
    card = "cuda:0" if _cards.empty() else _cards.get()
    try:
        return work(replace(place, device=card))
    finally:
        _cards.put(card)


def _tried(task: PackedTask, place: Place, limit_s: float | None) -> Product:
    """The product, after further tries where a process died that need not have."""
    started = time.perf_counter()
    for left in reversed(range(_MOST_TRIES)):
        try:
            return _done(task, place, limit_s)
        except TookTooLong:
            reason = f"time limit of {limit_s:g} s reached"
            break
        except Died as death:
            reason = str(death)
            if left and _may_go_better(task, death, left):
                continue
            if death.by_somebody or (task.kind not in _OF_METHODS and not death.crashed):
                raise RunStopped(f"{task.kind} {task.about}: {reason}; {_MOST_TRIES} tries") from None
            break
    spent = {"wall_s": time.perf_counter() - started, "device": place.device, "threads": place.threads}
    return Product(task.key, task.kind, "failed", reason, task.names, spent)


def _may_go_better(task: PackedTask, death: Died, left: int) -> bool:
    """A registration or score is always tried again; a method where somebody ended it, or once where memory may."""
    if task.kind not in _OF_METHODS or death.by_somebody:
        return True
    return death.out_of_memory and left == _MOST_TRIES - 1


def _done(task: PackedTask, place: Place, limit_s: float | None) -> Product:
    log = place.folder.make(place.folder.log_path(task.kind, task.key))
    limit_s = limit_s if task.kind in _LIMITED else None
    # starting Python and importing the method's libraries is no method's fault
    answer = _process(task, place).call(
        Call(carry_out, (task, place), log), limit_s=limit_s, hear=_say(task), timed=False
    )
    if isinstance(answer, Trouble):
        raise RunStopped(str(answer))
    assert isinstance(answer, Product)
    return answer


def _process(task: PackedTask, place: Place) -> Process:
    """One for our own tasks, and one for those of a method and fold: what a method changes reaches no other."""
    kind = "method" if task.kind in _OF_METHODS else "own"
    owner = (kind, place.run, place.threads, *((task.names["method"], task.names["fold"]) if kind == "method" else ()))
    known: tuple[Any, Process] | None = getattr(_own, kind, None)
    if known is None or known[0] != owner or known[1] not in _processes:
        if known is not None:
            known[1].end()
            _processes.pop(known[1], None)
        modules = _NEEDED_BY_NETWORKS if task.uses_gpu else _NEEDED
        known = (owner, Process(_settings(place.threads), modules=modules))
        setattr(_own, kind, known)
        _processes[known[1]] = place.run
    return known[1]


def _settings(threads: int) -> dict[str, str]:
    number = str(threads)
    settings = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), number)
    settings |= {"OMP_WAIT_POLICY": "PASSIVE"}  # tasks share processors: threads that spin slow each other down
    settings |= {"ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS": number, "CUBLAS_WORKSPACE_CONFIG": ":4096:8"}
    return settings | {"PYTHONHASHSEED": "0"}


def _say(task: PackedTask) -> Callable[[float, str], None]:
    def say(share: float, message: str) -> None:
        from distributed import get_worker

        get_worker().log_event(
            PROGRESS_TOPIC, {"names": task.names, "kind": task.kind, "share": share, "text": message}
        )

    return say
