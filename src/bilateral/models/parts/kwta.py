"""k-winners-take-all: sparse feature maps, as the original code makes them and image by image."""

import math
from typing import ClassVar

from torch import Tensor

from ..config import SparsityConfig
from .base import Part


class KWinnersTakeAll(Part):
    """Keep the largest signed activations of each channel, in two stages; all others become 0.

    Stage 1 keeps, in each image and channel, the ceil(k H W) largest. Stage 2 keeps, in each channel,
    the ceil(per_k ceil(k H W) n) largest of n images: n = 1, so every image is treated alone (`per_image`),
    or n = the whole batch (`original`: an image's result then depends on its batch, in evaluation too).

    (B, C, H, W) -> (B, C, H, W).
    """

    Options = SparsityConfig
    neutral: ClassVar = {"k": 1.0, "per_k": 1.0}
    example: ClassVar = {"k": 0.3, "per_k": 0.7}
    needs_positions: ClassVar = True

    def forward(self, maps: Tensor) -> Tensor:
        """Sparsify feature maps (B, C, H, W)."""
        batch, channels, height, width = maps.shape
        winners = math.ceil(self.options.k * height * width)
        rows = _keep_largest(maps.transpose(0, 1).reshape(channels, batch, height * width), winners)
        together = 1
        if self.options.variant == "original":
            together = batch
            rows = rows.reshape(channels, 1, batch * height * width)
        rows = _keep_largest(rows, math.ceil(self.options.per_k * winners * together))
        return rows.reshape(channels, batch, height, width).transpose(0, 1)

    @property
    def mixes_images(self) -> bool:
        """In the variant `original`."""
        return self.options.variant == "original"


def _keep_largest(rows: Tensor, count: int) -> Tensor:
    indices = rows.topk(count, dim=-1, sorted=False).indices
    return rows * rows.new_zeros(rows.shape).scatter_(-1, indices, 1)
