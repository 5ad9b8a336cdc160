"""Scores label maps that were made elsewhere, and leaves a run folder of them that a report can show or merge."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from dlfbench.datasets.cases import Case, Dataset, LabelSet
from dlfbench.datasets.decathlon import read_decathlon, read_header, read_label_set
from dlfbench.datasets.mapping import LabelMapping, read_mapping
from dlfbench.errors import InputError
from dlfbench.images import UNKNOWN, LabelArray, read_labels, write_labels
from dlfbench.records.described_data import DescribedData
from dlfbench.records.described_study import DescribedStudy
from dlfbench.records.description import TOLERANCE, Description, Identity, write_description
from dlfbench.records.folder import RunFolder, write_json
from dlfbench.records.judge import Judge
from dlfbench.records.record import read_record
from dlfbench.records.results import RESULT_COLUMNS, result_rows, write_results
from dlfbench.study.splits import Fold

_SUFFIXES = (".nii.gz", ".nii")
_TEST_SET = "predictions"


@dataclass(frozen=True)
class Tested:
    """A case as it is tested: in a run every case has a fold and a test set.

    Attributes:
        case: Name, and the file of the reference.
        fold: Index of the fold.
        test_set: Name of the test set.
    """

    case: Case
    fold: int = 0
    test_set: str = _TEST_SET


@dataclass(frozen=True)
class Scoring:
    """What is scored against what.

    Attributes:
        name: Of the method, in results and report.
        predictions: Folder of label maps, CASE.nii.gz or CASE.nii.
        labels: The declared labels.
        tested: The cases.
        tolerance_mm: For surface Dice.
        mapping: From the values in the predictions to labels; None where they are the same.
    """

    name: str
    predictions: Path
    labels: LabelSet
    tested: tuple[Tested, ...]
    tolerance_mm: float = 1.0
    mapping: LabelMapping | None = None


def against_references(name: str, predictions: Path, references: Path) -> Scoring:
    """Scores against the label maps of a folder; label names and people are those of the dataset it belongs to.

    Every reference is scored: where a prediction is missing, that is what the results say.

    Raises:
        InputError: A folder is missing or empty, or no prediction has a reference.
    """
    for folder in (predictions, references):
        if not folder.is_dir():
            raise InputError(f"{folder}: folder not found")
    cases, labels = _references(references)
    if not any(_prediction(predictions, case.name) for case in cases):
        raise InputError(
            f"{predictions}: expected label maps named as those in {references}, such as {cases[0].name}.nii.gz; "
            f"found {', '.join(sorted(p.name for p in predictions.glob('*'))[:3]) or 'none'}"
        )
    return Scoring(name, predictions, labels, tuple(Tested(case) for case in cases))


def beside_run(name: str, predictions: Path, run: Path) -> Scoring:
    """Scores what a run has tested, in the same folds and test sets, so that a report can merge the two.

    Raises:
        InputError: The folder holds no run, or one without a description of its cases.
    """
    record = read_record(run)
    again = [fold.index for fold in record.folds if fold.training]
    rows = record.results[~record.results["fold"].isin(again)][["case", "fold", "test_set"]].drop_duplicates()
    lacking = sorted(set(rows["case"]) - set(record.data.cases))
    if lacking or not record.data.labels:
        where = RunFolder(run).cases_file
        raise InputError(f"{where}: says nothing of case {(lacking or ['any'])[0]}; give --references alone")
    cases = {case: record.case(case) for case in dict.fromkeys(rows["case"])}
    tested = tuple(Tested(cases[case], int(fold), test_set) for case, fold, test_set in rows.itertuples(index=False))
    return Scoring(name, predictions, record.data.label_set, tested, record.identity.tolerance_mm)


def score_predictions(scoring: Scoring, out: Path) -> Path:
    """Scores and writes a run folder: results, the label maps, and what a report needs to know.

    Args:
        scoring: What is scored against what.
        out: A folder that is new, or holds an earlier scoring of the same name.

    Returns:
        The folder.
    """
    folder = RunFolder(out)
    if out.exists() and any(out.iterdir()) and not folder.predictions_file.is_file():
        raise InputError(f"{out}: is there already and holds something else; give another --out")
    rows = [row for tested in scoring.tested for row in _rows(scoring, tested, folder)]
    write_results(pd.DataFrame(rows, columns=list(RESULT_COLUMNS)), out)
    write_json(folder.predictions_file, {"folder": scoring.predictions.name, "files": len(scoring.tested)})
    write_description(folder, _description(scoring))
    return out


def _rows(scoring: Scoring, tested: Tested, folder: RunFolder) -> Iterator[dict[str, Any]]:
    """One row per label and group; with the reason instead of metrics where the prediction cannot be scored."""
    status, reason, values = "ok", "", {}
    try:
        values = _scores(scoring, tested, folder)
    except FileNotFoundError as error:
        status, reason = "missing", str(error)
    except (InputError, ValueError) as error:
        status, reason = "failed", str(error)
    about = {"method": scoring.name, "kind": "method", "fold": tested.fold, "test_set": tested.test_set}
    about |= {"case": tested.case.name, "person": tested.case.person}
    yield from result_rows(about, scoring.labels, values, status=status, reason=reason)


def _scores(scoring: Scoring, tested: Tested, folder: RunFolder) -> dict[int, dict[str, Any]]:
    """Metric values by label; the label map is written to where a run would have it, in integers."""
    case = tested.case
    path = _prediction(scoring.predictions, case.name)
    copy = folder.segmentation_path(scoring.name, tested.fold, case.name)
    _remove_copies(copy.parent, case.name, scoring.predictions)
    if path is None:
        raise FileNotFoundError(f"no {case.name}.nii.gz among the predictions")
    found, grid = read_labels(path)
    if scoring.mapping is not None:
        found = np.maximum(scoring.mapping.apply(found, path.name), 0)
    judge = Judge.of(case, scoring.labels, scoring.tolerance_mm)
    judge.check_grid(grid, path.name)
    labels = np.where(judge.reference == UNKNOWN, 0, found)  # models write anything where nothing is to be known
    odd = np.setdiff1d(labels, scoring.labels.values)
    if odd.size:
        raise ValueError(f"{path.name}: values {odd[:5].tolist()} outside the declared {list(scoring.labels.values)}")
    if copy.resolve() != path.resolve():
        write_labels(copy, found, grid)
    return {row["label"]: row for row in judge.rows(labels)}


def _remove_copies(folder: Path, case: str, predictions: Path) -> None:
    """Takes away what an earlier scoring copied, of either suffix; the predictions themselves stay."""
    if folder.resolve() != predictions.resolve():
        for suffix in _SUFFIXES:
            (folder / f"{case}{suffix}").unlink(missing_ok=True)


def _description(scoring: Scoring) -> Description:
    """What a run says of itself; what is not known is left out, and held against nobody."""
    cases = {tested.case.name: tested.case for tested in scoring.tested}
    folds: dict[int, dict[str, tuple[str, ...]]] = {}
    for tested in scoring.tested:
        tests = folds.setdefault(tested.fold, {})
        tests[tested.test_set] = (*tests.get(tested.test_set, ()), tested.case.name)
    digests = {name: (None, case.reference_digest()) for name, case in cases.items() if _is_there(case)}
    metrics = {TOLERANCE: scoring.tolerance_mm}
    modalities = next((case.shift[1] for case in cases.values() if case.shift), ())
    return Description(
        study=DescribedStudy({"name": scoring.name, "methods": {scoring.name: {"use": "predictions"}}}),
        folds=tuple(Fold(index, (), tests) for index, tests in sorted(folds.items())),
        data=DescribedData.of(Dataset("", modalities, scoring.labels, tuple(cases.values()))),
        identity=Identity(metrics=metrics, data=digests),
    )


def _references(folder: Path) -> tuple[tuple[Case, ...], LabelSet]:
    """The cases of a folder of label maps, and the labels: of its dataset, or else those that are found."""
    paths = {path.name.removesuffix(_suffix(path)): path for path in sorted(folder.iterdir()) if _suffix(path)}
    if not paths:
        raise InputError(f"{folder}: expected label maps, CASE.nii.gz, found none")
    header = folder.parent / "dataset.json"
    if not header.is_file():
        cases = tuple(Case(name, (), path) for name, path in paths.items())
        return cases, _labels_found([case.read_reference()[0] for case in cases])
    if folder.name == "labelsTr":
        dataset = read_decathlon(folder.parent)
        return tuple(case for case in dataset.cases if case.reference in paths.values()), dataset.labels
    labels = read_label_set(read_header(folder.parent)["labels"], header)  # such as nnU-Net's labelsTs
    return tuple(Case(name, _images(folder, name), path, ignore=labels.ignore) for name, path in paths.items()), labels


def _images(references: Path, case: str) -> tuple[Path, ...]:
    """The images of a case: imagesTs beside labelsTs; none where there are none."""
    folder = references.with_name(references.name.replace("labels", "images"))
    if folder == references or not folder.is_dir():
        return ()
    named = re.compile(rf"{re.escape(case)}(_\d{{4}})?\.nii(\.gz)?")
    return tuple(path for path in sorted(folder.iterdir()) if named.fullmatch(path.name))


def _is_there(case: Case) -> bool:
    return case.reference is not None and case.reference.is_file()


def _labels_found(references: list[LabelArray]) -> LabelSet:
    values = sorted({0, *(int(value) for reference in references for value in np.unique(reference))})
    return LabelSet(tuple(values), ("background", *(f"label {value}" for value in values[1:])))


def _prediction(folder: Path, case: str) -> Path | None:
    return next((path for suffix in _SUFFIXES if (path := folder / f"{case}{suffix}").is_file()), None)


def _suffix(path: Path) -> str:
    return next((suffix for suffix in _SUFFIXES if path.name.endswith(suffix)), "")


def with_mapping(scoring: Scoring, table: Path) -> Scoring:
    """The same scoring of predictions that have another tool's label values; see `read_mapping`."""
    return replace(scoring, mapping=read_mapping(table, scoring.labels))


def with_references(scoring: Scoring, references: Path) -> Scoring:
    """The same scoring against references of another folder, by name of the case."""
    tested = []
    for item in scoring.tested:
        path = _prediction(references, item.case.name)
        if path is None:
            raise InputError(f"{references}: expected a reference of {item.case.name}, which the run tests; found none")
        tested.append(replace(item, case=replace(item.case, reference=path)))
    return replace(scoring, tested=tuple(tested))
