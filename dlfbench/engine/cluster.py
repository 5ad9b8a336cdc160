"""Where tasks run: workers in this process, a Dask scheduler that is already there, or jobs of Slurm."""

import logging
import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from dlfbench.engine.trouble import RunStopped
from dlfbench.engine.worker import set_cards
from dlfbench.errors import InputError

log = logging.getLogger(__name__)

SLURM = "slurm"

_PATIENCE = {
    # Tasks run in other processes, so nothing here blocks the loop; a slow machine must not look like a dead one.
    "distributed.scheduler.worker-ttl": None,
    "distributed.comm.timeouts.connect": "60s",
    # A fit goes on from its checkpoint in the next job of Slurm.
    "distributed.scheduler.allowed-failures": 20,
    "distributed.deploy.lost-worker-timeout": "5s",
}
_FIRST_WORD_S = 10.0
_LAST_WORD_S = 600.0


@dataclass(frozen=True)
class Resources:
    """What a run may use.

    Attributes:
        workers: Tasks at a time on this machine; with Slurm, jobs at a time.
        scheduler: Address of a Dask scheduler to use instead, such as `tcp://host:8786`, or `slurm`.
        gpus: Cards that GPU tasks share out among themselves; 0 for none.
        limit_s: Time limit of a registration, fit or segmentation.
    """

    workers: int
    scheduler: str | None = None
    gpus: int = 0
    limit_s: float | None = None


@dataclass
class Workers:
    """A Dask client and what is known of its workers.

    Attributes:
        client: To submit to.
        where: They are, for messages.
        replace: Asks for others in place of those that ended.
        advice: What to do where there are none.
    """

    client: Any
    where: str
    replace: Callable[[], None] = lambda: None
    advice: str = ""
    _without_since: float | None = field(default=None, init=False)
    _next_word_s: float = field(default=_FIRST_WORD_S, init=False)

    def look(self) -> None:
        """Replaces workers that ended, and says so where none is left: at first soon, then ever more seldom.

        Raises:
            RunStopped: The scheduler is gone.
        """
        if self.client.status not in ("running", "connecting"):
            raise RunStopped(f"{self.where}: the scheduler is gone")
        self.replace()
        if self.client.status == "running" and self.client.nthreads():
            self._without_since, self._next_word_s = None, _FIRST_WORD_S
            return
        self._without_since = self._without_since or time.monotonic()
        waited_s = time.monotonic() - self._without_since
        if waited_s >= self._next_word_s:
            log.warning("%s: no worker for %.0f s; %s", self.where, waited_s, self.advice)
            self._next_word_s = waited_s + min(waited_s, _LAST_WORD_S)


@contextmanager
def connect(resources: Resources) -> Iterator[Workers]:
    """A Dask client; the cluster that was started for it ends with it.

    Raises:
        InputError: The scheduler does not answer, or Slurm cannot be used as it is configured.
    """
    import dask
    from distributed import Client

    logging.getLogger("distributed").setLevel(logging.CRITICAL)  # what fails is told by us, as a result
    with dask.config.set(_PATIENCE):
        if resources.scheduler is None:
            with _local(resources) as cluster, Client(cluster) as client:
                yield Workers(client, "this machine")
        elif resources.scheduler == SLURM:
            with _slurm(resources) as cluster, Client(cluster) as client:

                def replace() -> None:
                    cluster.scale(jobs=resources.workers)

                yield Workers(client, SLURM, replace, "waiting for its jobs to start: squeue says why they do not")
        else:
            advice = f"start some with: dask worker {resources.scheduler}"
            with _client_of(resources.scheduler) as client:
                yield Workers(client, resources.scheduler, advice=advice)


def count_gpus(device: str, scheduler: str | None = None) -> int:
    """GPUs to use for a device of `auto`, `cpu` or `cuda`.

    Here, PyTorch is asked, and only where there can be one; of a scheduler's workers those that were declared
    (`--resources GPU=1`) count; a job of Slurm has one where `cuda` is asked for.
    """
    if device == "cpu":
        return 0
    if scheduler == SLURM:
        return int(device == "cuda")
    if scheduler:
        return _declared_gpus(device, scheduler)
    if device == "auto" and shutil.which("nvidia-smi") is None:
        return 0
    import torch

    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if device == "cuda" and not count:
        log.warning("--device cuda: PyTorch sees no GPU; running on the CPU")
    return count


def default_workers() -> int:
    """Processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _declared_gpus(device: str, scheduler: str) -> int:
    with _client_of(scheduler) as client:
        workers = client.scheduler_info(n_workers=-1)["workers"].values()
    count = int(sum(worker["resources"].get("GPU", 0) for worker in workers))
    if device == "cuda" and not count:
        log.warning("--device cuda: no worker of %s declares a GPU (--resources GPU=1); running on the CPU", scheduler)
    return count


def _client_of(scheduler: str | None) -> Any:
    from distributed import Client

    try:
        return Client(scheduler, timeout="20s")
    except (OSError, ValueError) as error:
        raise InputError(
            f"--scheduler {scheduler}: no Dask scheduler answers there ({type(error).__name__}: {error}); start one "
            f"with: dask scheduler; or give {SLURM!r}"
        ) from None


def _local(resources: Resources) -> Any:
    """A cluster inside this process whose threads each own a child process."""
    from distributed import LocalCluster

    set_cards(resources.gpus)
    return LocalCluster(
        n_workers=1,
        threads_per_worker=resources.workers,
        processes=False,
        memory_limit=0,
        dashboard_address="127.0.0.1:0",
        worker_dashboard_address="127.0.0.1:0",
        resources={"GPU": resources.gpus} if resources.gpus else None,
        silence_logs=logging.CRITICAL,
    )


def _slurm(resources: Resources) -> Any:
    """Jobs of Slurm as Dask's configuration describes them (`jobqueue.slurm`), each with one GPU if any are used.

    A job is one Dask worker: several would declare the job's one GPU several times.
    """
    try:
        from dask_jobqueue.slurm import SLURMCluster
    except ModuleNotFoundError:
        raise InputError(
            f"--scheduler {SLURM}: dask-jobqueue is not installed; run: pip install 'dlfbench[slurm]'"
        ) from None
    if shutil.which("sbatch") is None:
        raise InputError(f"--scheduler {SLURM}: no sbatch here; start dlfbench on a machine that can submit jobs")
    try:
        cluster = SLURMCluster(processes=1, worker_extra_args=["--resources", "GPU=1"] if resources.gpus else [])
    except ValueError as error:
        raise InputError(
            f"--scheduler {SLURM}: {error}; describe a job (cores, memory, queue, walltime) under jobqueue.slurm in "
            "~/.config/dask/jobqueue.yaml, or by variables such as DASK_JOBQUEUE__SLURM__CORES"
        ) from None
    cluster.scale(jobs=resources.workers)
    return cluster
