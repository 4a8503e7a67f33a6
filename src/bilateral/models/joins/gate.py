"""A gate: for every image, how much the heads hear of each hemisphere."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from .base import Join


class Gate(Join):
    """The features of all sides one after another, each side times its weight for the image, (B, sum of D).

    The weights are a softmax of a linear layer on all features, times the number of sides. The layer is zero at the
    start, so a fresh gate is concatenation.

    >>> features = {"left": torch.ones(2, 3), "right": torch.ones(2, 5)}
    >>> gate = Gate(Gate.Options(), {"left": 3, "right": 5})
    >>> gate(features).shape, gate.weights(features).tolist()
    (torch.Size([2, 8]), [[0.5, 0.5], [0.5, 0.5]])
    """

    def __init__(self, options: Any, sizes: Mapping[str, int]) -> None:
        super().__init__(options, sizes)
        self.num_features = sum(sizes.values())
        self.layer = nn.Linear(self.num_features, len(sizes))
        nn.init.zeros_(self.layer.weight)
        nn.init.zeros_(self.layer.bias)

    def weights(self, features: Mapping[str, Tensor]) -> Tensor:
        """The weights of each image, (B, sides) in the order of the sides; they add up to 1."""
        logits: Tensor = self.layer(torch.cat([features[side] for side in self.sizes], dim=1))
        return logits.softmax(1)

    def forward(self, features: dict[str, Tensor]) -> Tensor:
        """Weigh and concatenate features (B, D) by side."""
        weights = len(self.sizes) * self.weights(features)
        return torch.cat([weights[:, [number]] * features[side] for number, side in enumerate(self.sizes)], dim=1)
