"""Trains deep label fusion part after part: the vote, the network of the image, the corrections of the vote."""

import logging
import shutil
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import torch
from torch import nn

from dlfbench.dlf.corrections import best_part, learn_corrections, see
from dlfbench.dlf.model import DeepLabelFusion
from dlfbench.files import write_whole
from dlfbench.fusion.corrective_trees import Models, Seen, Shelf
from dlfbench.networks.learning import Lesson, lesson_in, make_model
from dlfbench.networks.samples import Sample
from dlfbench.networks.training import CURVES, MODEL, read_weights
from dlfbench.segmenters.interface import Context, Training, TrainingCase

if TYPE_CHECKING:
    from dlfbench.dlf.segmenter import DeepLabelFusionMethod

log = logging.getLogger(__name__)

VOTING, FINE_TUNING, CORRECTIONS, JUDGED = "voting", "fine-tuning", "corrections", "corrections-judged"
_VOTED, _TUNED, _GROWN = 0.15, 0.88, 0.95  # share of the time that is over after each, for progress


def learn_in_stages(method: "DeepLabelFusionMethod", training: Training, context: Context) -> None:
    """Trains the voting network on votes of few atlases, the image network, and the corrections of the vote of all.

    Each stage has a folder with its own checkpoint: a killed training goes on in the stage where it was.
    """
    with lesson_in(context, method, training) as lesson:
        model = make_model(method, lesson.about, context)
        assert isinstance(model, DeepLabelFusion)
        judges = judges_among(lesson.cases, method.judges) if method.fine_tuning else []
        if method.voting:
            _learn_to_vote(model, lesson, context)
        if method.fine_tuning:
            _learn_the_image(model, lesson, judges, context)
        _learn_corrections(model, lesson, judges, context)
    if method.fine_tuning or method.voting:
        longest = FINE_TUNING if method.fine_tuning else VOTING
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


def _learn_the_image(model: DeepLabelFusion, lesson: Lesson, judges: Sequence[TrainingCase], context: Context) -> None:
    there = _stage(context, FINE_TUNING, _VOTED, _TUNED)
    others = replace(lesson, cases=[case for case in lesson.cases if case not in judges])

    def image(case: TrainingCase) -> Sample:
        sample = lesson.read(case)
        return replace(sample, atlases=sample.atlases[:0], votes=sample.votes.of_atlases(slice(0)))

    others.teach(model.fine_tuning, image, there, drawn=replace(lesson.drawn, atlases=0))
    model.fine_tuning.load_state_dict(read_weights(there.folder))


def _learn_corrections(
    model: DeepLabelFusion, lesson: Lesson, judges: Sequence[TrainingCase], context: Context
) -> None:
    """Grows trees on the votes for all cases. The judges tell, with trees of the others, how much the image counts."""
    method, values = lesson.method, lesson.about.label_values
    model.eval()
    model.window_vox = method.window_vox

    def look(case: TrainingCase) -> Seen | None:
        sample = lesson.read(case)
        with torch.no_grad():
            return see(sample, model.consensus(sample, method.room))

    seen = {case.name: found for case in lesson.cases if (found := look(case)) is not None}

    def grow(names: Iterable[str], there: Context) -> Models:
        shelf = Shelf(there.folder, values)
        learn_corrections([seen[name] for name in names], shelf, rounds=method.sizes.rounds, context=there)
        return shelf.read()

    if model.parts.corrections:
        grow(seen, _stage(context, CORRECTIONS, _TUNED, _GROWN))
    judging = [case for case in judges if case.name in seen]
    if judging:
        trees: Models = [None] * len(values)
        if model.parts.corrections:
            of_judges = {case.name for case in judges}
            others = [name for name in seen if name not in of_judges]  # in order: trees depend on it
            trees = grow(others, _stage(context, JUDGED, _GROWN, 1.0))
        with torch.no_grad():
            heard = ((seen[case.name], model.own(lesson.read(case), method.room)) for case in judging)
            model.part.fill_(best_part(heard, trees))


def judges_among(cases: Sequence[TrainingCase], share: float) -> list[TrainingCase]:
    """The cases of so large a share of the people, one at least; nobody where there is only one."""
    people = sorted({case.person for case in cases})
    if len(people) < 2:
        log.warning("one person: nobody tells how much the image network counts, so it does not")
        return []
    count = min(len(people) - 1, max(1, round(share * len(people))))
    chosen = {people[i * len(people) // count] for i in range(count)}
    return [case for case in cases if case.person in chosen]


def _stage(context: Context, name: str, start: float, end: float) -> Context:
    """The context of a stage: a folder of its own, and its part of the progress."""
    folder = context.folder / name
    folder.mkdir(exist_ok=True)

    def progress(fraction: float, message: str) -> None:
        context.progress(start + (end - start) * fraction, f"{name}: {message}")

    return replace(context, folder=folder, progress=progress)
