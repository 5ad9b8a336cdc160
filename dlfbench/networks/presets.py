"""Sizes of networks and ways of training under a name; loads fast."""

from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field

Share = Annotated[float, Field(ge=0, le=1)]
Norm = Literal["instance", "group", "batch"]
Schedule = Literal["cycle", "steps"]


@dataclass(frozen=True)
class Preset:
    """Sizes, and a way of training, under a name.

    Attributes:
        features: Channels of the finest level, doubled on every level below.
        steps: Updates; with None, as many samples for each training case as in the paper.
        patch_vox: Largest edge of a training sample.
        atlases: Of one training sample.
        targets: Training samples a step.
        blocks: Networks see blocks of voxels as channels; see `dlfbench.networks.blocks`.
        supervision: How coarser outputs come to full resolution; see `dlfbench.networks.unet.Architecture`.
        norm: Normalisation.
        learning_rate: The highest.
        schedule: `cycle`: AdamW, one cycle. `steps`: Adam, times 0.2 after 12, 18 and 23 of 35 parts of the training.
        entropy: Weight of cross-entropy beside Dice in the loss.
        average_decay: Of the running average of weights that is used in the end; 0 for the last ones.
        heavy: Bias field, gamma and blur among the random changes.
        histogram_shift: Share of the images that get a random histogram shift.
        modaug: Probability that one of several modalities becomes white noise.
        empty: Share of the training samples without foreground in their middle.
        voting_steps: Updates of deep label fusion's voting network.
        rounds: Trees of each label's corrections.
    """

    features: int
    steps: int | None
    patch_vox: int
    atlases: int = 0
    targets: int = 2
    blocks: bool = True
    supervision: Literal["learned", "linear"] = "linear"
    norm: Norm = "instance"
    learning_rate: float = 2e-3
    schedule: Schedule = "cycle"
    entropy: float = 3.0
    average_decay: float = 0.995
    heavy: bool = True
    histogram_shift: float = 0.0
    modaug: float = 0.0
    empty: float = 0.0
    voting_steps: int = 100
    rounds: int = 100


# 35 epochs, in each of which a target gives 10 patches with and 2 without foreground, in 5 draws of atlases
PAPER = Preset(
    features=32,
    steps=None,
    patch_vox=72,
    atlases=10,
    targets=3,
    blocks=False,
    supervision="learned",
    norm="batch",
    learning_rate=5e-4,
    schedule="steps",
    entropy=0.0,
    average_decay=0.0,
    heavy=False,
    histogram_shift=0.5,
    modaug=0.5,
    empty=2 / 12,
)
PAPER_SAMPLES_PER_CASE = 35 * 12 * 5
