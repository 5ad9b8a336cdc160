"""Label fusion on real warped atlases: JLF against antsJointFusion, majority voting and STAPLE against SimpleITK."""

from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import SimpleITK as sitk

from benchmarks.speed.measure import Row, Work, compare, peak_mib, take_turns
from benchmarks.speed.other_build import OtherBuild
from dlfbench.datasets.known import open_dataset
from dlfbench.engine.plan import make_plan
from dlfbench.engine.tasks.methods import SegmentationTask
from dlfbench.engine.tasks.registration import load_atlases
from dlfbench.engine.tasks.task import Place
from dlfbench.fusion.region import grow
from dlfbench.registration.store import default_cache_folder
from dlfbench.segmenters.interface import Context
from dlfbench.study.tables import Study
from dlfbench.volumes import AtlasSet, Target
from dlfbench_baselines import patches_cpu
from dlfbench_baselines.jlf import JointLabelFusion
from dlfbench_baselines.mv import MajorityVoting
from dlfbench_baselines.staple import Staple
from dlfbench_baselines.weighted import whole_images

_IN_MASK, _WHOLE, _ANTS = "jlf, the mask's voxels", "jlf, the whole image", "antsJointFusion"


@dataclass(frozen=True)
class Problem:
    """A target with its warped atlases and reference.

    Attributes:
        target: The image.
        atlases: Warped onto it.
        reference: Its manual labels (x, y, z).
    """

    target: Target
    atlases: AtlasSet
    reference: npt.NDArray[Any]

    @property
    def values(self) -> tuple[int, ...]:
        """The foreground labels."""
        return self.atlases.label_values[1:]

    @property
    def mask(self) -> npt.NDArray[np.bool_]:
        """Where a user would ask for fusion: one voxel around every candidate's foreground."""
        return grow(np.any(self.atlases.labels > 0, axis=0), (1, 1, 1))

    def with_atlases(self, count: int) -> "Problem":
        """The same problem with so many atlases; where there are fewer, they come again."""
        a, chosen = self.atlases, np.arange(count) % len(self.atlases)
        names = tuple(f"{a.names[i]}-{n}" for n, i in enumerate(chosen))
        some = AtlasSet(names, a.images[chosen], a.labels[chosen], a.label_values)
        return Problem(self.target, some, self.reference)


def problems(study: Study, count: int) -> list[Problem]:
    """The first test cases of a study, with their atlases out of the store; registered now where they are not there."""
    dataset = open_dataset(study.data.dataset)
    plan = make_plan(study.model_copy(update={"methods": {"mv": {}}}), dataset)
    found = []
    for task in plan.of_kind("segmentation")[:count]:
        assert isinstance(task, SegmentationTask)
        atlases = load_atlases(task.atlases, Place(Path(), default_cache_folder()), dataset.labels)
        reference, _ = dataset.case(task.target.name).read_reference()
        found.append(Problem(task.target.read_target(), atlases, reference))
    return found


def jlf(problem: Problem, *, threads: int, method: JointLabelFusion | None = None) -> npt.NDArray[Any]:
    """Our JLF on the whole image: labels (x, y, z)."""
    context = Context(Path(), threads=threads)
    return (method or JointLabelFusion()).segment(problem.target, problem.atlases, context).labels


def jlf_in_mask(problem: Problem, *, threads: int, mask: npt.NDArray[np.bool_] | None = None) -> None:
    """Our JLF for the voxels of a mask alone; by default the work that the rival does."""
    method, mask = JointLabelFusion(), problem.mask if mask is None else mask
    for part, _ in method.problems(whole_images(problem.target, problem.atlases), mask, threads):
        patches_cpu.solve(part, method.rule, threads=threads)


class AntsJointFusion:
    """antsJointFusion's C++, called as ANTsPy calls it, on images made beforehand; no file is written.

    Background is passed as a label of its own, or it could never win.
    """

    def __init__(self) -> None:
        import ants
        from ants.internal import get_lib_fn, get_pointer_string, process_arguments

        self._ants, self._pointer, self._arguments = ants, get_pointer_string, process_arguments
        self._run = get_lib_fn("antsJointFusion")
        self._ready: dict[int, tuple[list[str], Any]] = {}

    def prepare(self, problem: Problem) -> None:
        """Turns a problem into ANTs images: not part of the timing."""
        images, background = self._ants.from_numpy, max(problem.atlases.label_values) + 1
        mask = images(problem.mask.astype(np.uint32)).clone("unsigned int")
        out, intensity = mask.clone("unsigned int"), images(problem.target.images[0])
        options: dict[str, Any] = {
            "d": 3, "t": images(problem.target.images[0]), "a": 0.1, "b": 2, "c": 0, "p": "2x2x2", "m": "PC", "s": 3,
            "x": mask, "o": f"[{self._pointer(out)},{self._pointer(intensity)}]", "v": 0,
        }  # fmt: skip
        kept = [mask, out, intensity]
        for number, (image, labels) in enumerate(zip(problem.atlases.images, problem.atlases.labels, strict=True)):
            # where an atlas does not reach it has no label, which ANTs does not know: background
            shown = np.where(labels > 0, labels, background).astype(np.uint32)
            atlas, segmentation = images(image[0]), images(shown).clone("unsigned int")
            options[f"g-MULTINAME-{number}"], options[f"l-MULTINAME-{number}"] = atlas, segmentation
            kept += [atlas, segmentation]
        self._ready[id(problem)] = (self._arguments(options), (out, kept, background, options))

    def __call__(self, problem: Problem) -> npt.NDArray[Any]:
        """Labels (x, y, z)."""
        arguments, (out, _, background, _) = self._ready[id(problem)]
        if self._run(arguments) != 0:
            raise RuntimeError("antsJointFusion failed")
        labels = out.numpy().astype(np.int64)
        return np.where(problem.mask & (labels != background), labels, 0)  # beyond the mask it sets nothing


