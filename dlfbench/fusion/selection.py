"""Which atlases to fuse: those that look most like the target."""

import numpy as np
import numpy.typing as npt

from dlfbench.volumes import AtlasSet, Target


def similarity(target: Target, atlases: AtlasSet) -> npt.NDArray[np.float64]:
    """Normalised correlation of each warped atlas with the target over the candidates' region.

    The region is every voxel that at least one candidate labels as foreground; the image where there is none. Of
    several modalities the mean is taken. An image that is constant there agrees with nothing: 0.

    Returns:
        One number from -1 to 1 per atlas.

    Source: Aljabar et al., NeuroImage 2009.
    """
    region: npt.NDArray[np.bool_] = np.asarray((atlases.labels > 0).any(axis=0))
    if not region.any():
        region[:] = True
    wanted, found = _centred(target.images[:, region]), _centred(atlases.images[..., region])
    norms = np.linalg.norm(wanted, axis=-1) * np.linalg.norm(found, axis=-1)
    agreement = (wanted * found).sum(axis=-1) / np.where(norms > 0, norms, np.inf)
    each: npt.NDArray[np.float64] = agreement.mean(axis=1)
    return each


def most_similar(target: Target, atlases: AtlasSet, top: int) -> AtlasSet:
    """The atlases most similar to the target, in their given order; the earlier one in ties.

    Args:
        target: The image to segment.
        atlases: Warped onto it.
        top: How many to keep; all where there are fewer.
    """
    kept = np.sort(np.argsort(-similarity(target, atlases), kind="stable")[:top])
    return atlases.some(kept)


def _centred(values: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
    centred: npt.NDArray[np.float64] = values - values.mean(axis=-1, keepdims=True, dtype=np.float64)
    return centred
