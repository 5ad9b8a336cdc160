"""Trained nnU-Net models that somebody else made: found, checked, and matched to a dataset by names."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from dlfbench.segmenters.interface import Training
from dlfbench_baselines.nnunet.correspondence import Correspondence
from dlfbench_baselines.nnunet.dataset import NAME

CHECKPOINT = "checkpoint_final.pth"
PLAIN = ("plans.json", "dataset.json")
_AS_STORED = ("SimpleITKIO", "NibabelIO")  # read voxels as a file stores them
READERS = (*_AS_STORED, "NibabelIOWithReorient")  # the last in RAS, as dlfbench does


def check_model_folder(folder: Path) -> None:
    """Checks that a folder holds a trained model that can be used here.

    Raises:
        ValueError: Files are missing, or the model is of a kind that is not supported.
    """
    lacking = [name for name in PLAIN if not (folder / name).is_file()]
    if not folds_of(folder):
        lacking.append(f"fold_*/{CHECKPOINT}")
    if lacking:
        raise ValueError(
            f"model: {folder} holds no {', no '.join(lacking)}; give the folder of one trained configuration, such as "
            "nnUNet_results/DATASET/TRAINER__PLANS__CONFIGURATION"
        )
    problems = _problems(_read(folder / "plans.json"), _read(folder / "dataset.json"), folder.name)
    if problems:
        raise ValueError("; ".join(f"model: {folder}: {problem}" for problem in problems))


def sees_stored_voxels(folder: Path) -> bool:
    """Whether a trained model learned from voxels as files store them, rather than from images in RAS, as ours do."""
    plans = _read(folder / "plans.json")
    return plans.get("image_reader_writer") in _AS_STORED and plans.get("dataset_name") != NAME


def folds_of(folder: Path) -> tuple[str, ...]:
    """The folds that were trained to the end; they segment together. `all` only where there is no other."""
    found = sorted(path.parent.name.removeprefix("fold_") for path in folder.glob(f"fold_*/{CHECKPOINT}"))
    numbered = tuple(fold for fold in found if fold.isdigit())
    return numbered or tuple(found)


def model_files(folder: Path) -> tuple[Path, ...]:
    """The files that a model's answers depend on."""
    checkpoints = [folder / f"fold_{fold}" / CHECKPOINT for fold in folds_of(folder)]
    return (*(folder / name for name in PLAIN), *checkpoints)


def match_model(folder: Path, training: Training) -> Correspondence:
    """Matches a model's channels and labels to the dataset's by name, whatever their order.

    Raises:
        ValueError: They are not the same, with both.
    """
    header = _read(folder / "dataset.json")
    channels, labels = _channels(header), _labels(header)
    names = training.label_names or tuple(map(str, training.label_values))
    problems = [
        f"{what}: the model's are {list(theirs)}, the dataset's {list(ours)}"
        for what, theirs, ours in (("channels", channels, training.modalities), ("labels", labels[1:], names[1:]))
        if sorted(map(_key, theirs)) != sorted(map(_key, ours))
    ]
    if problems:
        raise ValueError(
            f"model {folder} does not fit the dataset; {'; '.join(problems)}; where they mean the same, "
            "rename them in a copy of the dataset's dataset.json"
        )
    places = {_key(name): index for index, name in enumerate(labels)}
    modalities = {_key(name): index for index, name in enumerate(training.modalities)}
    classes = (0, *(places[_key(name)] for name in names[1:]))
    return Correspondence(tuple(modalities[_key(name)] for name in channels), classes)


def _problems(plans: dict[str, Any], header: dict[str, Any], name: str) -> list[str]:
    problems = []
    reader = plans.get("image_reader_writer")
    if reader not in READERS:
        problems.append(f"it was trained on images read by {reader}, expected one of {', '.join(READERS)}")
    if any(not isinstance(value, int) for value in header["labels"].values()):
        problems.append("it was trained on regions (overlapping labels); only plain labels can be compared")
    if "ignore" in header["labels"]:
        problems.append("it has an ignore label; only plain labels can be compared")
    if "cascade" in name:
        problems.append("it is the second stage of a cascade, which needs the first; give a 3d_fullres or 2d model")
    return problems


def _channels(header: dict[str, Any]) -> tuple[str, ...]:
    names = header.get("channel_names") or header["modality"]
    return tuple(str(names[key]) for key in sorted(names, key=int))


def _labels(header: dict[str, Any]) -> Sequence[str]:
    """Label names by class index."""
    return sorted(header["labels"], key=header["labels"].__getitem__)


def _key(name: str) -> str:
    return name.strip().casefold()


def _read(path: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(path.read_text())
    return content
