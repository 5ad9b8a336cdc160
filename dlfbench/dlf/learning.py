"""Trains deep label fusion's networks one after the other: the vote, its corrections, what the image adds to it."""

import logging
import shutil
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

import torch

from dlfbench.dlf.corrections import CorrectionProblem, Disputed
from dlfbench.dlf.model import DeepLabelFusion, with_consensus
from dlfbench.files import write_whole
from dlfbench.networks.learning import Lesson, Reader, limited_memory, make_model
from dlfbench.networks.problem import KeptSamples
from dlfbench.networks.samples import Sample
from dlfbench.networks.surroundings import compiled_in
from dlfbench.networks.training import CURVES, MODEL, Budget, train
from dlfbench.segmenters.interface import Context, Training, TrainingCase

if TYPE_CHECKING:
    from dlfbench.dlf.segmenter import DeepLabelFusionMethod

log = logging.getLogger(__name__)

VOTING, CORRECTIONS, FINE_TUNING = "voting", "corrections", "fine-tuning"
_SHARES = {VOTING: (0.0, 0.12), CORRECTIONS: (0.12, 0.2), FINE_TUNING: (0.2, 1.0)}  # of the time, for progress
_CORRECTION_RATE = 4e-3


def learn_in_stages(method: "DeepLabelFusionMethod", training: Training, context: Context) -> None:
    """Trains the voting network on votes of few atlases, then the others on the consensus of all.

    Each stage has a folder with its own checkpoint: a killed training goes on in the stage where it was.
    """
    lesson = Lesson.of(method, training, context)
    model = make_model(method, lesson.about, context)
    assert isinstance(model, DeepLabelFusion)
    axis = lesson.drawn.augmentation.mirror_axis
    model.spacing_mm.copy_(torch.tensor(lesson.about.spacing_mm))
    model.mirror_axis.fill_(-1 if axis is None else axis)
    with limited_memory(), compiled_in(context.folder):
        if method.voting:
            there = _stage(context, VOTING)
            calm = replace(lesson.drawn.augmentation, bent=0.0)
            drawn = replace(lesson.drawn, augmentation=calm, targets=1)
            lesson.teach(model.voting, lesson.read, there, drawn=drawn, steps=method.sizes.voting_steps)
            _load(model.voting, there)
        voted = _voted(method, model, lesson)
        if method.corrections:
            there = _stage(context, CORRECTIONS)
            problem = CorrectionProblem(lesson.cases, _disputed(voted, lesson, method.memory_mb), axis)
            train(
                model.corrections,
                problem,
                Budget(method.sizes.correction_steps, _CORRECTION_RATE, average_decay=0.99),
                there,
            )
            _load(model.corrections, there)
        if method.fine_tuning:
            there = _stage(context, FINE_TUNING)
            lesson.teach(model.fine_tuning, voted, there, drawn=replace(lesson.drawn, atlases=0))
            _load(model.fine_tuning, there)
    shutil.copyfile(there.folder / CURVES, context.folder / CURVES)
    write_whole(context.folder / MODEL, lambda path: torch.save(model.state_dict(), path))


def _voted(method: "DeepLabelFusionMethod", model: DeepLabelFusion, lesson: Lesson) -> Reader:
    """Reads samples with the consensus of all atlases in place of the atlases."""

    def read(case: TrainingCase) -> Sample:
        sample = lesson.read(case)
        with torch.no_grad():
            return with_consensus(sample, model.consensus(sample, atlases_at_a_time=method.atlases_at_a_time(sample)))

    model.eval()
    return KeptSamples(read, method.memory_mb)


def _disputed(voted: Reader, lesson: Lesson, memory_mb: int) -> Callable[[TrainingCase], Disputed]:
    """Reads the disputed voxels of samples."""
    return KeptSamples(lambda case: Disputed.of(voted(case), lesson.about.spacing_mm), memory_mb)


def _stage(context: Context, name: str) -> Context:
    """The context of a stage: a folder of its own, and its part of the progress."""
    folder = context.folder / name
    folder.mkdir(exist_ok=True)
    start, end = _SHARES[name]

    def progress(fraction: float, message: str) -> None:
        context.progress(start + (end - start) * fraction, f"{name}: {message}")

    return replace(context, folder=folder, progress=progress)


def _load(network: torch.nn.Module, stage: Context) -> None:
    """The running average that a stage left, rather than the last weights."""
    network.load_state_dict(torch.load(stage.folder / MODEL, weights_only=True, map_location="cpu"))
