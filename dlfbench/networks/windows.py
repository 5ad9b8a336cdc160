"""Networks on volumes larger than they were trained on: window by window."""

from collections.abc import Callable, Sequence

from torch import Tensor

_OVERLAP = 0.25


def in_windows(network: Callable[[Tensor], Tensor], volume: Tensor, size_vox: Sequence[int] | None) -> Tensor:
    """What a network makes of a volume; overlapping windows, weighted by a Gaussian, where it is larger than one.

    Args:
        network: (batch, channel, x, y, z) to (batch, class, x, y, z).
        volume: (batch, channel, x, y, z).
        size_vox: Of a window along (x, y, z); None for the whole at once.
    """
    shape = volume.shape[2:]
    if size_vox is None or all(n <= most for n, most in zip(shape, size_vox, strict=True)):
        return network(volume)
    from monai.inferers.utils import sliding_window_inference  # slow to import

    roi = [min(n, most) for n, most in zip(shape, size_vox, strict=True)]
    found = sliding_window_inference(volume, roi, 1, network, overlap=_OVERLAP, mode="gaussian")
    assert isinstance(found, Tensor)
    return found
