"""The network of deep label fusion (Xie et al., Medical Image Analysis 83:102683, 2023).

Axes are (batch, atlas, channel, x, y, z) where an atlas axis is there, else (batch, channel, x, y, z). The class axis
follows the declared labels, background first.
"""

from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from dlfbench.dlf.similarity import local_correlation
from dlfbench.networks.losses import Output, supervised
from dlfbench.networks.samples import Sample, Seen, Triple, to_tensors
from dlfbench.networks.unet import Architecture, Head, UNet, channels_last
from dlfbench.networks.windows import in_windows

Combination = Literal["odds", "residual"]
VOTING_LEVELS = 3
_LEAST_SHARE = 0.01
_SHARPNESS = 8.0
_MASK_THRESHOLD = 0.2


@dataclass(frozen=True)
class Parts:
    """Which parts of the network are there; the ablations leave one out.

    Attributes:
        voting: The weighted voting subnet; without it every vote counts alike.
        fine_tuning: The fine-tuning subnet; without it the initial consensus is the answer.
        mask: Each label only near where a candidate has it.
        combine: How the fine-tuning subnet changes the consensus. `residual`, the paper's: it sees the consensus, and
            its output is added. `odds`: it sees the image, learns to segment by itself, and the log odds of both are
            added, as of two witnesses who do not know of each other.
        similarity: The voting subnet's output is added to the local correlation of target and atlas, times a factor
            that is learned: training starts at voting weighted by similarity. Not in the paper.
        coarse_weights: The voting subnet works at half the resolution, on an eighth of the voxels, so that a training
            step can have more atlases; its output is interpolated. Not in the paper.
    """

    voting: bool = True
    fine_tuning: bool = True
    mask: bool = True
    combine: Combination = "odds"
    similarity: bool = True
    coarse_weights: bool = True


