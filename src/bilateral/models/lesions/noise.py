"""Noise on what the target says, in units of the image's own deviation."""

from typing import Annotated, ClassVar

import torch
from pydantic import Field
from torch import Tensor

from ...base.section import Section
from .base import Lesion


class Noise(Lesion):
    """Add Gaussian noise of `std` standard deviations of what the target says of the image.

    The deviation is that over the units (and positions) of one image's message, so an image's noise does not depend on
    the other images, but for the random numbers, which are drawn in the order of the images. Where the target says
    nothing there is no noise.

    >>> message = torch.tensor([[3.0, 3.0, 3.0], [0.0, 10.0, 20.0]])
    >>> noisy = Noise(Noise.Options(std=0.5))(message)
    >>> (noisy == message).all(1).tolist()
    [True, False]
    """

    class Options(Section):
        """How strong."""

        std: Annotated[float, Field(ge=0)]
        """In units of the deviation over the image's own values."""

    example: ClassVar = {"std": 0.5}

    @property
    def draws(self) -> bool:
        """Where it acts."""
        return bool(self.acts and self.options.std)

    def forward(self, message: Tensor) -> Tensor:
        """Add noise to what the target says, (B, units, ...)."""
        deviation = message.std([*range(1, message.ndim)], correction=0, keepdim=True)
        return message + self.options.std * deviation * torch.randn_like(message)
