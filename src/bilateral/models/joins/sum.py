"""The sum of the features of both hemispheres, unit by unit."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from ...base.errors import ConfigError
from .base import Join


class Sum(Join):
    """left + right, (B, D); both sides must have as many features."""

    def __init__(self, options: Any, sizes: Mapping[str, int]) -> None:
        super().__init__(options, sizes)
        if len(set(sizes.values())) > 1:
            counts = " and ".join(f"{side} {count}" for side, count in sizes.items())
            raise ConfigError(f"the sides have different numbers of features ({counts}), which cannot be added up")
        self.num_features = next(iter(sizes.values()))

    def forward(self, features: Mapping[str, Tensor]) -> Tensor:
        """Add up features (B, D) by side."""
        return torch.stack([features[side] for side in self.sizes]).sum(0)
