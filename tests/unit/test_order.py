"""Which task starts first: something to see soon, and no worker without work."""

from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest

from dlfbench.engine.cluster import Resources
from dlfbench.engine.execute import _Flow
from dlfbench.engine.order import order_of_start


@dataclass
class Work:
    key: str
    kind: str
    needs: tuple[str, ...] = ()
    names: dict[str, Any] = field(default_factory=dict)
    requires: tuple[tuple[str, str], ...] = ()
    uses_gpu: bool = False


def study() -> dict[str, Any]:
    """As planned: registrations first, then fits; two cases, a method that learns nothing and two that do."""
    tasks = [Work(f"{case}<{atlas}", "registration", (), {"case": case}) for case in "tab" for atlas in "12"]
    tasks += [Work("fit dlf", "fit", ("t<1", "t<2")), Work("fit net", "fit")]
    for method in ("dlf", "jlf", "net"):
        for case in "ab":
            fit = () if method == "jlf" else (f"fit {method}",)
            names = {"case": case, "method": method}
            needs = (*(() if method == "net" else (f"{case}<1", f"{case}<2")), *fit)
            tasks.append(Work(f"{method} {case}", "segmentation", needs, names, tuple(("fit", f) for f in fit)))
            made = (("segmentation", f"{method} {case}"),)
            tasks.append(Work(f"score {method} {case}", "score", (f"{method} {case}",), names, made))
    tasks += [Work(f"bounds {case}", "bounds", (f"{case}<1", f"{case}<2"), {"case": case}) for case in "ab"]
    kinds = ("registration", "fit", "bounds", "segmentation", "score")
    return {task.key: task for task in sorted(tasks, key=lambda task: kinds.index(task.kind))}


def test_one_case_of_what_learns_nothing_is_first_then_what_fits_need_then_the_rest() -> None:
    order = list(order_of_start(study()))
    assert order[:5] == ["a<1", "a<2", "jlf a", "score jlf a", "bounds a"]
    assert order[5:9] == ["t<1", "t<2", "fit dlf", "fit net"]
    assert order[9:14] == ["b<1", "b<2", "jlf b", "score jlf b", "bounds b"]
    assert [key[-5:] for key in order[14::2]] == ["dlf a", "dlf b", "net a", "net b"]
    assert sorted(order) == sorted(study())


def test_of_a_run_that_goes_on_what_is_done_is_no_part() -> None:
    left = {key: task for key, task in study().items() if "<" not in key and key != "fit dlf"}
    assert list(order_of_start(left))[:4] == ["jlf a", "score jlf a", "bounds a", "fit net"]


def started(workers: int, scheduler: str | None = None) -> list[str]:
    """What is sent before anything has ended."""
    sent: list[str] = []

    def submit(run: Any, task: Any, *more: Any, key: str, **settings: Any) -> Any:
        sent.append(key.partition("-")[2])
        return SimpleNamespace(add_done_callback=lambda call: None)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("dlfbench.engine.execute.pack", lambda task, references: task)
        client: Any = SimpleNamespace(client=SimpleNamespace(submit=submit))
        flow: Any = _Flow(study(), None, Resources(workers, scheduler), client, lambda task: frozenset())  # type: ignore[arg-type]
        flow._send()
        while flow._under_way:  # whatever is no fit takes no time
            key = min(flow._under_way, key=lambda key: key.startswith("fit"))
            del flow._under_way[key]
            flow._free(key)
            flow._send()
    return sent


def test_a_fit_starts_at_once_and_leaves_a_worker_to_the_rest() -> None:
    alone, two = started(1), started(2)
    assert alone.index("fit net") > alone.index("score jlf b")  # one worker shows first what is quick
    assert two.index("t<2") < two.index("fit dlf") < two.index("score jlf b") < two.index("fit net")
    assert sorted(alone) == sorted(two) == sorted(study())


def test_other_machines_get_everything_that_can_start() -> None:
    assert set(started(1, "tcp://host:8786")[:7]) == {key for key, task in study().items() if not task.needs}
