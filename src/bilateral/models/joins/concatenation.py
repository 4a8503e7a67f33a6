"""Concatenation: the features side by side, left first."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from .base import Join


class Concatenation(Join):
    """The features of all sides one after another, (B, sum of D)."""

    def __init__(self, options: Any, sizes: Mapping[str, int]) -> None:
        super().__init__(options, sizes)
        self.num_features = sum(sizes.values())

    def forward(self, features: Mapping[str, Tensor]) -> Tensor:
        """Concatenate features (B, D) by side."""
        return torch.cat([features[side] for side in self.sizes], dim=1)
