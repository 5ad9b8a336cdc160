"""nnU-Net's trainer, with a budget, seeds, progress and checkpoints of ours."""

import csv
import time
from pathlib import Path
from typing import Any

import torch
from batchgenerators.dataloading.nondet_multi_threaded_augmenter import NonDetMultiThreadedAugmenter
from batchgeneratorsv2.transforms.noise.gaussian_blur import GaussianBlurTransform
from batchgeneratorsv2.transforms.utils.random import RandomTransform
from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer
from nnunetv2.training.nnUNetTrainer.variants.optimizer.nnUNetTrainerAdam import nnUNetTrainerAdam

from dlfbench.files import write_checked, write_whole
from dlfbench.hardware import fast_bfloat16
from dlfbench.segmenters.interface import Context
from dlfbench_baselines.nnunet.settings import Plan
from dlfbench_baselines.nnunet.surroundings import seed_everything

_SAVE_EVERY_S = 60.0
_TELL_EVERY_S = 0.5
_NEVER = 10**9


def make_trainer(
    plans: dict[str, Any], header: dict[str, Any], fold: str, plan: Plan, context: Context, *, mirrors: bool = True
) -> Any:
    """A trainer, seeded, ready for `run_training` or `load_checkpoint`.

    Args:
        plans: nnU-Net's plans.
        header: The dataset's `dataset.json`.
        fold: As nnU-Net names folds.
        plan: Configuration and budget.
        context: Seed, device, progress.
        mirrors: Learns from mirrored images too, where the budget is not small.
    """
    seed_everything(context.seed)
    resumes = {**plans, "continue_training": False}
    trainer = BudgetTrainer(resumes, plan.configuration, fold, header, torch.device(context.device.partition(":")[0]))
    trainer.device = torch.device(context.device)  # its own idea is always the first GPU
    trainer.follow(plan, context)
    trainer.mirrors = mirrors and not plan.budget.small
    return trainer


