"""Deep label fusion as a method."""

import json
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
import numpy.typing as npt
import torch

from dlfbench.dlf.model import FINE_TUNING_LEVELS, DeepLabelFusion, Parts
from dlfbench.dlf.samples import FusionProblem, Geometry, make_sample, predict
from dlfbench.fusion.votes import winning_labels
from dlfbench.networks.augmentation import Augmentation
from dlfbench.networks.training import Budget, autocast, train
from dlfbench.networks.unet import Architecture, Norm, level_strides, total_stride
from dlfbench.segmenters.interface import Context, Segmenter, Training
from dlfbench.volumes import AtlasSet, Segmentation, Target

_ABOUT = "about.json"
_BYTES_PER_FEATURE = 32  # of one voxel and feature at full resolution, all that is alive at a time in evaluation


@dataclass(frozen=True)
class Preset:
    """Sizes under a name.

    Attributes:
        features: At full resolution.
        steps: Updates; with None, 200 for each training case (20 epochs of 10 patches, as in the paper).
        atlases: Of one training sample.
        learned_supervision: The paper's chains of transposed convolutions for the coarser outputs.
    """

    features: int
    steps: int | None
    atlases: int
    learned_supervision: bool = False


PRESETS = {
    "quick": Preset(8, 60, 4),
    "cpu": Preset(16, 600, 6),
    "paper": Preset(32, None, 10, learned_supervision=True),
}


@dataclass(frozen=True)
class DeepLabelFusionMethod(Segmenter):
    """Deep label fusion: a network weighs the atlases' votes, another refines their consensus (Xie et al. 2023).

    Attributes:
        preset: Sizes and length of training: quick, cpu or paper.
        features: Channels at full resolution; the preset's by default.
        steps: Updates of the weights; the preset's by default.
        atlases: Of one training sample, drawn with replacement; the preset's by default. All are used in the end.
        norm: instance, group or batch (the paper's, with the batch's own statistics).
        voting: The weighted voting subnet; false: every vote counts alike.
        fine_tuning: The fine-tuning subnet; false: the initial consensus is the answer.
        mask: Each label only near where a candidate has it.
        histogram_shift: Random histogram shift of target and of every atlas.
        modaug: Probability that a modality of a training sample becomes white noise.
        margin_vox: Around the box of all candidates.
        patch_vox: Largest edge of a training sample.
        memory_mb: Bound on what one segmentation, and the samples kept in training, take.
    """

    needs_training: ClassVar[bool] = True
    trains_on_atlases: ClassVar[bool] = True
    uses_gpu: ClassVar[bool] = True

    preset: Literal["quick", "cpu", "paper"] = "cpu"
    features: int | None = None
    steps: int | None = None
    atlases: int | None = None
    norm: Norm = "instance"
    voting: bool = True
    fine_tuning: bool = True
    mask: bool = True
    histogram_shift: bool = True
    modaug: float = 0.0
    margin_vox: int = 4
    patch_vox: int = 72
    memory_mb: int = 2048

    def __post_init__(self) -> None:
        if not (self.voting or self.fine_tuning):
            raise ValueError("voting and fine_tuning: without both nothing is left to learn; use mv")
        least = {"features": self.features, "steps": self.steps, "atlases": self.atlases, "patch_vox": self.patch_vox}
        for name, value in {**least, "memory_mb": self.memory_mb}.items():
            if value is not None and value < 1:
                raise ValueError(f"{name}: expected 1 or more, found {value}")
        if self.margin_vox < 0:
            raise ValueError(f"margin_vox: expected 0 or more, found {self.margin_vox}")
        if not 0 <= self.modaug <= 1:
            raise ValueError(f"modaug: expected a probability, 0 to 1, found {self.modaug}")

    def fit(self, training: Training, context: Context) -> None:
        """Trains on every training case with the other people's training cases as its atlases."""
        first = training.cases[0].read_target()
        spacing_mm = first.grid.spacing_mm
        model = self._model(len(training.modalities), len(training.label_values), spacing_mm, context)
        about = {"modalities": len(training.modalities), "spacing_mm": spacing_mm}
        (context.folder / _ABOUT).write_text(json.dumps(about))
        sizes = PRESETS[self.preset]
        problem = FusionProblem(
            training.cases,
            training.cases[:: max(1, len(training.cases) // 3)],
            self._geometry(spacing_mm),
            Augmentation(mirror_axis=_mirror_axis(training), histogram_shift=self.histogram_shift, modaug=self.modaug),
            self.atlases or sizes.atlases,
            self.memory_mb,
        )
        train(model, problem, Budget(self.steps or sizes.steps or 200 * len(training.cases)), context)

    def segment(self, target: Target, atlases: AtlasSet, context: Context) -> Segmentation:
        """Fuses all atlases; the posterior is the scores made to sum to 1."""
        about = json.loads((context.folder / _ABOUT).read_text())
        if len(target.images) != about["modalities"]:
            raise ValueError(f"{target.name}: expected {about['modalities']} modalities, found {len(target.images)}")
        model = self._model(len(target.images), len(atlases.label_values), about["spacing_mm"], context)
        model.load_state_dict(torch.load(context.folder / "model.pt", weights_only=True, map_location=context.device))
        model.eval()
        posterior = np.zeros((len(atlases.label_values), *target.grid.shape), np.float32)
        posterior[0] = 1
        if atlases.labels.any():
            sample = make_sample(target, atlases, self._geometry(about["spacing_mm"]))
            some = max(1, int(self.memory_mb * 2**20 / self._bytes_per_atlas(sample.target)))
            with torch.no_grad(), autocast(context.device):
                posterior[(slice(None), *sample.region.box)] = predict(model, sample, atlases_at_a_time=some)
        return Segmentation(winning_labels(posterior, atlases.label_values), posterior)

    def _model(self, modalities: int, classes: int, spacing_mm: Sequence[float], context: Context) -> DeepLabelFusion:
        sizes = PRESETS[self.preset]
        strides = level_strides(spacing_mm, FINE_TUNING_LEVELS)
        supervision: Literal["learned", "linear"] = "learned" if sizes.learned_supervision else "linear"
        architecture = Architecture(self.features or sizes.features, strides, self.norm, supervision)
        torch.manual_seed(context.seed)
        torch.set_num_threads(context.threads)
        with warnings.catch_warnings():
            model = DeepLabelFusion(modalities, classes, architecture, Parts(self.voting, self.fine_tuning, self.mask))
        return model.to(context.device, memory_format=torch.channels_last_3d)  # type: ignore[call-overload,no-any-return]

    def _geometry(self, spacing_mm: Sequence[float]) -> Geometry:
        multiple = total_stride(level_strides(spacing_mm, FINE_TUNING_LEVELS))
        x, y, z = (-(-self.patch_vox // m) * m for m in multiple)
        return Geometry((self.margin_vox,) * 3, multiple, (x, y, z))

    def _bytes_per_atlas(self, target: npt.NDArray[np.float32]) -> int:
        features = self.features or PRESETS[self.preset].features
        return int(np.prod(target.shape[1:])) * features * _BYTES_PER_FEATURE


def _mirror_axis(training: Training) -> int | None:
    """The left-right axis, where left and right may be exchanged: both are in the training cases, or nobody says."""
    targets = [case.read_target() for case in training.cases]
    sides = {target.columns.get("side") for target in targets}
    if sides == {"L"} or sides == {"R"}:
        return None
    return int(np.abs(np.asarray(targets[0].grid.affine)[0, :3]).argmax())
