"""Dropout (Srivastava et al. 2014, JMLR 15): in training, values are zeroed at random."""

from typing import Annotated, ClassVar

import torch
from torch import Tensor

from ...base.section import Section
from ..schedule import Varying, between
from .base import Part


class Dropout(Part):
    """Zero each value with probability p in training, and scale the others by 1 / (1 - p). (B, ...) -> the same."""

    class Options(Section):
        """The probability."""

        p: Annotated[Varying, between(0, 0.99)]

    neutral: ClassVar = {"p": 0.0}
    example: ClassVar = {"p": 0.5}

    def forward(self, values: Tensor) -> Tensor:
        """Drop values."""
        return torch.nn.functional.dropout(values, self.now("p"), self.training)

    @property
    def draws(self) -> bool:
        """In training."""
        return self.training and self.options.p != 0
