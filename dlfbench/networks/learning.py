"""Trains the network of a method on a training set, and applies it to targets."""

import json
import logging
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import nn

from dlfbench.fusion.posterior import Entries, Posterior
from dlfbench.images import Grid, LabelArray
from dlfbench.networks.augmentation import Augmentation
from dlfbench.networks.presets import PAPER_SAMPLES_PER_CASE
from dlfbench.networks.problem import KeptSamples, SegmentationProblem
from dlfbench.networks.samples import Draw, Geometry, Sample, Triple, make_sample, without_atlases
from dlfbench.networks.surroundings import compiled_in
from dlfbench.networks.training import TrainingSettings, autocast, train
from dlfbench.networks.unet import Architecture, level_strides, total_stride
from dlfbench.segmenters.interface import Context, Training, TrainingCase
from dlfbench.segmenters.sides import left_may_be_right
from dlfbench.volumes import AtlasSet, Segmentation, Target

if TYPE_CHECKING:
    from dlfbench.networks.method import NetworkMethod

log = logging.getLogger(__name__)

Reader = Callable[[TrainingCase], Sample]

LEVELS = 4
_ABOUT, _SAMPLES = "about.json", "samples"


@dataclass(frozen=True)
class About:
    """What a model was trained for; it fits nothing else.

    Attributes:
        modalities: Names of the image channels.
        label_values: The declared labels, background first.
        spacing_mm: Voxel size of the first training case along (x, y, z): decides the strides.
        patch_vox: Size of training samples along (x, y, z).
        mirror_axes: Along which training samples were mirrored: one, or none.
    """

    modalities: tuple[str, ...]
    label_values: tuple[int, ...]
    spacing_mm: tuple[float, ...]
    patch_vox: tuple[int, ...]
    mirror_axes: tuple[int, ...] = ()

    @property
    def mirror_axis(self) -> int | None:
        """The one, if any."""
        return next(iter(self.mirror_axes), None)

    def write(self, folder: Path) -> None:
        (folder / _ABOUT).write_text(json.dumps(asdict(self)))

    @classmethod
    def read(cls, folder: Path) -> "About":
        return cls(**{name: tuple(value) for name, value in json.loads((folder / _ABOUT).read_text()).items()})


def learn(method: "NetworkMethod", training: Training, context: Context) -> None:
    """Trains a method's network; leaves model, curves and checkpoint in the context's folder.

    Raises:
        ValueError: No training case has a label to learn.
        RuntimeError: Training fails, or memory does not suffice.
    """
    with lesson_in(context, method, training) as lesson:
        lesson.teach(make_model(method, lesson.about, context), lesson.read, context)


@contextmanager
def lesson_in(context: Context, method: "NetworkMethod", training: Training) -> Iterator["Lesson"]:
    """A lesson, with what a training needs around it."""
    samples = context.folder / _SAMPLES
    shutil.rmtree(samples, ignore_errors=True)  # of a killed training
    try:
        with limited_memory(), compiled_in(context.folder):
            yield Lesson.of(method, training, context)
    finally:
        shutil.rmtree(samples, ignore_errors=True)


