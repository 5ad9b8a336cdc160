"""What happens to a task in the process that does it: from a packed task to its product."""

import math
import traceback
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict

from dlfbench.engine.measure import Cost, Ledger, measured
from dlfbench.engine.packing import PackedTask
from dlfbench.engine.tasks.methods import FitTask
from dlfbench.engine.tasks.task import Place, Task
from dlfbench.engine.trouble import Trouble, disk_trouble, lacks_room, lacks_scratch, met, our_files, unreadable
from dlfbench.errors import InputError, reason_of
from dlfbench.isolation.references import refusing
from dlfbench.records.folder import Left, Product


def carry_out(packed: PackedTask, place: Place, say: Callable[..., None]) -> Product | Trouble:
    """Does a task.

    Args:
        packed: The packed task.
        place: Where it is done.
        say: Told `started`, and of progress.

    Returns:
        Its product, also where it failed; or what was wrong with the machine, which is nobody's product.
    """
    met()  # of an earlier task
    cost, left = Cost(), Left()
    task: Task | None = None
    error: BaseException | None = None
    goes_on = packed.kind == "fit"  # where it was stopped
    ledger = Ledger(place.folder.spent_path(packed.kind, packed.key)) if goes_on else None

    def progress(share: float, text: str) -> None:
        if ledger is not None:
            ledger.note()
        share = float(share)  # of other types, what a method says could not be passed on
        say(min(max(share, 0.0), 1.0) if math.isfinite(share) else 0.0, str(text))

    with refusing(packed.references) as opened:
        try:
            task = packed.open()  # imports what it needs, on nobody's time
            with our_files():
                packed.check_code()
            say("started")
            with measured() as cost:
                left = task.run(place, progress)
        except (Exception, SystemExit, KeyboardInterrupt) as caught:  # a method may raise anything
            traceback.print_exc()
            error = caught
    trouble = met() or _changed(task, packed, place)
    if trouble is None and error is not None:
        trouble = _behind(error, task, place, packed)
    if trouble is not None:
        return trouble
    if ledger is not None:
        cost = ledger.close(cost)
    reason = reason_of(error, cut="... (all of it: see the log)") if error is not None else ""
    if opened:
        reason = f"opened the reference of a test case, {opened[0]}"
    device = place.device if packed.uses_gpu else "cpu"
    spent = {**asdict(cost), "device": device, "threads": place.threads}
    if reason:
        return Product(packed.key, packed.kind, "failed", reason, packed.names, spent)
    return Product(packed.key, packed.kind, "ok", "", packed.names, spent, left.rows, left.files)


def _changed(task: Task | None, packed: PackedTask, place: Place) -> Trouble | None:
    """Trouble where code or data are not what was planned with; a model of others is taken out."""
    with suppress(Trouble), our_files():
        if task is None:
            packed.check_code()
            return None
        try:
            task.check_data()
        except InputError:
            if isinstance(task, FitTask):
                task.forget(place.folder)
            raise
    return met()


def _behind(error: BaseException, task: Task | None, place: Place, packed: PackedTask) -> Trouble | None:
    """The trouble of the machine behind an error; None where it is the task's own."""
    if task is not None and not isinstance(error, task.judges):
        return Trouble(f"{packed.kind} {packed.about}: {type(error).__name__}: {error}")
    why = disk_trouble(error) or lacks_room(place.run) or lacks_scratch() or unreadable(list(packed.inputs))
    return Trouble(why) if why else None
