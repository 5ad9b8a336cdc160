"""Folds that somebody gives as a file: nnU-Net's `splits_final.json`."""

import json
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

from dlfbench.errors import InputError

FILE = "splits_final.json"


def read_folds(path: Path, cases: Collection[str]) -> list[tuple[tuple[str, ...], tuple[str, ...]]]:
    """The training and test cases of each fold.

    Args:
        path: A list of folds, each with the lists `train` and `val`, as nnU-Net has it in `nnUNet_preprocessed`.
        cases: Names of the data set's cases.

    Raises:
        InputError: It is no such file, or names cases that are not there; every problem at once.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        folds = [(tuple(map(str, fold["train"])), tuple(map(str, fold["val"]))) for fold in content]
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise InputError(
            f"{path}: expected a list of folds, each with the lists train and val, as nnU-Net's {FILE} "
            f"({type(error).__name__}: {error})"
        ) from None
    if not folds:
        raise InputError(f"{path}: expected a fold at least, found none")
    problems = [problem for number, fold in enumerate(folds) for problem in _problems(number, fold, cases)]
    if problems:
        raise InputError([f"{path}: {problem}" for problem in problems])
    return folds


def _problems(number: int, fold: tuple[Sequence[str], Sequence[str]], cases: Collection[str]) -> list[str]:
    found = []
    for what, names in zip(("train", "val"), fold, strict=True):
        unknown = sorted(set(names) - set(cases))
        if unknown:
            few = ", ".join(unknown[:3])
            found.append(f"fold {number}: {len(unknown)} cases in {what} that the data set lacks, such as {few}")
        if len(set(names)) < len(names):
            found.append(f"fold {number}: a case stands twice in {what}")
    return found


def folds_text(folds: Sequence[tuple[Sequence[str], Sequence[str]]]) -> str:
    """Folds as nnU-Net reads them."""
    tables: list[dict[str, Any]] = [{"train": sorted(train), "val": sorted(val)} for train, val in folds]
    return json.dumps(tables, indent=1)