class BudgetTrainer(nnUNetTrainer):  # type: ignore[misc]
    """nnU-Net's own training, shortened to a budget.

    What differs from the original: random numbers are seeded at the start of each epoch, so that on a CPU a training
    that went on from a checkpoint ends with the same weights as one that was not interrupted; on a CPU bfloat16 can be
    used; a checkpoint is written every minute; nothing is plotted.
    """

    seed = 0
    bf16 = small = False
    mirrors = True
    context = Context(Path())
    step = 0

    def follow(self, plan: Plan, context: Context) -> None:
        """Takes budget, seed and progress."""
        self.num_epochs = plan.budget.epochs
        self.num_iterations_per_epoch = plan.budget.iterations
        self.num_val_iterations_per_epoch = plan.budget.validation_iterations
        self.small = plan.budget.small
        self.context, self.seed = context, context.seed
        self.bf16 = use_bfloat16(plan.bf16, context.device)
        self._told = self._saved = self._started = time.monotonic()
        self._first_step: int | None = None
        self.logger.plot_progress_png = lambda folder: None

    def initialize(self) -> None:
        """Builds network and loss, in bfloat16 where asked to, as nnU-Net itself does on a GPU."""
        super().initialize()
        if self.bf16:
            into_bfloat16(self.network)
            self.loss.forward = torch.autocast("cpu", torch.bfloat16)(self.loss.forward)
        elif self.small:
            self.network.to(memory_format=_last(self.network))

    def configure_optimizers(self) -> Any:
        """The original's, or of a small budget those of nnU-Net's own variant `nnUNetTrainerAdam`."""
        return nnUNetTrainerAdam.configure_optimizers(self) if self.small else super().configure_optimizers()

    def configure_rotation_dummyDA_mirroring_and_inital_patch_size(self) -> Any:
        """The original's; where nothing is mirrored, as in `nnUNetTrainerNoMirroring`."""
        *others, axes = super().configure_rotation_dummyDA_mirroring_and_inital_patch_size()
        if not self.mirrors:
            self.inference_allowed_mirroring_axes = axes = None
        return *others, axes

    @staticmethod
    def get_training_transforms(*arguments: Any, **settings: Any) -> Any:
        """The original's, without the choice between two kinds of blur by a stop-watch: it differs from run to run."""
        transforms = nnUNetTrainer.get_training_transforms(*arguments, **settings)
        for transform in transforms.transforms:
            inner = transform.transform if isinstance(transform, RandomTransform) else transform
            if isinstance(inner, GaussianBlurTransform):
                inner.benchmark = False
        return transforms

    def plot_network_architecture(self) -> None:
        """Nothing: it needs a library that nobody has."""

    def _save_debug_information(self) -> None:
        """Nothing: it would name the machine."""

    def on_train_epoch_start(self) -> None:
        """Seeds the epoch."""
        seed_everything(self.seed, self.current_epoch)
        self.step = self.current_epoch * self.num_iterations_per_epoch
        super().on_train_epoch_start()

    def train_step(self, batch: dict[str, Any]) -> dict[str, Any]:
        """One step, and tells about it."""
        if self._first_step is None:
            self._first_step, self._started = self.step, time.monotonic()
        outcome: dict[str, Any] = super().train_step(batch)
        self.step += 1
        if time.monotonic() - self._told > _TELL_EVERY_S:
            self._tell(float(outcome["loss"]))
        return outcome

    def _tell(self, loss: float) -> None:
        self._told = time.monotonic()
        steps = self.num_epochs * self.num_iterations_per_epoch
        left_s = (self._told - self._started) / (self.step - (self._first_step or 0)) * (steps - self.step)
        text = f"epoch {self.current_epoch + 1}/{self.num_epochs}, loss {loss:.3f}, about {left_s / 60:.0f} min left"
        self.context.progress(self.step / steps, text)

    def on_epoch_end(self) -> None:
        """Saves a checkpoint if the last is a minute old."""
        self.save_every = 1 if time.monotonic() - self._saved > _SAVE_EVERY_S else _NEVER
        super().on_epoch_end()

    def save_checkpoint(self, filename: str) -> None:
        """Writes a checkpoint whole or not at all; the best one is not kept, because the last is used."""
        if filename.endswith("checkpoint_best.pth"):
            return
        write_checked(Path(filename), super().save_checkpoint)
        self._saved = time.monotonic()

    def on_train_end(self) -> None:
        """Leaves curves beside the checkpoint."""
        _write_curves(self.context.folder / "curves.csv", self.logger)
        super().on_train_end()

    def end_loaders(self) -> None:
        """Ends loader processes, however training ended."""
        for loader in (self.dataloader_train, self.dataloader_val):
            if isinstance(loader, NonDetMultiThreadedAugmenter):
                loader._finish()


# stock nnU-Net finds a trainer by its name: what is left here is a model that it can use, and so can model=FOLDER
BudgetTrainer.__name__ = nnUNetTrainer.__name__


def use_bfloat16(wanted: bool | None, device: str) -> bool:
    """Whether to work in bfloat16: on a CPU, where it is wanted, or nothing is said and it is fast."""
    return device == "cpu" and (fast_bfloat16() if wanted is None else wanted)


def into_bfloat16(network: Any) -> None:
    """Lets a network compute in bfloat16 on the CPU, laid out as that needs it; its weights keep their precision."""
    network.to(memory_format=_last(network))
    network.forward = torch.autocast("cpu", torch.bfloat16)(network.forward)


def _last(network: Any) -> torch.memory_format:
    """Channels last, which a CPU is faster with."""
    three_d = any(isinstance(module, torch.nn.Conv3d) for module in network.modules())
    return torch.channels_last_3d if three_d else torch.channels_last


def _write_curves(path: Path, logger: Any) -> None:
    names = {"loss": "train_losses", "validation_loss": "val_losses", "dice": "mean_fg_dice"}
    curves = [logger.get_value(key, step=None) for key in names.values()]
    rows = [(epoch + 1, *map(float, values)) for epoch, values in enumerate(zip(*curves, strict=True))]

    def write(part: str) -> None:
        with open(part, "w", newline="") as file:
            csv.writer(file).writerows([("epoch", *names), *rows])

    write_whole(path, write)
