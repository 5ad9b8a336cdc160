"""A method of a run as one file: its study, its models without pickle, how it was trained and tested.

OUT.zip/package.json     what it is, and the SHA-256 of every other file
OUT.zip/README.md        the same for people: a model card
OUT.zip/study.toml       the study, with this method alone
OUT.zip/results.csv      how it was tested: its rows of the run's results
OUT.zip/signs.csv        signs and Dice of the held-out cases: what is expected of new images is learned from them
OUT.zip/models/N/        the model of fold N; networks as arrays (`.npz`)
OUT.zip/atlases/         on request: images and label maps of the training cases, in nnU-Net's raw layout
"""

import csv
import hashlib
import io
import json
import tempfile
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import tomli_w

from dlfbench.datasets.cases import Case, LabelSet
from dlfbench.engine.plan import Plan, make_plan
from dlfbench.engine.tasks.methods import FitTask
from dlfbench.engine.work import library_versions
from dlfbench.errors import InputError
from dlfbench.files import write_whole
from dlfbench.records.folder import RunFolder
from dlfbench.records.results import SIGNS_TABLE, read_results
from dlfbench.segmenters.interface import Segmenter
from dlfbench.study.tables import DataTable, LabelsTable, Study
from dlfbench.use.card import model_card
from dlfbench.use.recorded import open_recorded

FORMAT = 2
ABOUT = "package.json"
SIGNS = "signs.csv"


@dataclass(frozen=True)
class Wanted:
    """What is packed.

    Attributes:
        run: The run folder.
        method: Name of a method of the run.
        with_atlases: Images and label maps of the training cases too.
        licence: Under which it may be used; empty for not stated.
        fold: Its model alone, in the form of the method's own tool; None for all.
    """

    run: Path
    method: str
    with_atlases: bool = False
    licence: str = ""
    fold: int | None = None


def write_package(wanted: Wanted, out: Path) -> bool:
    """Packs a method of a run.

    Returns:
        Whether the method needs atlases.

    Raises:
        InputError: The run, its method or its models cannot be packed, or the file is there already.
    """
    if out.exists():
        raise InputError(f"{out}: is there already; remove it, or give another name")
    plan, fits = _planned(wanted)
    files = dict(_files(wanted, plan, fits))
    about = _about(wanted, plan, fits)
    files["README.md"] = model_card(about, read_results(wanted.run)).encode()
    about["files"] = {path: hashlib.sha256(content).hexdigest() for path, content in sorted(files.items())}
    files[ABOUT] = json.dumps(about, indent=1).encode()

    def write(part: str) -> None:
        with zipfile.ZipFile(part, "w", zipfile.ZIP_DEFLATED) as package:
            for path, content in sorted(files.items()):
                package.writestr(zipfile.ZipInfo(path), content, zipfile.ZIP_DEFLATED)

    write_whole(out, write)
    return bool(about["needs_atlases"])


def _planned(wanted: Wanted) -> tuple[Plan, dict[int, FitTask]]:
    """The run's training with the method alone, and the fit of each fold; every model is there, as it was left."""
    recorded = open_recorded(wanted.run, wanted.method)
    study = recorded.study
    if code := _packed(study).plugin_files:
        raise InputError(f"{wanted.method}: needs {code[0]}, and code is not packed; make it an installed plugin")
    if wanted.with_atlases and not study.build_methods()[0].segmenter.needs_atlases:
        raise InputError(
            f"--with-atlases: {wanted.method} needs none, so that people's images would be passed on in vain"
        )
    plan = make_plan(study, recorded.dataset, folds=recorded.training)
    if changed := recorded.changed({name: plan.digests[name] for fold in plan.folds for name in fold.train}):
        raise InputError(
            f"{wanted.run}: {len(changed)} training cases are not what the run had, such as {changed[0]}; put them "
            "back, or run again"
        )
    every = [task for task in plan.of_kind("fit") if isinstance(task, FitTask)]
    ours = [fold.index for fold in plan.folds]  # not those of learning curves
    mine = [task for task in every if task.method.name == wanted.method and task.names["fold"] in ours]
    fits = {task.names["fold"]: task for task in mine if wanted.fold in (None, task.names["fold"])}
    return plan, fits


def _packed(study: Study) -> Study:
    """The study as it is packed: of the atlases inside, and without a registration where the method uses none."""
    changed: dict[str, Any] = {"data": DataTable(dataset="atlases"), "labels": LabelsTable()}
    if not study.build_methods()[0].segmenter.needs_atlases:
        changed["registration"] = Study().registration
    return study.model_copy(update=changed)


def _files(wanted: Wanted, plan: Plan, fits: Mapping[int, FitTask]) -> Iterator[tuple[str, bytes]]:
    tables = _packed(plan.study).model_dump(mode="json", exclude_none=True)
    names = RunFolder(Path())  # what is packed is called as in a run
    yield names.study_file.name, tomli_w.dumps(tables).encode()
    rows = read_results(wanted.run)
    yield names.results_csv.name, _csv(rows[rows["method"] == wanted.method])
    signs = SIGNS_TABLE.read(wanted.run)
    yield SIGNS, _csv(signs[signs["method"] == wanted.method])
    problems: list[str] = []
    segmenter = plan.study.build_methods()[0].segmenter
    for fit in fits.values():
        try:
            yield from _model(RunFolder(wanted.run), segmenter, fit)
        except InputError as error:
            problems += error.problems
    if problems:
        raise InputError(problems)
    if wanted.with_atlases:
        yield from _atlases(plan)


def _csv(rows: pd.DataFrame) -> bytes:
    return rows.to_csv(index=False, lineterminator="\n").encode()


