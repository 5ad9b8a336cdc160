"""A trained nnU-Net as files without pickle."""

import json
import shutil
from pathlib import Path

import torch

from dlfbench.segmenters.packing import read_tensors, write_tensors
from dlfbench_baselines.nnunet.pretrained import CHECKPOINT, PLAIN

_WEIGHTS, _ABOUT = "weights.npz", "checkpoint.json"
_KEPT = ("trainer_name", "inference_allowed_mirroring_axes")


def pack_model(folder: Path, fold: str, out: Path) -> None:
    """Leaves in a folder what predicting needs of a trained model.

    Args:
        folder: Of the trained configuration.
        fold: As nnU-Net names it.
        out: Where it is left.
    """
    for name in PLAIN:
        shutil.copyfile(folder / name, out / name)
    # our own checkpoint, which the run's checksums have been asked about
    checkpoint = torch.load(folder / f"fold_{fold}" / CHECKPOINT, map_location="cpu", weights_only=False)
    write_tensors(checkpoint["network_weights"], out / _WEIGHTS)
    about = {name: checkpoint[name] for name in _KEPT} | {"configuration": checkpoint["init_args"]["configuration"]}
    (out / _ABOUT).write_text(json.dumps(about))


def unpack_model(packed: Path, fold: str, folder: Path) -> None:
    """Makes of it a folder from which nnU-Net can predict; it cannot go on training."""
    (folder / f"fold_{fold}").mkdir(parents=True)
    for name in PLAIN:
        shutil.copyfile(packed / name, folder / name)
    about = json.loads((packed / _ABOUT).read_text())
    checkpoint = {name: about[name] for name in _KEPT}
    checkpoint |= {"init_args": {"configuration": about["configuration"]}}
    torch.save(checkpoint | {"network_weights": read_tensors(packed / _WEIGHTS)}, folder / f"fold_{fold}" / CHECKPOINT)
