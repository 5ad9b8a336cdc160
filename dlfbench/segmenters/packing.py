"""Models as files that anybody may open: a network's tensors as arrays (`.npz`) and no pickle, which can run code."""

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from dlfbench.errors import InputError

CHECKPOINT = "checkpoint.pt"
"""What training goes on from: not needed, and large."""

_PICKLES = (".pt", ".pth", ".pkl", ".pickle")


def pack_files(folder: Path, out: Path) -> None:
    """Copies a model's files, networks as arrays; checkpoints are left out.

    Raises:
        InputError: A pickled file holds more than the tensors of a network.
    """
    for path in (path for path in sorted(folder.rglob("*")) if path.is_file()):
        place = out / path.relative_to(folder)
        if path.name.startswith(CHECKPOINT):
            continue
        place.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix in _PICKLES:
            write_tensors(_read_network(path), place.with_name(f"{place.name}.npz"))
        else:
            shutil.copyfile(path, place)


def unpack_files(folder: Path, out: Path) -> None:
    """Makes of packed files what they were made from."""
    import torch

    for path in (path for path in sorted(folder.rglob("*")) if path.is_file()):
        place = out / path.relative_to(folder)
        place.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix == ".npz" and Path(path.stem).suffix in _PICKLES:
            torch.save(read_tensors(path), place.with_name(path.stem))
        else:
            shutil.copyfile(path, place)


def write_tensors(tensors: Mapping[str, Any], path: Path) -> None:
    """Writes tensors by name as arrays."""
    arrays = {name: tensor.detach().cpu().numpy() for name, tensor in tensors.items()}
    np.savez(path, allow_pickle=False, **arrays)  # type: ignore[arg-type]


def read_tensors(path: Path) -> dict[str, Any]:
    """Reads what `write_tensors` wrote."""
    import torch

    with np.load(path, allow_pickle=False) as arrays:
        return {name: torch.from_numpy(np.array(arrays[name])) for name in arrays}


def _read_network(path: Path) -> dict[str, Any]:
    import torch

    try:
        state = torch.load(path, weights_only=True, map_location="cpu")
        return {name: tensor.detach() for name, tensor in state.items()}
    except Exception as error:  # whatever a stranger's file holds
        raise InputError(
            f"{path.name}: holds more than a network's tensors, and is not packed ({type(error).__name__}); a method "
            "says by `pack` and `unpack` how its models are packed"
        ) from None