class DeepLabelFusion(nn.Module):
    """Votes of atlases, weighted by one U-Net, summed, and refined by another.

    Args:
        modalities: Image channels.
        classes: Labels, background included.
        architecture: Of the fine-tuning subnet, with four levels; the weighted voting subnet has the first three.
        parts: Ablations.

    Attributes:
        window_vox: In evaluation, the largest size that is taken at once; larger volumes go window by window.
    """

    def __init__(self, modalities: int, classes: int, architecture: Architecture, parts: Parts | None = None) -> None:
        super().__init__()
        self.classes, self.parts, self.first_stride = classes, parts or Parts(), architecture.strides[0]
        self.window_vox: Triple | None = None
        voting = replace(architecture, strides=architecture.strides[: VOTING_LEVELS - 1])
        if self.parts.voting:
            self.voting = UNet(2 * modalities + 3, classes, voting)
            if self.parts.similarity:
                self.sharpness = nn.Parameter(torch.tensor(_SHARPNESS))
                for head in (module for module in self.voting.modules() if isinstance(module, Head)):
                    head.start_at_zero()
        if self.parts.fine_tuning:
            seen = classes if self.parts.combine == "residual" else modalities
            self.fine_tuning = UNet(seen + 3, classes, architecture, supervised=True)

    def forward(self, seen: Seen) -> list[Output]:
        """What is supervised: scores (batch, class, x, y, z), 0 to 1, float32; the final ones first."""
        consensus = self.vote(seen) / voters(seen.classes)
        if not self.parts.fine_tuning:
            return [Output(self.result(consensus, None, seen.classes))]
        opinions = self.opinions(consensus, seen)
        if self.parts.combine == "residual":
            return supervised([self.result(consensus, opinion, seen.classes) for opinion in opinions])
        result = Output(self.result(consensus, opinions[0], seen.classes))
        # each witness learns by itself, too; otherwise the better one does all the work, and the other learns nothing
        votes = [Output(shares(consensus))] if self.parts.voting else []
        return [result, *votes, *supervised([opinion.sigmoid() for opinion in opinions])]

    def vote(self, seen: Seen) -> Tensor:
        """Sum over atlases of weight x vote, V = W [S = label]: (batch, class, x, y, z), float32."""
        return (self.weights(seen) * one_hot(seen.classes, self.classes)).sum(dim=1)

    def weights(self, seen: Seen) -> Tensor:
        """How much each atlas is trusted for each label: (batch, atlas, class, x, y, z), 0 to 1, float32.

        Every atlas by itself, so that atlases can be given in any number at a time.
        """
        batch, atlases = seen.classes.shape[:2]
        if not self.parts.voting:
            return seen.target.new_ones((batch, atlases, self.classes, *seen.classes.shape[2:]), dtype=torch.float32)
        around = torch.cat([seen.target, seen.coordinates], dim=1)[:, None].expand(-1, atlases, -1, -1, -1, -1)
        volumes = torch.cat([around, seen.atlases], dim=2).flatten(0, 1)
        found = in_windows(self._voted, volumes, self._window)
        logits = found.float().unflatten(0, (batch, atlases))
        if self.parts.similarity:
            alike = local_correlation(seen.target, seen.atlases).mean(dim=2, keepdim=True)
            logits = logits + self.sharpness * (alike - 1)
        return logits.sigmoid()

    def _voted(self, volumes: Tensor) -> Tensor:
        """The voting subnet's output (volume, class, x, y, z)."""
        if not self.parts.coarse_weights:
            return self.voting(channels_last(volumes))[0]  # type: ignore[no-any-return]
        coarse = self.voting(channels_last(functional.avg_pool3d(volumes, self.first_stride)))[0]
        return functional.interpolate(coarse, size=volumes.shape[2:], mode="trilinear", align_corners=False)

    def opinions(self, consensus: Tensor, seen: Seen) -> list[Tensor]:
        """The fine-tuning subnet's output (batch, class, x, y, z), float32; in training that of every level."""
        first = consensus if self.parts.combine == "residual" else seen.target
        volume = torch.cat([first, seen.coordinates], dim=1)
        if self.training:
            return [found.float() for found in self.fine_tuning(channels_last(volume))]
        return [in_windows(lambda part: self.fine_tuning(channels_last(part))[0], volume, self._window).float()]

    def result(self, consensus: Tensor, opinion: Tensor | None, classes: Tensor) -> Tensor:
        """Scores of each class (batch, class, x, y, z), 0 to 1.

        Args:
            consensus: Mean of the weighted votes (batch, class, x, y, z).
            opinion: Of the fine-tuning subnet, alike; None without it.
            classes: Of the candidates (batch, atlas, x, y, z).
        """
        mask = label_mask(classes, self.classes) if self.parts.mask else 1.0
        if self.parts.combine == "odds":
            consensus = shares(consensus)
        if opinion is None:
            return consensus * mask
        start = consensus.logit(_LEAST_SHARE) if self.parts.combine == "odds" else consensus
        return (start + opinion).sigmoid() * mask

    def predict(self, sample: Sample, *, atlases_at_a_time: int) -> Tensor:
        """Scores of each class (1, class, x, y, z) from all atlases of a sample.

        However many atlases are taken at a time, the result is the same: a vote's weight depends on no other atlas.
        """
        device = next(self.parameters(), torch.empty(0)).device
        consensus = torch.zeros((1, self.classes, *sample.target.shape[1:]), device=device)
        for start in range(0, len(sample.atlases), atlases_at_a_time):
            some = to_tensors(sample, slice(start, start + atlases_at_a_time))
            consensus += self.vote(some.to(device))
        seen = to_tensors(replace(sample, atlases=sample.atlases[:, :0])).to(device)
        consensus /= voters(seen.classes)
        opinion = self.opinions(consensus, seen)[0] if self.parts.fine_tuning else None
        return self.result(consensus, opinion, seen.classes)

    @property
    def _window(self) -> Triple | None:
        return None if self.training else self.window_vox


def shares(votes: Tensor) -> Tensor:
    """Votes (batch, class, x, y, z) as shares that sum to 1 over classes."""
    return votes / votes.sum(dim=1, keepdim=True).clamp_min(1e-12)


def voters(classes: Tensor) -> Tensor:
    """How many atlases vote (batch, 1, x, y, z), 1 where none does; of classes (batch, atlas, x, y, z)."""
    return (classes >= 0).sum(dim=1, keepdim=True).clamp_min(1)


def one_hot(classes: Tensor, count: int) -> Tensor:
    """[S = label]: (batch, atlas, x, y, z) to (batch, atlas, class, x, y, z), boolean; all false without a vote."""
    return classes[:, :, None] == torch.arange(count, device=classes.device).view(-1, 1, 1, 1)


def label_mask(classes: Tensor, count: int) -> Tensor:
    """Where a label may be: the union of the candidates' voxels of it, grown by about a voxel; background everywhere.

    Args:
        classes: (batch, atlas, x, y, z).
        count: Number of labels.

    Returns:
        (batch, class, x, y, z), 0 or 1, float32.
    """
    union = one_hot(classes, count).any(dim=1).float()
    grown = (functional.avg_pool3d(union, 3, stride=1, padding=1) > _MASK_THRESHOLD).float()
    grown[:, 0] = 1.0
    return grown
