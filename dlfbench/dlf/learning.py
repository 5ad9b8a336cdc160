"""Trains deep label fusion's networks one after the other: the vote, then what the image adds to it."""

import logging
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from dlfbench.dlf.model import DeepLabelFusion, with_consensus
from dlfbench.files import write_whole
from dlfbench.networks.learning import Lesson, limited_memory, make_model
from dlfbench.networks.problem import KeptSamples
from dlfbench.networks.samples import Sample
from dlfbench.networks.surroundings import compiled_in
from dlfbench.networks.training import CURVES, MODEL
from dlfbench.segmenters.interface import Context, Training, TrainingCase

if TYPE_CHECKING:
    from dlfbench.dlf.segmenter import DeepLabelFusionMethod

log = logging.getLogger(__name__)

VOTING, FINE_TUNING = "voting", "fine-tuning"
_VOTING_SHARE = 0.2  # of the time, for progress


def learn_in_stages(method: "DeepLabelFusionMethod", training: Training, context: Context) -> None:
    """Trains the voting network on votes of few atlases, then the fine-tuning network on the consensus of all.

    Each stage has a folder with its own checkpoint: a killed training goes on in the stage where it was.
    """
    lesson = Lesson.of(method, training, context)
    model = make_model(method, lesson.about, context)
    assert isinstance(model, DeepLabelFusion)
    with limited_memory(), compiled_in(context.folder):
        if method.voting:
            calm = replace(lesson.drawn.augmentation, bent=0.0)
            drawn = replace(lesson.drawn, augmentation=calm, targets=1)
            there = _stage(context, VOTING, 0.0, _VOTING_SHARE)
            lesson.teach(model.voting, lesson.read, there, drawn=drawn, steps=method.voting_steps)
            _load(model.voting, there.folder)
        if method.fine_tuning:
            there = _stage(context, FINE_TUNING, _VOTING_SHARE, 1.0)
            lesson.teach(
                model.fine_tuning, _voted(method, model, lesson), there, drawn=replace(lesson.drawn, atlases=0)
            )
            _load(model.fine_tuning, there.folder)
    shutil.copyfile(there.folder / CURVES, context.folder / CURVES)
    write_whole(context.folder / MODEL, lambda path: torch.save(model.state_dict(), path))


def _voted(method: "DeepLabelFusionMethod", model: DeepLabelFusion, lesson: Lesson) -> Callable[[TrainingCase], Sample]:
    """Reads samples with the consensus of all atlases in place of the atlases."""
    model.eval()

    def read(case: TrainingCase) -> Sample:
        sample = lesson.read(case)
        with torch.no_grad():
            return with_consensus(sample, model.consensus(sample, atlases_at_a_time=method.atlases_at_a_time(sample)))

    return KeptSamples(read, method.memory_mb)


def _stage(context: Context, name: str, start: float, end: float) -> Context:
    folder = context.folder / name
    folder.mkdir(exist_ok=True)

    def progress(fraction: float, message: str) -> None:
        context.progress(start + (end - start) * fraction, f"{name}: {message}")

    return replace(context, folder=folder, progress=progress)


def _load(network: torch.nn.Module, folder: Path) -> None:
    """The running average that a stage left, rather than the last weights."""
    network.load_state_dict(torch.load(folder / MODEL, weights_only=True, map_location="cpu"))
