"""Tasks for images that are no cases of a study: its methods segment them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from dlfbench.datasets.cases import Case, Dataset
from dlfbench.engine.planner import Planner, in_order, takes_part
from dlfbench.engine.tasks.methods import FitTask
from dlfbench.engine.tasks.task import Task
from dlfbench.study.splits import Fold
from dlfbench.study.tables import Study


@dataclass(frozen=True)
class NewImages:
    """What is to be done for images that are no cases of the study.

    Attributes:
        tasks: By key: registrations to the images, segmentations; and the fit on all cases where one is asked for.
        fits: By fold, key of the study's fit that its segmentations need.
        folds: Which folds segment each image; a fold on all cases counts on after those of the study.
        digests: Digest of the images and of the reference of each case that they need.
    """

    tasks: dict[str, Task]
    fits: Mapping[int, str]
    folds: tuple[int, ...]
    digests: Mapping[str, tuple[str, str]] = field(default_factory=dict)


def plan_images(
    study: Study, dataset: Dataset, images: Sequence[Case], *, folds: Sequence[Fold], refit: int | None
) -> NewImages:
    """Plans the segmentation of new images by the method of a study, as if they were test cases of these folds.

    Args:
        study: With one method.
        dataset: That of the study, as `split` gives it.
        images: Cases without references.
        folds: Whose atlases and models segment the images.
        refit: Instead, train anew on all cases of the study, which are the atlases too; the number of that fold.

    Raises:
        InputError: An image has no atlas.
    """
    segmenter = study.build_methods()[0].segmenter
    chosen = [fold for fold in folds if takes_part(segmenter, fold)]
    if refit is not None:
        chosen = [Fold(refit, tuple(case.name for case in dataset.cases if case.shift is None), {})]
        study = study.model_copy(update={"protocol": study.protocol.model_copy(update={"atlases": None})})
    needed = {name for fold in chosen for name in fold.train}
    known = replace(dataset, cases=(*(case for case in dataset.cases if case.name in needed), *images))
    planner = Planner(study, known, {}, len(chosen) > 1)  # the answers of several folds are averaged
    tasks: list[Task] = []
    for fold in chosen:
        tasks += planner.fold_tasks(replace(fold, tests={"images": tuple(case.name for case in images)}))
    fits = tuple(task for task in tasks if isinstance(task, FitTask))
    there = {need for fit in fits for need in fit.needs} | {fit.key for fit in fits}
    again = refit is not None
    left_out = set() if again else there - {need for t in tasks if t.kind == "segmentation" for need in t.needs}
    kinds = ("registration", "segmentation", *(("fit",) if again else ()))
    kept = {task.key: task for task in in_order(tasks) if task.kind in kinds and task.key not in left_out}
    keys = {} if again else {fit.names["fold"]: fit.key for fit in fits if fit.method in planner.methods}
    return NewImages(kept, keys, tuple(fold.index for fold in chosen), planner.digests)


def keys_of_tested(study: Study, dataset: Dataset, fold: Fold, *, posteriors: bool) -> list[str]:
    """Keys that the segmentations of a fold's test cases have now."""
    there = {*fold.train, *fold.test_cases}
    known = replace(dataset, cases=tuple(case for case in dataset.cases if case.name in there))
    tasks = Planner(study, known, {}, posteriors).fold_tasks(fold)
    return [task.key for task in tasks if task.kind == "segmentation"]


def plan_packaged(
    study: Study, dataset: Dataset, images: Sequence[Case], *, folds: Sequence[Fold], fits: Mapping[int, str]
) -> NewImages:
    """The same where only models are there, and not what they were trained on.

    Args:
        study: With one method.
        dataset: Its cases are the atlases; none where the method needs none.
        images: Cases without references.
        folds: Who was trained on.
        fits: Key of each fold's model.

    Raises:
        InputError: An image has no atlas.
    """
    known = replace(dataset, cases=(*dataset.cases, *images))
    planner = Planner(study, known, {}, len(folds) > 1)
    tasks = [task for fold in folds for task in planner.image_tasks(fold, images, fits.get(fold.index))]
    needed = {fold.index: fits[fold.index] for fold in folds if fold.index in fits}
    return NewImages({t.key: t for t in in_order(tasks)}, needed, tuple(fold.index for fold in folds))
