"""The private nnU-Net dataset of one fold, and where nnU-Net finds its things."""

import json
import logging
import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from dlfbench.datasets.digests import digest_file
from dlfbench.images import UNKNOWN, is_stored_as_read, read_voxels, write_image
from dlfbench.segmenters.interface import Training, TrainingCase
from dlfbench_baselines.nnunet.settings import PLANS, Plan

log = logging.getLogger(__name__)

NAME = "Dataset001_fold"
FOLD = "all"  # nnU-Net's name for training on every case; which cases those are is dlfbench's business


@dataclass(frozen=True)
class Workplace:
    """nnU-Net's folders of one fold.

    Attributes:
        folder: The method's folder for this fold.
    """

    folder: Path

    @property
    def variables(self) -> dict[str, str]:
        """The environment variables that send nnU-Net here."""
        return {f"nnUNet_{part}": str(self.folder / part) for part in ("raw", "preprocessed", "results")}

    @property
    def raw(self) -> Path:
        return self.folder / "raw" / NAME

    @property
    def preprocessed(self) -> Path:
        return self.folder / "preprocessed" / NAME

    @property
    def ready(self) -> bool:
        """Whether everything up to training is done, and nothing of it damaged."""
        try:
            lines = self._ready.read_text().splitlines()
            return all(digest_file(self.folder / line[65:]) == line[:64] for line in lines)
        except (FileNotFoundError, UnicodeDecodeError):
            return False

    def set_ready(self) -> None:
        """Says that everything up to training is done."""
        self._ready.write_text(self._digests())

    @property
    def _ready(self) -> Path:
        return self.folder / "ready"

    def _digests(self) -> str:
        """Of the files from which training starts."""
        paths = sorted(path for path in self.preprocessed.rglob("*") if path.is_file())
        return "\n".join(f"{digest_file(path)} {path.relative_to(self.folder)}" for path in paths)

    def model_folder(self, plan: Plan) -> Path:
        """What nnU-Net calls the folder of a trained model."""
        name = f"nnUNetTrainer__{PLANS[plan.planner]}__{plan.configuration}"
        return self.folder / "results" / NAME / name

    def checkpoint(self, plan: Plan, which: str = "final") -> Path:
        """A checkpoint of the training: final or latest."""
        return self.model_folder(plan) / f"fold_{FOLD}" / f"checkpoint_{which}.pth"

    def clear(self) -> None:
        """Takes out what an interrupted preparation left."""
        self._ready.unlink(missing_ok=True)
        for part in ("raw", "preprocessed", "results"):
            shutil.rmtree(self.folder / part, ignore_errors=True)
            (self.folder / part).mkdir()


def write_dataset(training: Training, folder: Path) -> None:
    """Writes a dataset in nnU-Net's raw format, of the training cases and nothing else.

    Cases in which a label was not drawn are left out: their background may be that label, and a case of which nothing
    but other labels is known teaches nnU-Net to find these everywhere.

    Files are links where nnU-Net, which looks at the order of voxels and at `pixdim`, sees in them what dlfbench reads
    (and, of label maps, where the voxels are integers and the declared labels 0, 1, 2, ... as nnU-Net needs them);
    written anew otherwise.
    """
    whole = _whole_cases(training)
    partial = any((case.read_reference() == UNKNOWN).any() for case in whole)
    consecutive = not partial and training.label_values == tuple(range(len(training.label_values)))
    folder.mkdir(parents=True, exist_ok=True)
    cases = {}
    for case in whole:
        label = _linked_label(case, folder / "labelsTr") if consecutive else None
        label = label or _renumbered(case, training.label_values, folder / "labelsTr")
        images = _images(case, folder / "imagesTr")
        cases[case.name] = {
            "images": [str(path.relative_to(folder)) for path in images],
            "label": str(label.relative_to(folder)),
        }
    (folder / "dataset.json").write_text(json.dumps(_header(training, cases, partial), indent=1))


def _whole_cases(training: Training) -> list[TrainingCase]:
    """The cases in which every label was drawn.

    Raises:
        ValueError: There is none.
    """
    whole = [case for case in training.cases if not case.undrawn]
    if not whole:
        raise ValueError(
            "nnU-Net needs a training case in which every label was drawn: background is known in no other"
        )
    if len(whole) < len(training.cases):
        log.warning("nnU-Net learns from %d of %d cases: those with every label", len(whole), len(training.cases))
    return whole


def _header(training: Training, cases: dict[str, Any], partial: bool) -> dict[str, Any]:
    names = training.label_names or tuple(f"label{value}" for value in training.label_values)
    labels = {"background": 0, **{_free(name): index for index, name in enumerate(names) if index}}
    if partial:
        labels["ignore"] = len(names)  # nnU-Net wants the highest
    return {
        "channel_names": {str(index): name for index, name in enumerate(training.modalities)},
        "labels": labels,
        "numTraining": len(cases),
        "file_ending": ".nii.gz",
        "overwrite_image_reader_writer": "NibabelIO",  # reads what dlfbench reads, oblique images too
        "dataset": cases,
    }


def _free(name: str) -> str:
    """A label's name that means nothing to nnU-Net."""
    return f"{name} (label)" if name in ("background", "ignore") else name


def _linked_label(case: TrainingCase, folder: Path) -> Path | None:
    path = case.reference_path
    # unrounded: nnU-Net makes 2 of 2.99998
    as_read = is_stored_as_read(path) and np.array_equal(read_voxels(path)[0], case.read_reference())
    return _link(path, folder, case.name) if as_read else None


def _images(case: TrainingCase, folder: Path) -> list[Path]:
    names = [f"{case.name}_{channel:04d}" for channel in range(len(case.image_paths))]
    if all(is_stored_as_read(path) for path in case.image_paths):
        return [_link(path, folder, name) for path, name in zip(case.image_paths, names, strict=True)]
    target = case.read_target()
    paths = [folder / f"{name}.nii.gz" for name in names]
    for path, voxels in zip(paths, target.images, strict=True):
        write_image(path, voxels, target.grid.in_ras)
    return paths


def _link(source: Path, folder: Path, name: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    link = folder / f"{name}{_ending(source)}"
    os.symlink(source.resolve(), link)
    return link


def _ending(path: Path) -> str:
    return ".nii.gz" if path.name.endswith(".nii.gz") else path.suffix


def _renumbered(case: TrainingCase, values: tuple[int, ...], folder: Path) -> Path:
    """Writes a case's label map with label indices in place of values, the one above them where nothing is known."""
    reference = case.read_reference()
    path = folder / f"{case.name}.nii.gz"
    index = np.where(reference == UNKNOWN, len(values), np.searchsorted(values, reference))
    write_image(path, index.astype(np.int16), case.read_target().grid.in_ras)
    return path
