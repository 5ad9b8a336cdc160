"""Segments one image with a trained nnU-Net, in this process."""

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from dlfbench.segmenters.interface import Context
from dlfbench_baselines.nnunet.pretrained import CHECKPOINT, folds_of
from dlfbench_baselines.nnunet.settings import Plan
from dlfbench_baselines.nnunet.surroundings import surroundings


def predict(
    folder: Path,
    images: npt.NDArray[np.float32],
    spacing_mm: tuple[float, ...],
    plan: Plan,
    context: Context,
) -> npt.NDArray[np.float32]:
    """The model's posterior.

    Args:
        folder: Of the trained model; its folds are averaged.
        images: (channel, x, y, z) in the model's order.
        spacing_mm: Along (x, y, z).
        plan: Mirroring and precision.
        context: Device and threads.

    Returns:
        (class, x, y, z), sums to 1 over classes.
    """
    with surroundings({}, context):
        predictor = _predictor(folder, plan, context)
        # nnU-Net has the axes as (z, y, x)
        voxels = np.ascontiguousarray(images.transpose(0, 3, 2, 1))
        preprocessor = predictor.configuration_manager.preprocessor_class(verbose=False)
        data, _, properties = preprocessor.run_case_npy(
            voxels,
            None,
            {"spacing": list(spacing_mm[::-1])},
            predictor.plans_manager,
            predictor.configuration_manager,
            predictor.dataset_json,
        )
        logits = predictor.predict_logits_from_preprocessed_data(torch.from_numpy(data))
        posterior = _on_grid_of_image(predictor, logits, properties, context.threads)
    return np.ascontiguousarray(posterior.transpose(0, 3, 2, 1), dtype=np.float32)


def _predictor(folder: Path, plan: Plan, context: Context) -> Any:
    from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor

    from dlfbench_baselines.nnunet.training import into_bfloat16, use_bfloat16

    on_gpu = context.device.startswith("cuda")
    predictor = nnUNetPredictor(
        use_mirroring=plan.mirroring,
        perform_everything_on_device=on_gpu,
        device=torch.device(context.device),
        allow_tqdm=False,
    )
    predictor.initialize_from_trained_model_folder(str(folder), folds_of(folder), CHECKPOINT)
    if use_bfloat16(plan.bf16, context.device):
        into_bfloat16(predictor.network)
    return predictor


def _on_grid_of_image(predictor: Any, logits: Any, properties: dict[str, Any], threads: int) -> npt.NDArray[Any]:
    """Posterior (class, z, y, x) on the image's own grid."""
    from nnunetv2.inference import export_prediction

    _, posterior = export_prediction.convert_predicted_logits_to_segmentation_with_correct_shape(
        logits,
        predictor.plans_manager,
        predictor.configuration_manager,
        predictor.label_manager,
        properties,
        return_probabilities=True,
        num_threads_torch=threads,
    )
    return np.asarray(posterior)
