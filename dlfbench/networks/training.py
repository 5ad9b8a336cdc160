"""The training loop that deep label fusion and the 3D U-Net share.

Everything random in a step derives from (seed, step): a run that was killed goes on from its checkpoint to the same
weights as one that was not.
"""

import csv
import logging
import math
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from dlfbench.files import is_intact, write_checked, write_whole
from dlfbench.networks.presets import Schedule
from dlfbench.segmenters.interface import Context
from dlfbench.segmenters.packing import CHECKPOINT

log = logging.getLogger(__name__)

MODEL = "model.pt"
CURVES = "curves.csv"
_AHEAD = 2
_MILESTONES = (12 / 35, 18 / 35, 23 / 35)
_DECAY = 0.2
_RISE = 0.05  # share of a cycle
_MAX_SKIPPED = 20


@dataclass(frozen=True)
class TrainingSettings:
    """How long and how a network is trained.

    Attributes:
        steps: Updates of the weights.
        learning_rate: The highest.
        schedule: `cycle`: AdamW; the rate rises, then falls to nothing (Smith 2018). `steps`: Adam, times 0.2 after 12,
            18 and 23 of 35 parts (Xie 2023).
        average_decay: Of the running average of the weights; 0: the last ones are used.
        weight_decay: Of the optimizer.
        clip: Largest norm of the gradient.
        validate_every: Steps between validations.
        save_every: Steps between checkpoints.
    """

    steps: int
    learning_rate: float = 2e-3
    schedule: Schedule = "cycle"
    average_decay: float = 0.995
    weight_decay: float = 1e-4
    clip: float = 1.0
    validate_every: int = 100
    save_every: int = 50


class Problem(Protocol):
    """What is learned: samples, their loss, and a validation on training cases."""

    def draw(self, rng: np.random.Generator) -> Any:
        """A training sample as tensors on the CPU."""
        ...

    def loss(self, model: nn.Module, sample: Any) -> Tensor:
        """The loss of a sample, already on the device."""
        ...

    def validate(self, model: nn.Module) -> float:
        """Mean Dice of some training cases, without augmentation."""
        ...


def train(model: nn.Module, problem: Problem, budget: TrainingSettings, context: Context) -> None:
    """Trains the model; leaves `model.pt`, the running average of its weights, and `curves.csv` in the folder.

    Args:
        model: On the context's device, in channels_last_3d.
        problem: Samples and loss.
        budget: Length and step size.
        context: Folder, seed, device, progress.

    Raises:
        RuntimeError: The loss is not finite over and over, or memory does not suffice.
    """
    optimizer, scheduler = _optimizer(model, budget)
    averaged = AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(budget.average_decay))
    state = _State(model, optimizer, scheduler, averaged, context.folder / CHECKPOINT)
    state.load()
    started, first = time.monotonic(), state.step
    for step, sample in _samples(problem, context.seed, first, budget.steps):
        model.train()
        with _dropout_of(context.seed, step, context.device), autocast(context.device):
            loss = problem.loss(model, _to_device(sample, context.device))
        state.learn(loss, step, clip=budget.clip)
        state.step = step + 1
        last = state.step == budget.steps
        if state.step % budget.validate_every == 0 or last:
            state.curves[-1] = (*state.curves[-1][:2], _validate(state.average, problem, context.device))
        if state.step % budget.save_every == 0 or last:
            state.save()
        left_s = (time.monotonic() - started) / (state.step - first) * (budget.steps - state.step)
        context.progress(state.step / budget.steps, state.describe(budget.steps, left_s))
    state.write_curves(context.folder / CURVES)
    write_whole(context.folder / MODEL, lambda path: torch.save(state.average.state_dict(), path))


def read_weights(folder: Path, device: str = "cpu") -> dict[str, Tensor]:
    """The running average of weights that a training left in a folder."""
    weights: dict[str, Tensor] = torch.load(folder / MODEL, weights_only=True, map_location=device)
    return weights


def _optimizer(model: nn.Module, budget: TrainingSettings) -> tuple[Any, Any]:
    """The optimizer, and the scheduler of its rate."""
    rate, decay = budget.learning_rate, budget.weight_decay
    if budget.schedule == "steps":
        optimizer: Any = torch.optim.Adam(model.parameters(), rate, weight_decay=decay)
        milestones = [round(share * budget.steps) for share in _MILESTONES]
        return optimizer, torch.optim.lr_scheduler.MultiStepLR(optimizer, milestones, gamma=_DECAY)
    optimizer = torch.optim.AdamW(model.parameters(), rate, weight_decay=decay)
    # one step more than are taken: the scheduler also steps after the last
    total = budget.steps + 1
    return optimizer, torch.optim.lr_scheduler.OneCycleLR(optimizer, rate, total_steps=total, pct_start=_RISE)


