"""Gaussian noise after a stage, in units of each channel's own standard deviation."""

from typing import Annotated, ClassVar

import torch
from torch import Tensor

from ...base.section import Section
from ..schedule import Varying, between
from .base import Part

MOMENTUM = 0.1
"""Share of the newest batch in the running deviations, as in batch norm."""


class Noise(Part):
    """Add Gaussian noise of `std` standard deviations of the channel. (B, C, H, W) or (B, D) -> the same.

    In training a channel's deviation is that of the batch, over images and positions, without gradient; its running
    mean square is kept, and is what noise in evaluation is relative to. So in evaluation an image's noise does not
    depend on the other images, but for the random numbers, which are drawn in the order of the images.
    """

    class Options(Section):
        """How strong, and when."""

        std: Annotated[Varying, between(0)]
        """In units of the channel's standard deviation."""
        training: bool = True
        evaluation: bool = False

    neutral: ClassVar = {"std": 0.0}
    example: ClassVar = {"std": 0.5}
    variance: Tensor
    batches: Tensor

    def __init__(self, options: Options, shape: torch.Size) -> None:
        super().__init__(options, shape)
        self.register_buffer("variance", torch.ones(shape[0]))
        self.register_buffer("batches", torch.zeros((), dtype=torch.long))

    def forward(self, values: Tensor) -> Tensor:
        """Add noise."""
        variance = self.variance
        if self.training:
            with torch.no_grad():
                variance = values.float().var([0, *range(2, values.ndim)], correction=0)
                # The first batch counts whole: the initial ones say nothing.
                share = torch.where(self.batches == 0, torch.ones(()), MOMENTUM).to(variance)
                self.variance.lerp_(variance, share)
                self.batches += 1
        if not self.draws:
            return values
        deviation = variance.sqrt().to(values.dtype).view(-1, *[1] * (values.ndim - 2))
        return values + self.now("std") * deviation * torch.randn_like(values)

    @property
    def draws(self) -> bool:
        """In training, in evaluation, or both, as the options say."""
        asked = self.options.training if self.training else self.options.evaluation
        return bool(asked and self.options.std != 0)

    @property
    def mixes_images(self) -> bool:
        """In training, through the deviation."""
        return self.training
