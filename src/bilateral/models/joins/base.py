"""What a join is."""

from abc import abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor

from ..component import Component

OwnLogits = Mapping[str, Mapping[str, Tensor]]
"""Logits of the hemispheres' own heads, (B, classes), by side and level."""


class Join(Component):
    """Makes of the hemispheres' features, (B, D) by side, what the heads get, (B, num_features).

    A subclass takes its options and the number of features by side, and sets `num_features`. It may weigh the sides:
    then what it joins are the features times their side's weight for the image, times the number of sides.
    """

    num_features: int
    needs_own_heads: ClassVar[bool] = False
    """Whether it weighs the sides by what their own heads say."""

    def __init__(self, options: Any, sizes: Mapping[str, int]) -> None:
        super().__init__(options)
        self.sizes = dict(sizes)

    def weights(self, features: Mapping[str, Tensor], own: OwnLogits) -> dict[str, Tensor]:
        """The weight of each side for each image, (B,) by side; they add up to 1. Empty: all count alike."""
        return {}

    def cost(self, weights: Mapping[str, Tensor]) -> Tensor | None:
        """What training pays for these weights, beside the errors of the heads: a scalar."""
        return None

    @abstractmethod
    def forward(self, features: Mapping[str, Tensor]) -> Tensor:
        """Join features (B, D) by side, which have been weighed."""


def as_weights(evidence: Tensor, right: float, sides: Mapping[str, Any]) -> dict[str, Tensor]:
    """Turn evidence for each side, (B, sides) on a logarithmic scale, into weights (B,) by side.

    right: the weight of the right side where the evidence says nothing.
    """
    prior = torch.tensor([right if side == "right" else 1 - right for side in sides], device=evidence.device)
    weights = (evidence.float() + prior.log()).softmax(1)
    return {side: weights[:, number] for number, side in enumerate(sides)}
