"""Trains deep label fusion part after part: the vote, the networks of the image, the corrections of the vote."""

import logging
import shutil
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, TypeVar

import torch
from torch import nn

from dlfbench.dlf.corrections import Voted, best_part, learn_corrections, see
from dlfbench.dlf.model import DeepLabelFusion, with_consensus
from dlfbench.files import write_whole
from dlfbench.fusion.corrective_trees import Models, Seen, Shelf
from dlfbench.networks.learning import Lesson, Reader, limited_memory, make_model
from dlfbench.networks.problem import KeptSamples
from dlfbench.networks.samples import Sample
from dlfbench.networks.surroundings import compiled_in
from dlfbench.networks.training import CURVES, MODEL, read_weights
from dlfbench.segmenters.interface import Context, Training, TrainingCase
from dlfbench.segmenters.people import groups_of_people

if TYPE_CHECKING:
    from dlfbench.dlf.segmenter import DeepLabelFusionMethod

log = logging.getLogger(__name__)

T = TypeVar("T")

VOTING, FINE_TUNING, CORRECTIONS = "voting", "fine-tuning", "corrections"
_VOTED, _TUNED, _GROWN = 0.15, 0.88, 0.95  # share of the time that is over after each, for progress


def learn_in_stages(method: "DeepLabelFusionMethod", training: Training, context: Context) -> None:
    """Trains the voting network on votes of few atlases, then what works on the consensus of all.

    Each stage has a folder with its own checkpoint: a killed training goes on in the stage where it was.
    """
    lesson = Lesson.of(method, training, context)
    model = make_model(method, lesson.about, context)
    assert isinstance(model, DeepLabelFusion)
    model.spacing_mm.copy_(torch.tensor(lesson.about.spacing_mm))
    with limited_memory(), compiled_in(context.folder):
        groups = groups_of_people(lesson.cases, method.sizes.networks if method.fine_tuning else 1)
        if method.voting:
            _learn_to_vote(model, lesson, context)
        voted = _voted(method, model, lesson)
        if method.fine_tuning:
            _learn_images(model, lesson, voted, groups, context)
        if method.corrections:
            _learn_corrections(method, model, lesson, voted, groups, context)
    if method.fine_tuning or method.voting:
        longest = f"{FINE_TUNING}-1" if method.fine_tuning else VOTING
        shutil.copyfile(context.folder / longest / CURVES, context.folder / CURVES)
    write_whole(context.folder / MODEL, lambda path: torch.save(model.state_dict(), path))


def restore_corrections(model: nn.Module, label_values: tuple[int, ...], context: Context) -> None:
    """Gives a model the corrections in the context's folder."""
    assert isinstance(model, DeepLabelFusion)
    model.trees = Shelf(context.folder / CORRECTIONS, label_values).read()


def _learn_to_vote(model: DeepLabelFusion, lesson: Lesson, context: Context) -> None:
    there = _stage(context, VOTING, 0.0, _VOTED)
    calm = replace(lesson.drawn.augmentation, bent=0.0)
    drawn = replace(lesson.drawn, augmentation=calm, targets=1)
    lesson.teach(model.voting, lesson.read, there, drawn=drawn, steps=lesson.method.sizes.voting_steps)
    model.voting.load_state_dict(read_weights(there.folder))


def _learn_images(
    model: DeepLabelFusion, lesson: Lesson, voted: Reader, groups: Sequence[Sequence[TrainingCase]], context: Context
) -> None:
    """Trains each of the image's networks on the people of all groups but its own."""
    drawn, each = replace(lesson.drawn, atlases=0), (_TUNED - _VOTED) / len(groups)
    for number, (network, own) in enumerate(zip(model.fine_tuning, groups, strict=True)):
        start = _VOTED + each * number
        there = _stage(context, f"{FINE_TUNING}-{number + 1}", start, start + each)
        others = [case for case in lesson.cases if case not in own]
        replace(lesson, cases=others or lesson.cases).teach(network, voted, there, drawn=drawn)
        network.load_state_dict(read_weights(there.folder))


def _learn_corrections(
    method: "DeepLabelFusionMethod",
    model: DeepLabelFusion,
    lesson: Lesson,
    voted: Reader,
    groups: Sequence[Sequence[TrainingCase]],
    context: Context,
) -> None:
    """Grows trees on what each case's atlases and the network that does not know its person say of it.

    The part of the networks' log odds that is added to what trees say is learned from trees of the other groups.
    """
    model.eval()
    model.window_vox = method.window_vox
    heard = [
        [seen for case in group for seen in see(_hear(model, voted, case, number), lesson.about.spacing_mm)]
        for number, group in enumerate(groups)
    ]

    def grow(seen: Sequence[Seen], there: Context) -> Shelf:
        shelf = Shelf(there.folder, lesson.about.label_values)
        learn_corrections(seen, shelf, rounds=method.sizes.rounds, context=there)
        return shelf

    grow(_all_but(heard, None), _stage(context, CORRECTIONS, _TUNED, _GROWN))
    taught: list[tuple[Seen, Models]] = []
    for number, group in enumerate(heard):
        others = _all_but(heard, number)
        if group and others:
            trees = grow(others, _stage(context, f"{CORRECTIONS}-{number + 1}", _GROWN, 1.0)).read()
            taught += [(seen, trees) for seen in group]
    if taught:
        model.part.fill_(best_part(taught))


def _all_but(groups: Sequence[list[T]], left_out: int | None) -> list[T]:
    return [member for number, group in enumerate(groups) if number != left_out for member in group]


def _hear(model: DeepLabelFusion, voted: Reader, case: TrainingCase, network: int) -> Voted:
    """A case's vote, and what one of the image's networks says of it."""
    sample = voted(case)
    if not model.parts.fine_tuning:
        return Voted(sample, None)
    with torch.no_grad():
        return Voted(sample, model.own(sample, network)[0].float().cpu().numpy())


def _voted(method: "DeepLabelFusionMethod", model: DeepLabelFusion, lesson: Lesson) -> Reader:
    """Reads samples with the consensus of all atlases in place of the atlases."""

    def read(case: TrainingCase) -> Sample:
        sample = lesson.read(case)
        with torch.no_grad():
            return with_consensus(sample, model.consensus(sample, atlases_at_a_time=method.atlases_at_a_time(sample)))

    model.eval()
    return KeptSamples(read, method.memory_mb)


def _stage(context: Context, name: str, start: float, end: float) -> Context:
    """The context of a stage: a folder of its own, and its part of the progress."""
    folder = context.folder / name
    folder.mkdir(exist_ok=True)

    def progress(fraction: float, message: str) -> None:
        context.progress(start + (end - start) * fraction, f"{name}: {message}")

    return replace(context, folder=folder, progress=progress)
