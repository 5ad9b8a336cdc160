"""nnU-Net takes much from its process: environment variables, random numbers, threads. All is put back afterwards."""

import random
import warnings
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from multiprocessing.pool import ThreadPool
from types import ModuleType
from typing import Any

import numpy as np
import torch

from dlfbench.networks.surroundings import compiled_in, environment
from dlfbench.segmenters.interface import Context
from dlfbench_baselines.nnunet.safe_reading import data_alone


@contextmanager
def surroundings(variables: Mapping[str, str], context: Context) -> Iterator[None]:
    """What nnU-Net needs around it, for the body alone.

    Args:
        variables: Environment variables, such as where it finds its folders.
        context: Threads, seed and device.
    """
    threads = str(context.threads)
    always = {"nnUNet_compile": "f", "nnUNet_wandb_enabled": "0", "nnUNet_def_n_proc": threads}
    with ExitStack() as stack:
        stack.enter_context(compiled_in(context.folder))  # the folder is made when nnU-Net is imported
        stack.enter_context(environment({**always, "nnUNet_n_proc_DA": threads, **variables}))
        stack.enter_context(data_alone())
        stack.enter_context(_random_numbers(context.device))
        stack.enter_context(_threads(context.threads))
        stack.enter_context(warnings.catch_warnings())
        warnings.simplefilter("default")  # they go to the log, whatever is made of warnings elsewhere
        yield


def seed_everything(*parts: int) -> None:
    """Seeds the random numbers that all code of the process shares: nnU-Net knows no others."""
    words = np.random.SeedSequence([part % 2**32 for part in parts]).generate_state(3)
    random.seed(int(words[0]))
    np.random.seed(int(words[1]))  # noqa: NPY002
    torch.manual_seed(int(words[2]))


@contextmanager
def _random_numbers(device: str) -> Iterator[None]:
    numbers, legacy = random.getstate(), np.random.get_state()  # noqa: NPY002
    try:
        with torch.random.fork_rng(devices=[device] if device.startswith("cuda") else []):
            yield
    finally:
        random.setstate(numbers)
        np.random.set_state(legacy)  # noqa: NPY002


@contextmanager
def _threads(count: int) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


class _Threads:
    """Stands in for the module `multiprocessing`: pools of threads in place of pools of processes."""

    Pool = ThreadPool

    @classmethod
    def get_context(cls, method: str) -> type["_Threads"]:
        return cls


@contextmanager
def threads_for_processes(*modules: ModuleType) -> Iterator[None]:
    """Lets modules of nnU-Net start threads where they would start processes.

    A process of its own for each would import PyTorch first, must not be started from some processes, and may be left
    behind by a crash.
    """
    before: dict[Any, Any] = {module: module.multiprocessing for module in modules}
    try:
        for module in modules:
            module.multiprocessing = _Threads  # type: ignore[attr-defined]
        yield
    finally:
        for module, found in before.items():
            module.multiprocessing = found
