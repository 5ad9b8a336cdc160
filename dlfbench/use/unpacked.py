"""A package, checked and unpacked: a small run folder with the models of one method."""

import atexit
import hashlib
import json
import shutil
import tempfile
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import pandas as pd

from dlfbench.datasets.cases import Dataset, LabelSet
from dlfbench.datasets.known import open_dataset
from dlfbench.engine.work import library_versions
from dlfbench.errors import InputError
from dlfbench.images import Grid
from dlfbench.plugin_files import is_file
from dlfbench.records.folder import Product, RunFolder
from dlfbench.segmenters.registry import Method
from dlfbench.study.splits import Fold
from dlfbench.study.tables import Study, read_run_study
from dlfbench.use.package import ABOUT, FORMAT, SIGNS
from dlfbench.use.quality import Teacher


@dataclass(frozen=True)
class Package:
    """A method that came as a file.

    Attributes:
        models: Where its models are, as in a run folder.
        study: The study, with this method alone.
        dataset: Modalities and labels; its cases are the atlases where they came along.
        folds: Who was trained on.
        fits: Key of the model of each fold.
        usual: Grids of some of the study's images.
        taken: Names of the study's cases.
        persons: Whose images they are.
        teacher: What the run's held-out cases teach of how good a segmentation is.
        warnings: Libraries that are of other versions here.
    """

    models: RunFolder
    study: Study
    dataset: Dataset
    folds: tuple[Fold, ...]
    fits: Mapping[int, str]
    usual: tuple[Grid, ...]
    taken: frozenset[str]
    persons: frozenset[str]
    teacher: Teacher
    warnings: tuple[str, ...]


def open_package(path: Path, method: str) -> Package:
    """Unpacks a package for as long as this process lives.

    Raises:
        InputError: It is no package, of another format, damaged, of another method, or lacks the atlases it needs.
    """
    folder = Path(tempfile.mkdtemp(prefix="dlfbench-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    about = _unpack(path, folder)
    if about["method"] != method:
        raise InputError(f"{path}: expected method {about['method']!r}, which is all that it holds, found {method!r}")
    if about["needs_atlases"] and not about["has_atlases"]:
        raise InputError(
            f"{path}: {method} fuses atlases, and the package was made without; make it with --with-atlases"
        )
    study = read_run_study(RunFolder(folder).study_file)
    labels = LabelSet(tuple(about["labels"].values()), tuple(about["labels"]))
    dataset = Dataset(about["dataset"], tuple(about["modalities"]), labels, ())
    if about["has_atlases"]:
        dataset = open_dataset(folder / "atlases")
    models = RunFolder(folder / "run")
    fits = {int(fold): key for fold, key in about["fits"].items()}
    (packed,) = study.build_methods()
    for fold, key in fits.items():
        _place_model(folder / "models" / str(fold), models, (fold, key), packed)
    usual = tuple(Grid.of(tuple(grid["shape"]), grid["affine"]) for grid in about["usual_grids"])
    folds = tuple(Fold(fold["fold"], tuple(fold["train"]), {}) for fold in about["folds"])
    taken, persons = frozenset(about["taken_names"]), frozenset(about.get("taken_persons", ()))
    teacher = Teacher.of(pd.read_csv(folder / SIGNS, dtype={"person": str, "case": str}), method, folds)
    return Package(models, study, dataset, folds, fits, usual, taken, persons, teacher, _versions(about))


def packed_commands(path: Path) -> tuple[str, ...]:
    """Command lines that the study of a package names, as `consent` takes them; code files are never packed.

    Raises:
        InputError: It is no package, of another format, or damaged.
    """
    with tempfile.TemporaryDirectory(prefix="dlfbench-") as scratch:
        study_file = RunFolder(Path(scratch)).study_file
        _unpack(path, Path(scratch), only=study_file.name)
        return tuple(use for use in read_run_study(study_file).foreign_code if not is_file(use))


def _unpack(path: Path, folder: Path, *, only: str | None = None) -> dict[str, Any]:
    """Writes every file of a package, or one, that is as it was packed; returns what the package says of itself."""
    try:
        with zipfile.ZipFile(path) as package:
            about: dict[str, Any] = json.loads(package.read(ABOUT))
            if about.get("format") != FORMAT:
                found = about.get("format")
                raise InputError(f"{path}: expected a package of format {FORMAT}, found {found!r}; export it again")
            files = {name: digest for name, digest in about["files"].items() if only in (None, name)}
            problems = [_write(package, name, digest, folder) for name, digest in files.items()]
    except (OSError, ValueError, KeyError, AttributeError, zipfile.BadZipFile) as error:
        raise InputError(f"{path}: expected a package as `dlfbench export` makes it ({error})") from None
    if any(problems):
        raise InputError([f"{path}: {problem}" for problem in problems if problem])
    return about


def _write(package: zipfile.ZipFile, name: str, digest: str, folder: Path) -> str:
    """What is wrong with a file of a package; where nothing is, it is written."""
    inside = PurePosixPath(name)
    if inside.is_absolute() or ".." in inside.parts or "\\" in name:
        return f"{name}: lies outside of the package"
    try:
        content = package.read(name)
    except (KeyError, zipfile.BadZipFile):
        return f"{name}: missing or damaged; export it again"
    if hashlib.sha256(content).hexdigest() != digest:
        return f"{name}: is not what was packed (SHA-256); export it again"
    (folder / inside).parent.mkdir(parents=True, exist_ok=True)
    (folder / inside).write_bytes(content)
    return ""


def _place_model(source: Path, run: RunFolder, fit: tuple[int, str], method: Method) -> None:
    """Makes of an unpacked model what a fit leaves: its folder, and a product that lists its files."""
    fold, key = fit
    target = run.model_folder(key)
    target.mkdir(parents=True)
    method.segmenter.unpack(source, target)
    left = run.left(path for path in target.rglob("*") if path.is_file())
    names = {"method": method.name, "fold": fold}
    run.write_product(Product(key, "fit", "ok", names=names, files=left.files))


def _versions(about: Mapping[str, Any]) -> tuple[str, ...]:
    here = library_versions()
    other = [f"{name} {v} (here {here.get(name)})" for name, v in about["versions"].items() if here.get(name) != v]
    return (f"made with {', '.join(other)}: results may differ",) if other else ()