@dataclass(frozen=True)
class Lesson:
    """A training set as a method's networks learn from it, one after the other where there are several.

    Attributes:
        method: With its parameters.
        about: What models are trained for.
        cases: To learn from.
        watched: Kept aside.
        drawn: How samples are drawn.
        read: Sample of a case.
    """

    method: "NetworkMethod"
    about: About
    cases: Sequence[TrainingCase]
    watched: Sequence[TrainingCase]
    drawn: Draw
    read: Reader

    @classmethod
    def of(cls, method: "NetworkMethod", training: Training, context: Context) -> "Lesson":
        """Checks the training set, and says in the folder what models are trained for."""
        _check_labels(training)
        grid = training.cases[0].read_target().grid
        cases, watched = _kept_aside(training.cases, method.watched, context.seed)
        patch, axes = _patch(cases, method, grid.spacing_mm), _mirror_axes(training, grid)
        about = About(training.modalities, training.label_values, grid.spacing_mm, patch, axes)
        about.write(context.folder)
        geometry, sizes = make_geometry(method, about), method.sizes
        augmentation = Augmentation(
            mirror_axis=about.mirror_axis,
            spacing_mm=about.spacing_mm,
            histogram_shift=sizes.histogram_shift,
            modaug=sizes.modaug,
        )
        if not sizes.heavy:
            augmentation = replace(augmentation, bias=0.0, gamma=0.0, blur=0.0)

        def read(case: TrainingCase) -> Sample:
            target = case.read_target()
            atlases = case.read_atlases() if method.needs_atlases else without_atlases(target, about.label_values)
            sample = read_sample(method, target, atlases, geometry, context, case.read_reference())
            return replace(sample, undrawn=tuple(about.label_values.index(value) for value in case.undrawn))

        drawn = Draw(augmentation, patch, sizes.targets, sizes.atlases if method.needs_atlases else 0, sizes.empty)
        return cls(method, about, cases, watched, drawn, KeptSamples(read, method.memory_mb, context.folder / _SAMPLES))

    @property
    def steps(self) -> int:
        """Updates of the weights."""
        sizes = self.method.sizes
        return sizes.steps or -(-PAPER_SAMPLES_PER_CASE * len(self.cases) // sizes.targets)

    def teach(
        self, model: nn.Module, read: Reader, context: Context, *, drawn: Draw | None = None, steps: int | None = None
    ) -> None:
        """Trains a network on samples as `read` gives them; leaves it in the context's folder."""
        sizes = self.method.sizes
        problem = SegmentationProblem(
            self.cases,
            self.watched,
            read=read,
            drawn=drawn or self.drawn,
            entropy=sizes.entropy,
            predict=self.method.posterior,
        )
        budget = TrainingSettings(steps or self.steps, sizes.learning_rate, sizes.schedule, sizes.average_decay)
        train(model, problem, budget, context)


def apply(method: "NetworkMethod", target: Target, atlases: AtlasSet, context: Context) -> Segmentation:
    """Segments a target with the model in the context's folder.

    Raises:
        ValueError: The target has other modalities than the training cases, or the labels are others.
        RuntimeError: Memory does not suffice.
    """
    about, model = load_model(method, context)
    if len(target.images) != len(about.modalities):
        raise ValueError(
            f"{target.name}: expected {len(about.modalities)} modalities ({', '.join(about.modalities)}), "
            f"found {len(target.images)}"
        )
    if atlases.label_values != about.label_values:
        raise ValueError(f"labels: trained for {about.label_values}, asked for {atlases.label_values}; train again")
    found = Entries.none().posterior(np.zeros(target.grid.shape, np.int32), about.label_values)
    geometry = make_geometry(method, about)
    if geometry.margin_vox is None or atlases.labels.any():
        seen = atlases if method.needs_atlases else without_atlases(target, about.label_values)
        sample = read_sample(method, target, seen, geometry, context)
        with torch.no_grad(), autocast(context.device), limited_memory():
            inner = method.posterior(model, sample).cut(sample.region.inside)
        found = replace(
            Posterior.of_parts([(sample.region.box, inner)], target.grid.shape), label_values=about.label_values
        )
    return Segmentation(found.labels(), found)


def make_model(method: "NetworkMethod", about: About, context: Context) -> nn.Module:
    """The method's network with weights drawn from the context's seed, on its device."""
    sizes = method.sizes
    architecture = Architecture(
        sizes.features,
        level_strides(about.spacing_mm, LEVELS),
        sizes.norm,
        sizes.supervision,
        sizes.blocks,
        about.mirror_axis,
    )
    torch.set_num_threads(context.threads)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(context.seed)
        model = method.build(len(about.modalities), len(about.label_values), architecture)
    return model.to(context.device, memory_format=torch.channels_last_3d)  # type: ignore[call-overload,no-any-return]


def load_model(method: "NetworkMethod", context: Context) -> tuple[About, nn.Module]:
    """The trained network in the context's folder, in evaluation, and what it was trained for."""
    about = About.read(context.folder)
    model = make_model(method, about, context)
    method.restore(model, about.label_values, context)
    return about, model.eval()


def make_geometry(method: "NetworkMethod", about: About) -> Geometry:
    """How much of an image the method's network sees."""
    x, y, z = about.patch_vox
    return _geometry(method, about.spacing_mm, (x, y, z))


def _geometry(method: "NetworkMethod", spacing_mm: Sequence[float], least_vox: Triple = (0, 0, 0)) -> Geometry:
    margin: Triple | None = None if method.margin is None else (method.margin,) * 3
    return Geometry(margin, total_stride(level_strides(spacing_mm, LEVELS)), least_vox)


def read_sample(
    method: "NetworkMethod",
    target: Target,
    atlases: AtlasSet,
    geometry: Geometry,
    context: Context,
    reference: LabelArray | None = None,
) -> Sample:
    """What the method's network sees of a target, its atlases and their votes, and a reference in training."""
    return make_sample(target, atlases, geometry, reference, method.vote(context))


def _patch(cases: Sequence[TrainingCase], method: "NetworkMethod", spacing_mm: Sequence[float]) -> Triple:
    """Size of training samples: that of the largest region, or the patch's where this is smaller."""
    geometry, largest = _geometry(method, spacing_mm), np.zeros(3, np.int64)
    for case in cases:
        reference = case.read_reference()
        candidates = case.read_atlases().labels if method.needs_atlases else reference[None]
        region = geometry.region(reference.shape, candidates)
        largest = np.maximum(largest, region.shape)
    most = [-(-method.sizes.patch_vox // m) * m for m in geometry.multiple]
    x, y, z = (min(int(n), patch) for n, patch in zip(largest, most, strict=True))
    return x, y, z


def _kept_aside(
    cases: Sequence[TrainingCase], share: float, seed: int
) -> tuple[Sequence[TrainingCase], Sequence[TrainingCase]]:
    """Cases to learn from, and those to watch; at least one to learn from."""
    count = min(len(cases) - 1, round(share * len(cases)))
    aside = set(np.random.default_rng(seed).permutation(len(cases))[:count].tolist())
    return [c for i, c in enumerate(cases) if i not in aside], [c for i, c in enumerate(cases) if i in aside]


def _check_labels(training: Training) -> None:
    found = np.unique(np.concatenate([np.unique(case.read_reference()) for case in training.cases]))
    missing = [value for value in training.label_values if value not in found]
    if len(missing) == len(training.label_values) - 1 and 0 not in missing:
        raise ValueError(f"none of the labels {missing} is in any of {len(training.cases)} training cases")
    if missing:
        log.warning("labels %s are in no training case: the network cannot learn them", missing)


def _mirror_axes(training: Training, grid: Grid) -> tuple[int, ...]:
    """The left-right axis, where left and right may be exchanged."""
    return (int(np.abs(np.asarray(grid.affine)[0, :3]).argmax()),) if left_may_be_right(training) else ()


@contextmanager
def limited_memory() -> Iterator[None]:
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if isinstance(error, MemoryError | torch.OutOfMemoryError) or "can't allocate memory" in str(error):
            raise RuntimeError(
                "memory does not suffice: lower memory_mb (segmenting), atlases, patch_vox or features (training)"
            ) from error
        raise
