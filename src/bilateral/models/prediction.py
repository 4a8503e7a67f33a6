"""What a trained network says of images, by names of classes."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..base.errors import DataError

Images = Tensor | NDArray[np.uint8]
"""uint8, (N, H, W, 3), (N, 3, H, W), or one image without N."""


@dataclass(frozen=True)
class LevelPrediction:
    """One head's answer for N images. probabilities: (N, classes). classes: their names.

    >>> said = LevelPrediction(torch.tensor([[0.1, 0.9], [0.7, 0.3]]), ("cat", "dog"))
    >>> said.names
    ['dog', 'cat']
    >>> said.top(1)[0][0][0]
    'dog'
    """

    probabilities: Tensor
    classes: Sequence[str]

    @property
    def indices(self) -> Tensor:
        """The most probable class of each image, (N,)."""
        return self.probabilities.argmax(1)

    @property
    def names(self) -> list[str]:
        """Its name."""
        return [self.classes[index] for index in self.indices.tolist()]

    def top(self, count: int = 5) -> list[list[tuple[str, float]]]:
        """The most probable classes of each image, best first, with their probabilities (0 to 1)."""
        values, indices = self.probabilities.topk(min(count, len(self.classes)))
        return [
            [(self.classes[index], value) for index, value in zip(*each)]
            for each in zip(indices.tolist(), values.tolist())
        ]


@dataclass(frozen=True)
class Prediction:
    """The answers of both heads; None where there is no such head."""

    fine: LevelPrediction | None
    coarse: LevelPrediction | None


def as_batch(images: Images, image_size: tuple[int, int]) -> Tensor:
    """Bring images of one of the forms of `Images` into (N, 3, H, W). Raises DataError for others."""
    pixels = torch.as_tensor(images)
    if pixels.dtype != torch.uint8:
        raise DataError(
            f"predict takes uint8 images, 0 to 255, not {str(pixels.dtype).removeprefix('torch.')}; "
            "floats from 0 to 1: multiply by 255, round, and convert to uint8"
        )
    if pixels.ndim == 3:
        pixels = pixels[None]
    if pixels.ndim == 4 and pixels.shape[1] != 3 and pixels.shape[3] == 3:
        pixels = pixels.permute(0, 3, 1, 2)
    if pixels.ndim != 4 or tuple(pixels.shape[1:]) != (3, *image_size):
        height, width = image_size
        raise DataError(
            f"predict takes images of the size that the network was trained on, (N, {height}, {width}, 3) or "
            f"(N, 3, {height}, {width}), not {tuple(torch.as_tensor(images).shape)}; resize them"
        )
    return pixels
