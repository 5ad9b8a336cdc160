"""Which of the tasks that may start, starts: what shows a result soon comes before what takes long."""

from collections.abc import Iterator, Mapping

from dlfbench.engine.tasks.task import Task

_FIRST, _FITS, _QUICK, _LEARNED = range(4)
_ENDS = ("score", "fit", "segmentation", "bounds", "registration")  # what is wanted; the rest comes where it is needed


def order_of_start(tasks: Mapping[str, Task]) -> Iterator[str]:
    """Keys of tasks, each after those that it needs.

    First one case by all methods that learn nothing, so that there is something to see; then what fits need, so that
    none waits for registrations of others; then the other cases; last, method by method, what needs a fit. What another
    task needs comes right before it. Within each of these the order is as given.
    """
    learned = {key for key, task in tasks.items() if any(kind == "fit" for kind, _ in task.requires)}
    learned |= {key for key, task in tasks.items() if learned.intersection(task.needs) and task.kind != "fit"}
    quick = (task for key, task in tasks.items() if task.kind not in ("registration", "fit") and key not in learned)
    first = next((task.names.get("case") for task in quick), None)

    def stage(key: str) -> int:
        task = tasks[key]
        if task.kind == "fit":
            return _FITS
        if key in learned or task.kind == "registration":  # most have come before, for another
            return _LEARNED
        return _FIRST if task.names.get("case") == first else _QUICK

    started: set[str] = set()
    for key in sorted(tasks, key=lambda key: (stage(key), _ENDS.index(tasks[key].kind))):
        yield from _with_needs(key, tasks, started)


def _with_needs(key: str, tasks: Mapping[str, Task], started: set[str]) -> Iterator[str]:
    if key in started or key not in tasks:
        return
    started.add(key)
    for need in tasks[key].needs:
        yield from _with_needs(need, tasks, started)
    yield key
