"""How alike target and atlas are around each voxel, whatever their contrasts."""

from torch import Tensor
from torch.nn import functional

_RADIUS_VOX = 2
_LEAST_VARIANCE = 1e-3  # of images whose variance is 1


def local_correlation(target: Tensor, atlases: Tensor) -> Tensor:
    """Normalised correlation of the patches of 5 x 5 x 5 voxels around each voxel, -1 to 1; 0 where one is flat.

    Args:
        target: (batch, modality, x, y, z).
        atlases: (batch, atlas, modality, x, y, z).

    Returns:
        (batch, atlas, modality, x, y, z), float32.
    """
    wanted, found = target[:, None].float().expand_as(atlases), atlases.float()
    means = [_local_mean(volume) for volume in (wanted, found, wanted * found, wanted.square(), found.square())]
    covariance = means[2] - means[0] * means[1]
    variances = [(means[3] - means[0].square()).clamp_min(0), (means[4] - means[1].square()).clamp_min(0)]
    return covariance / (variances[0].add(_LEAST_VARIANCE) * variances[1].add(_LEAST_VARIANCE)).sqrt()


def _local_mean(volume: Tensor) -> Tensor:
    """Mean over the patch, axis by axis; at the border over what is inside."""
    flat = volume.reshape(-1, 1, *volume.shape[-3:])
    for axis in range(3):
        size, padding = [1, 1, 1], [0, 0, 0]
        size[axis], padding[axis] = 2 * _RADIUS_VOX + 1, _RADIUS_VOX
        flat = functional.avg_pool3d(flat, size, 1, padding, count_include_pad=False)
    return flat.reshape(volume.shape)
