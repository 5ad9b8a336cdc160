"""What a user may choose of nnU-Net, resolved."""

from dataclasses import dataclass
from typing import Literal

Configuration = Literal["2d", "3d_fullres", "3d_lowres"]
Planner = Literal["default", "resenc-m", "resenc-l", "resenc-xl"]

PLANS = {
    "default": "nnUNetPlans",
    "resenc-m": "nnUNetResEncUNetMPlans",
    "resenc-l": "nnUNetResEncUNetLPlans",
    "resenc-xl": "nnUNetResEncUNetXLPlans",
}
"""What nnU-Net calls the plans of a planner."""


@dataclass(frozen=True)
class Budget:
    """How long is trained.

    Attributes:
        epochs: The learning rate falls from epoch to epoch, to 0 after the last.
        iterations: Steps of an epoch.
        validation_iterations: Batches after each epoch whose Dice is shown.
        small: A quarter of the feature maps, trained by AdamW in place of SGD (both are choices that nnU-Net has), on
            images that are not mirrored: some hundred steps of a processor are enough to see what it does.
    """

    epochs: int
    iterations: int
    validation_iterations: int
    small: bool = False


@dataclass(frozen=True)
class Plan:
    """What is trained and how it is used.

    Attributes:
        configuration: Of nnU-Net's plans.
        planner: Who makes the plans.
        budget: Length of training.
        mirroring: At test time.
        bf16: In bfloat16 on a CPU; None: where that is fast.
    """

    configuration: Configuration
    planner: Planner
    budget: Budget
    mirroring: bool
    bf16: bool | None
