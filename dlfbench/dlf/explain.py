"""What the parts of a trained deep label fusion say of one target, for people who want to look inside."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from dlfbench.dlf.model import DeepLabelFusion, plain_consensus
from dlfbench.dlf.segmenter import DeepLabelFusionMethod
from dlfbench.networks.learning import load_model, make_geometry, read_sample
from dlfbench.networks.samples import to_tensors
from dlfbench.segmenters.interface import Context
from dlfbench.volumes import AtlasSet, Target

Map = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Explanation:
    """Maps on the target's grid; outside of the region that the network sees they are 0.

    Attributes:
        weights: By what factor each atlas's vote for each label counts (atlas, class, x, y, z).
        consensus: Shares of the weighted votes (class, x, y, z), before fine-tuning.
        posterior: (class, x, y, z).
    """

    weights: Map
    consensus: Map
    posterior: Map


def explain(method: DeepLabelFusionMethod, target: Target, atlases: AtlasSet, context: Context) -> Explanation:
    """Weight maps, initial consensus and posterior of one target.

    Args:
        method: With the parameters that the model was trained with.
        target: The image.
        atlases: Warped onto it.
        context: Its folder holds the model: `RUN/tasks/fit/KEY` of a run.
    """
    about, model = load_model(method, context)
    if not isinstance(model, DeepLabelFusion):
        raise ValueError("preset=paper: what its parts say is not shown")
    sample = read_sample(method, target, atlases, make_geometry(method, about), context)
    plain = plain_consensus(sample).to(context.device)
    with torch.no_grad():
        posterior = method.posterior(model, sample).dense()
        parts = (to_tensors(sample, slice(i, i + 1)).to(context.device) for i in range(len(atlases)))
        weights = torch.cat([model.weights(part, plain)[0].cpu() for part in parts])
        consensus = model.consensus(sample, method.room).dense()

    def on_grid(found: Map) -> Map:
        whole = np.zeros((*found.shape[:-3], *target.grid.shape), np.float32)
        whole[(..., *sample.region.box)] = found
        return whole

    inner = sample.region.inner
    return Explanation(on_grid(inner(weights.numpy())), on_grid(inner(consensus)), on_grid(inner(posterior)))