def _model(folder: RunFolder, segmenter: Segmenter, fit: FitTask) -> Iterator[tuple[str, bytes]]:
    """The files of a model, as its method packs them."""
    fold = fit.names["fold"]
    with tempfile.TemporaryDirectory(prefix="dlfbench-") as scratch:
        segmenter.pack(_intact(folder, fit), Path(scratch))
        for path in (path for path in Path(scratch).rglob("*") if path.is_file()):
            yield f"models/{fold}/{path.relative_to(scratch).as_posix()}", path.read_bytes()


def _intact(folder: RunFolder, fit: FitTask) -> Path:
    """The folder of a model that is as its training left it."""
    product = folder.read_product("fit", fit.key)
    if product is None or not product.ok or folder.damaged(product):
        why = product.reason if product and not product.ok else "missing, or not as it was written"
        about = f"model of {fit.names['method']} for fold {fit.names['fold']}"
        raise InputError(f"{folder.root}: {about}: {why}; start the run again")
    return folder.model_folder(fit.key)


def write_own_form(wanted: Wanted, out: Path) -> tuple[int, ...]:
    """Packs a method's models in the form that its own tool installs.

    Returns:
        The folds that are inside.

    Raises:
        InputError: There is no such tool, the models cannot be packed or do not belong together, or the file is there.
    """
    if out.exists():
        raise InputError(f"{out}: is there already; remove it, or give another name")
    plan, fits = _planned(wanted)
    segmenter = plan.study.build_methods()[0].segmenter
    found: dict[str, Path] = {}
    for fold, fit in fits.items():
        for name, path in segmenter.own_files(_intact(RunFolder(wanted.run), fit), fold).items():
            other = found.setdefault(name, path)
            if other != path and other.read_bytes() != path.read_bytes():
                raise InputError(f"{wanted.run}: {name} is another in fold {fold}; give one fold by --fold")
    if not found:
        raise InputError(f"{wanted.run}: {wanted.method} has no model for such a fold; the run's folds are others")

    def write(part: str) -> None:
        with zipfile.ZipFile(part, "w", zipfile.ZIP_DEFLATED) as package:
            for name, path in sorted(found.items()):
                package.write(path, name)

    write_whole(out, write)
    return tuple(fits)


def _about(wanted: Wanted, plan: Plan, fits: Mapping[int, FitTask]) -> dict[str, Any]:
    method = plan.study.build_methods()[0]
    training = sorted({name for fold in plan.folds for name in fold.train})
    labels = plan.dataset.labels
    grids = [case.read_target().grid for case in plan.dataset.cases[:5]]
    return {
        "format": FORMAT,
        "method": wanted.method,
        "parameters": dict(plan.study.methods[wanted.method]),
        "licence": wanted.licence,
        "study": plan.study.name,
        "dataset": plan.dataset.name,
        "modalities": list(plan.dataset.modalities),
        "labels": dict(zip(labels.names, labels.values, strict=True)),
        "folds": [
            {"fold": fold.index, "train": list(fold.train)}
            for fold in plan.folds
            if fold.index in fits or not fold.training
        ],
        "fits": {str(fold): fit.key for fold, fit in fits.items()},
        "training_cases": {name: list(plan.digests[name]) for name in training},
        "taken_names": [case.name for case in plan.dataset.cases],
        "taken_persons": sorted({case.person for case in plan.dataset.cases}),
        "usual_grids": [{"shape": grid.shape, "affine": grid.affine} for grid in grids],
        "needs_atlases": method.segmenter.needs_atlases,
        "has_atlases": wanted.with_atlases,
        "versions": library_versions(),
    }


def _atlases(plan: Plan) -> Iterator[tuple[str, bytes]]:
    """The training cases as a dataset in nnU-Net's raw layout, file by file as they are."""
    training = {name for fold in plan.folds for name in fold.train}
    cases = [case for case in plan.dataset.cases if case.name in training]
    paths = [path for case in cases for path in (*case.images, case.reference) if path is not None]
    if plan.study.labels.map is not None:
        raise InputError(
            "--with-atlases: the study maps its labels (`labels.map`); write mapped label maps and run it on them"
        )
    odd = [path for path in paths if not path.name.endswith(".nii.gz")]
    if odd:
        raise InputError(
            f"--with-atlases: expected .nii.gz files, found {len(odd)} others, such as {odd[0]}; convert them"
        )
    header = {
        "name": plan.dataset.name,
        "channel_names": {str(channel): name for channel, name in enumerate(plan.dataset.modalities)},
        "labels": {**plan.dataset.labels.by_name, **_regions(plan.dataset.labels)},
        "numTraining": len(cases),
        "file_ending": ".nii.gz",
    }
    yield "atlases/dataset.json", json.dumps(header, indent=1).encode()
    yield "atlases/cases.tsv", _columns(cases).encode()
    for case in cases:
        for channel, path in enumerate(case.images):
            yield f"atlases/imagesTr/{case.name}_{channel:04d}.nii.gz", path.read_bytes()
        assert case.reference is not None
        yield f"atlases/labelsTr/{case.name}.nii.gz", case.reference.read_bytes()


def _regions(labels: LabelSet) -> dict[str, list[int]]:
    """Groups of labels as dataset.json has them, which `cases.tsv` may name; one of a single label cannot be there."""
    return {name: list(values) for name, values in labels.groups if len(values) > 1}


def _columns(cases: Sequence[Case]) -> str:
    names = list(dict.fromkeys(name for case in cases for name in case.columns if name != "case"))
    text = io.StringIO()
    table = csv.writer(text, delimiter="\t", lineterminator="\n")
    table.writerow(["case", *names])
    table.writerows([case.name, *(case.columns.get(name, "") for name in names)] for case in cases)
    return text.getvalue()
