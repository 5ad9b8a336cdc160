"""A scale of intensities that does not depend on how a file stores them."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from dlfbench.images import FloatArray


@dataclass(frozen=True)
class Scale:
    """What is 0 and what is 1 to a registration.

    Attributes:
        centre: The median of the outermost voxels: what most likely lies beyond the image.
        spread: Mean absolute difference from it; 1 for a constant image.
    """

    centre: float
    spread: float

    @classmethod
    def of(cls, image: FloatArray) -> "Scale":
        """The scale of an image (x, y, z). Values that are not finite say nothing."""
        border = np.ones(image.shape, dtype=np.bool_)
        border[1:-1, 1:-1, 1:-1] = False
        finite = np.isfinite(image)
        if not finite.any():
            return cls(0.0, 1.0)
        centre = float(np.median(image[finite & border] if (finite & border).any() else image[finite]))
        spread = float(np.abs(image[finite].astype(np.float64) - centre).mean())
        return cls(centre, spread or 1.0)

    def apply(self, image: FloatArray) -> npt.NDArray[np.float32]:
        """The image on this scale."""
        return ((image.astype(np.float64) - self.centre) / self.spread).astype(np.float32)

    def undo(self, image: FloatArray) -> npt.NDArray[np.float32]:
        """An image on this scale, back on its own."""
        return (image.astype(np.float64) * self.spread + self.centre).astype(np.float32)
