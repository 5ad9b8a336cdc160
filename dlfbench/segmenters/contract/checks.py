"""The checks, one function each: it returns where the method keeps that part of the contract and raises otherwise."""

import pickle
import sysconfig
import traceback
import types
import typing
from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Protocol
from unittest import SkipTest

import numpy as np

from dlfbench.errors import InputError
from dlfbench.images import write_image
from dlfbench.parameters import build
from dlfbench.segmenters.contract import watch
from dlfbench.segmenters.contract.bench import Bench, Broken, check, same
from dlfbench.segmenters.contract.scene import Scene, SceneCase
from dlfbench.volumes import AtlasSet, Target

_LIBRARIES = tuple(sysconfig.get_paths()[kind] for kind in ("stdlib", "platstdlib", "purelib", "platlib"))


@dataclass(frozen=True)
class Check:
    """One part of the contract.

    Attributes:
        title: What the method must do.
        mend: What to do where it does not.
        run: Raises `Broken` or anything else where it does not; `unittest.SkipTest` where that cannot be told.
        runs_method: Whether a pass says that the method ran.
    """

    title: str
    mend: str
    run: Callable[[Any], None]
    runs_method: bool = True


class AnyBench(Protocol):
    """What works with a plugin of any kind."""

    @property
    def plugin(self) -> Any: ...

    def run_plain(self) -> object: ...


def travels(bench: AnyBench) -> None:
    import cloudpickle

    again = pickle.loads(cloudpickle.dumps(bench.plugin))
    if repr(again) != repr(bench.plugin):
        raise Broken(f"{bench.plugin!r} became {again!r} on its way to another process")


def _refuses_bad_parameters(bench: Bench) -> None:
    numbers = list(_numeric_parameters(type(bench.segmenter)))
    try:
        build(type(bench.segmenter), {"no_such_parameter": 1}, where="")
    except InputError:
        pass
    else:
        raise Broken("an unknown parameter was accepted")
    if not numbers:
        raise SkipTest("it has no parameter that is a number")
    accepted = [name for name in numbers if _builds(bench, name)]
    if bench.segmenter.needs_training and accepted:
        raise SkipTest(f"{', '.join(accepted)} = -1 is accepted; whether it trains with that is not tried")
    if accepted:
        bench.run(Scene())  # what goes wrong without them is not their fault
    for name in accepted:
        _works_with(bench, name)


def _numeric_parameters(kind: type) -> Iterator[str]:
    hints = typing.get_type_hints(kind)
    for field in fields(kind):  # type: ignore[arg-type]
        union = isinstance(hints[field.name], types.UnionType)
        choices = typing.get_args(hints[field.name]) if union else (hints[field.name],)
        if field.init and {int, float} & set(choices):
            yield field.name


def _builds(bench: Bench, name: str) -> bool:
    try:
        build(type(bench.segmenter), {name: -1}, where="")
    except InputError:
        return False
    return True


def _works_with(bench: Bench, name: str) -> None:
    try:
        bench.with_parameters(**{name: -1}).run(Scene())
    except Exception as error:
        # a function can refuse only when it is called
        refused = hasattr(bench.segmenter, "function") and isinstance(error, ValueError) and name in str(error)
        if not refused:
            raise Broken(f"{name}=-1 was accepted, and then: {type(error).__name__}: {error}") from error


def _answers(bench: Bench) -> None:
    bench.run(Scene())


def _gives_posterior(bench: Bench) -> None:
    if bench.run(Scene()).found is None:  # where there is one, it was checked
        raise SkipTest("it gives a label map without a posterior")


def _leaves_inputs(bench: Bench) -> None:
    target, atlases = bench.inputs(Scene())
    before = [array.copy() for array in _arrays(target, atlases)]
    check(bench.segmenter.segment(target, atlases, bench.context(Scene())), Scene())
    names = ("target.images", "atlases.images", "atlases.labels")
    changed = [
        f"{name} ({int((old != new).sum())} values)"
        for name, old, new in zip(names, before, _arrays(target, atlases), strict=True)
        if not np.array_equal(old, new)
    ]
    if changed:
        raise Broken(f"changed {', '.join(changed)}")
    bench.run(Scene(), change=_lock)


def _arrays(target: Target, atlases: AtlasSet) -> tuple[Any, ...]:
    return target.images, atlases.images, atlases.labels


def _lock(target: Target, atlases: AtlasSet) -> None:
    """As a run does: the arrays become read-only."""
    for array in _arrays(target, atlases):
        array.setflags(write=False)


def _repeats(bench: Bench) -> None:
    outcomes = []
    for turn in (1, 2):
        watch.seed_global(turn)  # what is taken from there differs from turn to turn
        target, atlases = bench.inputs(Scene())
        outcomes.append(bench.segmenter.segment(target, atlases, bench.context(Scene(), model=f"-turn{turn}")))
        check(outcomes[-1], Scene())
    difference = same(*outcomes)
    if difference:
        raise Broken(f"the same inputs and seed twice: {difference}")


def _leaves_global_random(bench: Bench) -> None:
    bench.run(Scene())  # imports what it will
    watch.seed_global(3)  # or else a method that seeds them would leave the state that it left before
    before = watch.global_states()
    bench.run(Scene())
    after = watch.global_states()
    changed = [name for name in before if before[name] != after[name]]
    if changed:
        raise Broken(f"changed the global random state of {', '.join(changed)}")


def _on(sample: Scene) -> Callable[[Bench], None]:
    def run(bench: Bench) -> None:
        bench.run(sample)

    return run


