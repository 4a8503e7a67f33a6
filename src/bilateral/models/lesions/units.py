"""The loss of a share of the units, always the same ones."""

from typing import Annotated, ClassVar

import torch
from pydantic import Field
from torch import Tensor

from ...base.section import Section, Seed
from .base import Lesion


class Units(Lesion):
    """Zeros in place of a share of the units that the target has: features of a side, channels of a part or a bridge.

    Which ones, the seed says; a larger share takes the units of a smaller one, too.

    >>> Units(Units.Options(share=0.5))(torch.ones(2, 4)).sum(1).tolist()
    [2.0, 2.0]
    """

    class Options(Section):
        """How many units, and which."""

        share: Annotated[float, Field(ge=0, le=1)]
        """Of the units, to the nearest whole number of them."""
        seed: Seed = 0

    example: ClassVar = {"share": 0.5}

    def forward(self, message: Tensor) -> Tensor:
        """Silence units of what the target says, (B, units, ...)."""
        count = message.shape[1]
        order = torch.randperm(count, generator=torch.Generator().manual_seed(self.options.seed), device="cpu")
        lost = torch.zeros(count, dtype=torch.bool, device="cpu")
        lost[order[: round(self.options.share * count)]] = True
        return message.masked_fill(lost.to(message.device).view(1, -1, *[1] * (message.ndim - 2)), 0)
