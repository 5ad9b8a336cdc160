"""nnU-Net reads checkpoints and properties of images as pickles, which can run any code. Here they hold data alone.

A run folder may come from anybody, and is continued and segmented with by one command.
"""

import pickle
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch

# by the names that NumPy 1 and 2 give them
_NUMBERS: list[Any] = [
    *((np.float64(0).__reduce__()[0], f"numpy.{core}.multiarray.scalar") for core in ("core", "_core")),
    np.dtype,
    *{type(np.dtype(kind)) for kind in ("f2", "f4", "f8", "i4", "i8", "?")},
]
_ARRAYS = {"_reconstruct", "ndarray", "dtype", "scalar", "_frombuffer"}


class _Data(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if module.partition(".")[0] == "numpy" and name in _ARRAYS:
            return super().find_class(module, name)
        raise pickle.UnpicklingError(f"{module}.{name} is more than data")


@contextmanager
def data_alone() -> Iterator[None]:
    """In the body, what PyTorch and nnU-Net load is refused where it is more than weights, numbers and texts."""
    from nnunetv2.training.dataloading import nnunet_dataset

    load, load_pickle = torch.load, nnunet_dataset.load_pickle

    def weights(*arguments: Any, **settings: Any) -> Any:
        with torch.serialization.safe_globals(_NUMBERS):
            return load(*arguments, **{**settings, "weights_only": True})

    torch.load, nnunet_dataset.load_pickle = weights, _read_properties
    try:
        yield
    finally:
        torch.load, nnunet_dataset.load_pickle = load, load_pickle


def _read_properties(path: str, mode: str = "rb") -> Any:
    with open(path, mode) as file:
        return _Data(file).load()