class _State:
    """What a killed run needs to go on: model, its running average, optimizer, scheduler, step and curves."""

    def __init__(self, model: nn.Module, optimizer: Any, scheduler: Any, averaged: AveragedModel, path: Path) -> None:
        self.parts = {"model": model, "optimizer": optimizer, "scheduler": scheduler, "averaged": averaged}
        self.averaged = averaged
        self.model, self.optimizer, self.scheduler, self.path = model, optimizer, scheduler, path
        self.step = self.skipped = 0
        self.curves: list[tuple[int, float, float]] = []

    def learn(self, loss: Tensor, step: int, *, clip: float) -> None:
        """One update; a loss or gradient that is not finite is skipped and told."""
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        loss = loss.detach()
        norm = nn.utils.clip_grad_norm_(self.model.parameters(), clip)
        if torch.isfinite(norm) and torch.isfinite(loss):
            self.optimizer.step()
            self.averaged.update_parameters(self.model)
        else:
            self.skipped += 1
            log.warning("step %d: loss %g, gradient %g: not finite, step skipped", step, float(loss), float(norm))
            if self.skipped > _MAX_SKIPPED:
                raise RuntimeError(f"{self.skipped} steps had no finite loss; lower learning_rate")
        self.scheduler.step()
        self.curves.append((step + 1, float(loss), math.nan))

    @property
    def average(self) -> nn.Module:
        """The model with the running average of its weights: less noisy than the last ones, and what is used."""
        return self.averaged.module

    def save(self) -> None:
        content = {name: part.state_dict() for name, part in self.parts.items()}
        content |= {"step": self.step, "skipped": self.skipped, "curves": self.curves}
        write_checked(self.path, lambda path: torch.save(content, path))

    def load(self) -> None:
        """Goes on from a checkpoint; one that does not fit this model is of other parameters, and is refused."""
        if not is_intact(self.path):
            if self.path.is_file():
                log.warning("%s: damaged; training starts anew", self.path)
            return
        content = torch.load(self.path, weights_only=True, map_location="cpu")
        try:
            for name, part in self.parts.items():
                part.load_state_dict(content[name])
        except (RuntimeError, ValueError, KeyError) as error:
            raise RuntimeError(f"{self.path}: checkpoint of other parameters or labels; remove it") from error
        self.step, self.skipped, self.curves = content["step"], content["skipped"], content["curves"]

    def describe(self, steps: int, left_s: float) -> str:
        recent = float(np.mean([loss for _, loss, _ in self.curves[-20:]]))
        seen = [dice for *_, dice in self.curves if not math.isnan(dice)]
        dice = f", validation Dice {seen[-1]:.3f}" if seen else ""
        return f"step {self.step}/{steps}, loss {recent:.3f}{dice}, about {left_s / 60:.0f} min left"

    def write_curves(self, path: Path) -> None:
        watched = any(not math.isnan(dice) for *_, dice in self.curves)
        columns = 3 if watched else 2

        def write(part: str) -> None:
            with open(part, "w", newline="") as file:
                rows = [("step", "loss", "validation_dice"), *self.curves]
                csv.writer(file).writerows(row[:columns] for row in rows)

        write_whole(path, write)


def _samples(problem: Problem, seed: int, first: int, steps: int) -> Iterator[tuple[int, Any]]:
    """Samples in order, made ahead in a thread so that the network need not wait."""

    def draw(step: int) -> Any:
        return problem.draw(np.random.default_rng([seed, step]))

    with ThreadPoolExecutor(1) as pool:
        waiting = [pool.submit(draw, step) for step in range(first, min(first + _AHEAD, steps))]
        for step in range(first, steps):
            if step + _AHEAD < steps:
                waiting.append(pool.submit(draw, step + _AHEAD))
            yield step, waiting.pop(0).result()


def _validate(model: nn.Module, problem: Problem, device: str) -> float:
    model.eval()
    with torch.no_grad(), autocast(device):
        return problem.validate(model)


@contextmanager
def _dropout_of(seed: int, step: int, device: str) -> Iterator[None]:
    """PyTorch's own generators, which dropout draws from, as in this step of every run; put back afterwards."""
    with torch.random.fork_rng(devices=[device] if device.startswith("cuda") else []):
        torch.manual_seed(int(np.random.SeedSequence([seed, step]).generate_state(1)[0]))
        yield


def autocast(device: str) -> Any:
    """Mixed precision on CUDA. On a CPU casts and pooling in float32 take what bfloat16 saves in convolutions."""
    kind = device.partition(":")[0]
    return torch.autocast(kind, torch.bfloat16, enabled=kind == "cuda")


def _to_device(sample: Any, device: str) -> Any:
    pinned = [part.pin_memory() if device.startswith("cuda") else part for part in sample]
    return type(sample)(*(part.to(device, non_blocking=True) for part in pinned))
