"""nnU-Net as a method."""

from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import ClassVar, Literal

from dlfbench.errors import InputError
from dlfbench.fusion.votes import winning_labels
from dlfbench.images import as_read, as_stored
from dlfbench.segmenters.interface import Context, Segmenter, Training
from dlfbench.volumes import AtlasSet, Segmentation, Target
from dlfbench_baselines.nnunet.correspondence import Correspondence
from dlfbench_baselines.nnunet.dataset import FOLD, Workplace
from dlfbench_baselines.nnunet.pretrained import (
    CHECKPOINT,
    PLAIN,
    check_model_folder,
    match_model,
    model_files,
    sees_stored_voxels,
)
from dlfbench_baselines.nnunet.settings import Budget, Configuration, Plan, Planner

if find_spec("nnunetv2") is None:  # asked without importing it, which takes seconds
    raise ModuleNotFoundError("No module named 'nnunetv2'", name="nnunetv2")

SHARED_NAME = "Dataset900_dlfbench"
"""What other people's nnU-Net calls the data set of a model that is passed on."""

PRESETS = {
    "quick": Budget(epochs=14, iterations=20, validation_iterations=1, small=True),
    "cpu": Budget(epochs=50, iterations=20, validation_iterations=1),
    "paper": Budget(epochs=1000, iterations=250, validation_iterations=50),
}


@dataclass(frozen=True)
class NnUNet(Segmenter):
    """nnU-Net: plans and trains a U-Net on the fold's training cases, by itself (Isensee et al. 2021).

    Attributes:
        preset: Length of training: quick (and a small network: see `Budget.small`), cpu, or paper (nnU-Net's own 1000
            epochs of 250 steps).
        configuration: 3d_fullres, 3d_lowres (planned for large images only) or 2d.
        planner: default, or nnU-Net's residual encoders resenc-m, resenc-l, resenc-xl.
        epochs: The preset's by default.
        iterations: Steps of one epoch; the preset's by default.
        validation_iterations: Batches after each epoch whose Dice is shown; the preset's by default.
        mirroring: Average over mirrored images when segmenting, where training saw such.
        bf16: Train in bfloat16 on a CPU; by default where the CPU has matrix units for it (AMX).
        model: Folder of a trained model (it holds plans.json); it is used as it is, and nothing is trained.
    """

    needs_atlases: ClassVar[bool] = False
    learns_from_partial: ClassVar[bool] = True
    uses_gpu: ClassVar[bool] = True

    preset: Literal["quick", "cpu", "paper"] = "cpu"
    configuration: Configuration = "3d_fullres"
    planner: Planner = "default"
    epochs: int | None = None
    iterations: int | None = None
    validation_iterations: int | None = None
    mirroring: bool = True
    bf16: bool | None = None
    model: str | None = None

    def __post_init__(self) -> None:
        for name in ("epochs", "iterations", "validation_iterations"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ValueError(f"{name}: expected 1 or more, found {value}")
        if self.model is not None:
            object.__setattr__(self, "model", str(Path(self.model).resolve()))  # workers may start elsewhere
            check_model_folder(Path(self.model))

    @property
    def code_files(self) -> tuple[Path, ...]:
        """The files of the trained model."""
        return () if self.model is None else model_files(Path(self.model))

    def fit(self, training: Training, context: Context) -> None:
        """Plans, preprocesses and trains; an interrupted training goes on from its last checkpoint."""
        if self.model is not None:
            match_model(Path(self.model), training).save(context.folder)
            return
        from dlfbench_baselines.nnunet.fitting import fit_model

        fit_model(training, self._plan(), context)
        Correspondence.straight(len(training.modalities), len(training.label_values)).save(context.folder)

    def segment(self, target: Target, atlases: AtlasSet, context: Context) -> Segmentation:
        """Sliding windows over the image, with nnU-Net's own preprocessing and resampling."""
        from dlfbench_baselines.nnunet.prediction import predict

        matched, grid = Correspondence.load(context.folder), target.grid.in_ras
        if self.model is None:
            folder = Workplace(context.folder).model_folder(self._plan())  # its training images were in RAS
        else:
            folder = Path(self.model)
            grid = target.grid if sees_stored_voxels(folder) else grid
        images = as_stored(matched.images(target), grid)
        found = predict(folder, images, grid.stored_spacing_mm, self._plan(), context)
        posterior = as_read(matched.posterior(found), grid)
        return Segmentation(winning_labels(posterior, atlases.label_values), posterior)

    def pack(self, folder: Path, out: Path) -> None:
        """Plans, weights as arrays, and what belongs to them."""
        from dlfbench_baselines.nnunet.packed import pack_model

        self._check_own()
        pack_model(Workplace(folder).model_folder(self._plan()), FOLD, out)
        Correspondence.load(folder).save(out)

    def unpack(self, folder: Path, out: Path) -> None:
        """The folder of a trained configuration, as nnU-Net has it."""
        from dlfbench_baselines.nnunet.packed import unpack_model

        unpack_model(folder, FOLD, Workplace(out).model_folder(self._plan()))
        Correspondence.load(folder).save(out)

    def own_files(self, folder: Path, fold: int) -> dict[str, Path]:
        """What `nnUNetv2_install_pretrained_model_from_zip` installs."""
        self._check_own()
        model = Workplace(folder).model_folder(self._plan())
        root = f"{SHARED_NAME}/{model.name}"
        plain = {f"{root}/{name}": model / name for name in PLAIN}
        return {**plain, f"{root}/fold_{fold}/{CHECKPOINT}": model / f"fold_{FOLD}" / CHECKPOINT}

    def _check_own(self) -> None:
        if self.model is not None:
            raise InputError(f"nnunet: its model was trained elsewhere and is not packed; pass on {self.model} itself")

    def _plan(self) -> Plan:
        preset = PRESETS[self.preset]
        budget = Budget(
            self.epochs or preset.epochs,
            self.iterations or preset.iterations,
            self.validation_iterations or preset.validation_iterations,
            preset.small,
        )
        return Plan(self.configuration, self.planner, budget, self.mirroring, self.bf16)
