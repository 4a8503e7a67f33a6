"""Silence: the target says nothing, or on every image the same."""

from typing import Literal

import torch
from torch import Tensor

from ...base.section import Section
from .base import Lesion


class Silence(Lesion):
    """Zeros in place of what the target says, from which zero gradients go back; or its mean over the batch.

    >>> Silence()(torch.tensor([[1.0, 2.0], [3.0, 6.0]])).tolist()
    [[0.0, 0.0], [0.0, 0.0]]
    """

    class Options(Section):
        """What is put in its place."""

        replacement: Literal["zero", "mean"] = "zero"
        """mean: the mean over the images of the batch, which tells what is usual and nothing of the image."""

    def __init__(self, options: Options | None = None) -> None:
        super().__init__(options or self.Options())

    def forward(self, message: Tensor) -> Tensor:
        """Replace what the target says, (B, ...)."""
        if self.options.replacement == "mean":
            return message.mean(0).expand_as(message)
        return message.masked_fill(torch.ones_like(message, dtype=torch.bool), 0)