def _fuses(sample: Scene) -> Callable[[Bench], None]:
    def run(bench: Bench) -> None:
        if not bench.segmenter.needs_atlases:
            raise SkipTest("it uses no atlases")
        bench.run(sample)

    return run


def _any_memory_order(bench: Bench) -> None:
    difference = same(bench.run(Scene(order="C")), bench.run(Scene(order="F")))
    if difference:
        raise Broken(f"arrays in C and in Fortran order: {difference}")


def _writes_in_its_folder(bench: Bench) -> None:
    folder, scratch = bench.context(Scene()).folder, bench.root / "tmp"
    before = watch.files_in(bench.root, less=[folder])
    with watch.files_seen() as seen:
        bench.run(Scene())
    after = watch.files_in(bench.root, less=[folder])
    left = {path for path in after if after[path] != before.get(path)}
    written = watch.outside(seen.written, [folder, scratch]) + sorted(left - seen.written)
    if written:
        raise Broken(f"wrote {', '.join(written[:3])}")
    if any(scratch.iterdir()):
        raise Broken(f"left {next(scratch.iterdir()).name} in the folder for temporary files")


def _never_sees_the_reference(bench: Bench) -> None:
    bench.context(Scene())
    case = SceneCase(Scene(), 0, bench.data / "modalities1")
    case.write()
    bench.describe_cases(modalities=1)
    with watch.files_seen() as seen:
        honest = bench.run(Scene())
    if str(case.reference_path.resolve()) in seen.read:
        raise Broken(f"opened the reference of the target, {case.reference_path.name} in labelsTr")
    poison = np.roll(case.read_reference()[::-1], 3, axis=1)
    write_image(case.reference_path, np.ascontiguousarray(poison.astype(np.uint8)), Scene().grid)
    difference = same(honest, bench.run(Scene()))
    case.write()
    if difference:
        raise Broken(f"the answer changed with the reference of the target: {difference}")


def leaves_no_process(bench: AnyBench) -> None:
    before = watch.processes()
    bench.run_plain()
    left = watch.processes_left(before)
    if left:
        raise Broken(f"still running afterwards: {'; '.join(left.values())}")


CHECKS = (
    Check(
        "answers on the target's grid, with declared labels",
        "return labels (x, y, z) of the target's shape with values out of atlases.label_values (values, not indices: "
        "here 0, 1, 4), and a posterior (class, x, y, z) of finite values, none below 0, that sums to 1: "
        "divide by the sum over classes",
        _answers,
    ),
    Check(
        "posterior: finite, none below 0, sums to 1",
        "clip at 0 and divide by the sum over classes, wherever that is 0 too",
        _gives_posterior,
    ),
    Check(
        "can be sent to another process",
        "let parameters be numbers, text and tuples; open files, locks and models inside of fit and segment",
        travels,
        runs_method=False,
    ),
    Check(
        "refuses bad parameters",
        "check them in __post_init__, a function at its start: "
        "raise ValueError(f'power: expected more than 0, found {self.power}')",
        _refuses_bad_parameters,
        runs_method=False,
    ),
    Check("leaves its inputs alone", "copy before changing: image = target.images[0].copy()", _leaves_inputs),
    Check(
        "repeatable under a seed",
        "take all randomness from the seed: generator = np.random.default_rng(context.seed), "
        "torch.Generator().manual_seed(context.seed)",
        _repeats,
    ),
    Check(
        "leaves global random numbers alone",
        "use a generator of your own; with torch: with torch.random.fork_rng(): torch.manual_seed(context.seed)",
        _leaves_global_random,
    ),
    Check("works with 1 atlas", "statistics over atlases need a case for one", _fuses(Scene(atlases=1))),
    Check("works with 30 atlases", "let nothing depend on how many there are", _fuses(Scene(atlases=30))),
    Check(
        "works with 2 modalities",
        "size networks by len(target.images)",
        _on(Scene(modalities=2)),
    ),
    Check(
        "works with anisotropic voxels and few slices",
        "use target.grid.spacing_mm; pad where an axis is short",
        _on(Scene(spacing_mm=(0.8, 1.0, 4.0), shape=(17, 14, 7))),
    ),
    Check(
        "works where a label is absent",
        "keep a class for every value of label_values, also for one that no atlas shows",
        _on(Scene(absent=True)),
    ),
    Check(
        "works where atlases end before the target",
        "let labels of -1 (dlfbench.UNKNOWN) be no vote: compare with each of label_values, look nothing up by them",
        _fuses(Scene(ending=True)),
    ),
    Check("same answer whatever the memory order", "np.ascontiguousarray before compiled code", _any_memory_order),
    Check(
        "writes in its folder only",
        "write into context.folder, or into tempfile.TemporaryDirectory()",
        _writes_in_its_folder,
    ),
    Check(
        "never sees the target's reference",
        "read no files but those in context.folder and those that fit is given",
        _never_sees_the_reference,
    ),
    Check(
        "leaves no process behind",
        "wait for what you start, and end it: subprocess.run, with Pool()",
        leaves_no_process,
    ),
)
"""In the order in which they are run and shown."""


def where(error: BaseException) -> str:
    """File and line at which a method raised, for people who must find it; empty where it was not in its code."""
    frames = traceback.extract_tb(error.__traceback__)
    others = ("dlfbench/segmenters/", "<string>")
    own = [frame for frame in frames if not any(part in Path(frame.filename).as_posix() for part in others)]
    own = [frame for frame in own if not frame.filename.startswith(_LIBRARIES)] or own  # it may be installed itself
    return f" ({Path(own[-1].filename).name}, line {own[-1].lineno})" if own else ""