def jlf_rows(chosen: Sequence[Problem], threads: int, before: Path | None = None) -> Iterable[Row]:
    """JLF against antsJointFusion: for the voxels of the rival's mask, and exactly on the whole image.

    Against the code of another checkout too where one is given.
    """
    ours_mib, theirs_mib = peak_mib(_our_jlf, chosen[0], threads), peak_mib(_their_jlf, chosen[0])
    ants = AntsJointFusion()
    for problem in chosen:
        ants.prepare(problem)
    contenders: dict[str, Work] = {
        _IN_MASK: lambda p: jlf_in_mask(p, threads=threads),
        _WHOLE: lambda p: jlf(p, threads=threads),
        _ANTS: ants,
    }
    labels: dict[str, list[npt.NDArray[Any]]] = {}
    with ExitStack() as processes:
        builds = [] if before is None else [processes.enter_context(OtherBuild(before, chosen, threads))]
        spent = take_turns(chosen, contenders | {build.name: build for build in builds}, labels)
    difference = np.mean(_dice(labels[_WHOLE], chosen) - _dice(labels[_ANTS], chosen))
    note = (
        f"alpha 0.1, beta 2, patch 5^3, search 7^3, correlation; mask of {np.mean([p.mask.sum() for p in chosen]):.0f} "
        f"voxels of {np.mean([p.mask.size for p in chosen]):.0f}; mean Dice ours less theirs {difference:+.4f}; "
        f"peak memory of the first target beyond images and libraries {ours_mib:.0f} MiB (whole image; the first "
        f"compilation included) against {theirs_mib:.0f} MiB"
    )
    for name in (_IN_MASK, _WHOLE):
        yield Row("JLF", name, _ANTS, spent[name], spent[_ANTS], len(chosen), note)
    for build in builds:
        theirs = labels[build.name]
        differ = sum(int((a != b).sum()) for a, b in zip(labels[_WHOLE], theirs, strict=True))
        said = f"the same settings; {differ} voxels of {sum(a.size for a in theirs)} have another label"
        yield Row("JLF", _WHOLE, build.name, spent[_WHOLE], spent[build.name], len(chosen), said)


def _our_jlf(problem: Problem, threads: int) -> Callable[[], Any]:
    return lambda: jlf(problem, threads=threads)


def _their_jlf(problem: Problem) -> Callable[[], Any]:
    ants = AntsJointFusion()
    ants.prepare(problem)
    return lambda: ants(problem)


def _dice(found: Sequence[npt.NDArray[Any]], chosen: Sequence[Problem]) -> npt.NDArray[np.float64]:
    """Dice of each problem and foreground label."""
    return np.array(
        [
            [2 * ((f == v) & (p.reference == v)).sum() / ((f == v).sum() + (p.reference == v).sum()) for v in p.values]
            for f, p in zip(found, chosen, strict=True)
        ]
    )


def voting_rows(chosen: Sequence[Problem], threads: int) -> Iterable[Row]:
    """Majority voting and STAPLE against SimpleITK, images made beforehand."""
    context = Context(Path(), threads=threads)
    # where an atlas does not reach it has no label, which rivals do not know: background
    known = {id(p): np.maximum(p.atlases.labels, 0).astype(np.uint16) for p in chosen}
    images = {key: [sitk.GetImageFromArray(labels) for labels in of_each] for key, of_each in known.items()}
    sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(threads)
    yield compare(
        "majority voting",
        chosen,
        ("mv", lambda p: MajorityVoting().fuse(p.target, p.atlases, context)),
        ("SimpleITK LabelVoting", lambda p: sitk.LabelVoting(images[id(p)])),
        "ours gives a posterior, SimpleITK labels",
    )
    yield compare(
        "STAPLE",
        chosen,
        ("staple[everywhere=true]", lambda p: Staple(everywhere=True).fuse(p.target, p.atlases, context)),
        ("SimpleITK MultiLabelSTAPLE", lambda p: sitk.MultiLabelSTAPLE(images[id(p)])),
        "ours runs SimpleITK, and adds the posterior",
    )
