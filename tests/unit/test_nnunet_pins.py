"""What dlfbench relies on in nnU-Net, and says of it: each test fails when the library does otherwise.

Every pin is a function of the library's own function, and is run a second time against the behaviour one would guess.
"""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

pytest.importorskip("nnunetv2", exc_type=ImportError)

SHAPE = (4, 5, 6)


class Constant(torch.nn.Module):
    """A network that says the same everywhere: its parameters."""

    def __init__(self) -> None:
        super().__init__()
        self.logits = torch.nn.Parameter(torch.zeros(2))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.logits.detach().reshape(1, 2, 1, 1, 1).expand(1, 2, *x.shape[2:]).clone()


def predictor_of(folds: list[tuple[float, float]]) -> Any:
    """A predictor of several folds of a constant network on the CPU."""
    from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor

    made = nnUNetPredictor(
        use_mirroring=False, perform_everything_on_device=False, device=torch.device("cpu"), allow_tqdm=False
    )
    made.network = Constant()
    made.list_of_parameters = [{"logits": torch.tensor(fold)} for fold in folds]
    made.configuration_manager = SimpleNamespace(patch_size=SHAPE)
    made.label_manager = SimpleNamespace(num_segmentation_heads=2)
    made.allowed_mirroring_axes = None
    return made


# one sure fold for label 1, two less sure ones for label 0
FOLDS = [(0.0, 10.0), (3.0, 0.0), (3.0, 0.0)]


def pin_ensemble(predict: Callable[[], torch.Tensor]) -> None:
    """Logits are averaged: the sure fold wins; of probabilities it would lose. Kept in 16 bits."""
    logits = predict()
    assert logits.dtype == torch.float16
    assert logits.float().argmax(dim=0).unique().tolist() == [1]
    assert torch.allclose(logits.float()[:, 0, 0, 0], torch.tensor(FOLDS).mean(dim=0), atol=0.02)


def of_nnunet() -> torch.Tensor:
    predicted: torch.Tensor = predictor_of(FOLDS).predict_logits_from_preprocessed_data(torch.ones(1, *SHAPE))
    return predicted


def of_mean_probabilities() -> torch.Tensor:
    mean = torch.tensor(FOLDS).softmax(dim=1).mean(dim=0).log()
    return mean.reshape(2, 1, 1, 1).expand(2, *SHAPE).half()


def test_folds_are_ensembled_by_the_mean_of_16_bit_logits() -> None:
    pin_ensemble(of_nnunet)


@pytest.mark.parametrize("other", [of_mean_probabilities, lambda: of_nnunet().float()])
def test_that_pin_fails_for_mean_probabilities_and_for_32_bits(other: Callable[[], torch.Tensor]) -> None:
    with pytest.raises(AssertionError):
        pin_ensemble(other)


Crop = Callable[..., tuple[Any, Any, Any]]


def _touching_zeros() -> tuple[Any, Any]:
    """An image of non-zero voxels 1 to 4 along z with a zero at an inner corner, and a label from 3 to 5."""
    image, label = np.zeros((1, 6, 6, 8), np.float32), np.zeros((1, 6, 6, 8), np.int8)
    image[0, 1:5, 1:5, 1:5] = 7
    image[0, 1, 1, 1:3] = 0
    label[0, 2:4, 2:4, 3:6] = 1
    return image, label


def pin_crop(crop: Crop) -> None:
    """The box of non-zero voxels is all there is; in it, -1 where image and label are zero."""
    image, label = _touching_zeros()
    cropped, kept, box = crop(image, label.copy())
    assert [list(side) for side in box] == [[1, 5]] * 3
    assert cropped.shape == (1, 4, 4, 4)
    assert ((kept == 1).sum(), (label == 1).sum()) == (8, 12)
    assert kept[0, 0, 0].tolist() == [-1, -1, 0, 0]
    assert (kept == -1).sum() == 2


def test_what_is_outside_of_the_box_of_non_zero_voxels_is_cut_off() -> None:
    from nnunetv2.preprocessing.cropping.cropping import crop_to_nonzero

    pin_crop(crop_to_nonzero)


def test_that_pin_fails_where_nothing_is_cut_or_marked() -> None:
    from nnunetv2.preprocessing.cropping.cropping import crop_to_nonzero

    def unmarked(image: Any, label: Any) -> tuple[Any, Any, Any]:
        cropped, kept, box = crop_to_nonzero(image, label)
        return cropped, np.maximum(kept, 0), box

    for other in (lambda image, label: (image, label, [[0, n] for n in image.shape[1:]]), unmarked):
        with pytest.raises(AssertionError):
            pin_crop(other)


def test_where_every_voxel_of_the_box_is_sure_of_a_label_there_is_background_outside() -> None:
    from nnunetv2.inference.export_prediction import convert_predicted_logits_to_segmentation_with_correct_shape
    from nnunetv2.utilities.label_handling.label_handling import LabelManager

    logits = torch.stack([torch.full((4, 4, 4), -9.0), torch.full((4, 4, 4), 9.0)]).half()
    found, posterior = convert_predicted_logits_to_segmentation_with_correct_shape(
        logits,
        SimpleNamespace(transpose_forward=[0, 1, 2], transpose_backward=[0, 1, 2]),
        SimpleNamespace(spacing=[1.0, 1.0, 1.0], resampling_fn_probabilities=lambda logits, *_: logits),
        LabelManager({"background": 0, "front": 1}, None),
        {
            "spacing": [1.0, 1.0, 1.0],
            "shape_after_cropping_and_before_resampling": (4, 4, 4),
            "shape_before_cropping": (6, 6, 8),
            "bbox_used_for_cropping": [[1, 5], [1, 5], [1, 5]],
        },
        return_probabilities=True,
        num_threads_torch=1,
    )
    assert (found == 1).sum() == 64
    assert posterior[0, 0, 0, 0] == 1
    assert posterior[1, 2, 2, 7] == 0


Resample = Callable[..., Any]


def pin_ties(resample: Resample) -> None:
    """Half way between two labels the higher wins, and so foreground against background."""
    for low, high in ((0, 1), (1, 2)):
        pair = np.array([low, high], np.int8).reshape(1, 1, 1, 2)
        assert resample(pair, (1, 1, 3), is_seg=True, order=1).ravel().tolist() == [low, high, high]


def test_ties_of_resampled_labels_go_to_the_higher() -> None:
    from nnunetv2.preprocessing.resampling.default_resampling import resample_data_or_seg

    pin_ties(resample_data_or_seg)


def test_that_pin_fails_where_ties_go_to_the_lower() -> None:
    with pytest.raises(AssertionError):
        pin_ties(lambda labels, shape, **_: labels[..., [0, 0, 1]])
