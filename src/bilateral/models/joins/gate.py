"""A gate: for every image, how much the heads hear of each hemisphere, learned from the features."""

from collections.abc import Mapping
from typing import Annotated, ClassVar

import torch
from pydantic import Field
from torch import Tensor, nn

from ...base.section import Section
from ..schedule import Varying, between
from .base import OwnLogits, as_weights
from .concatenation import Concatenation


class Gate(Concatenation):
    """Weigh each side by a softmax of a linear layer on all features, then concatenate: (B, sum of D).

    The layer is zero at the start, so a fresh gate is concatenation.

    The right hemisphere is held to meet what is new, and to hand over to the left what has become routine (Goldberg
    and Costa 1981, Brain and Language 14:144). Two options are models of this: a schedule of `right`, from 0.95 to
    0.05, and a cost of hearing the right one, `cost` times the mean over images of (w_right / w_left)^`cost_power`.

    >>> features = {"left": torch.ones(2, 3), "right": torch.ones(2, 5)}
    >>> gate = Gate(Gate.Options(right=0.75), {"left": 3, "right": 5})
    >>> {side: round(weights[0].item(), 2) for side, weights in gate.weights(features, {}).items()}
    {'left': 0.25, 'right': 0.75}
    """

    class Options(Section):
        """Where it starts, and what it costs."""

        right: Annotated[Varying, between(0.01, 0.99)] = 0.5
        """The weight of the right side where the layer says nothing."""
        cost: Annotated[float, Field(ge=0)] = 0.0
        cost_power: Annotated[float, Field(gt=0)] = 0.75

    example: ClassVar = {"right": 0.6, "cost": 0.1}

    def __init__(self, options: Options, sizes: Mapping[str, int]) -> None:
        super().__init__(options, sizes)
        self.layer = nn.Linear(self.num_features, len(sizes))
        nn.init.zeros_(self.layer.weight)
        nn.init.zeros_(self.layer.bias)

    def weights(self, features: Mapping[str, Tensor], own: OwnLogits) -> dict[str, Tensor]:
        """The weights of each image, (B,) by side."""
        evidence = self.layer(torch.cat([features[side] for side in self.sizes], dim=1))
        return as_weights(evidence, self.now("right"), self.sizes)

    def cost(self, weights: Mapping[str, Tensor]) -> Tensor | None:
        """The cost of hearing the right side, a scalar."""
        if not self.options.cost:
            return None
        ratio = weights["right"] / weights["left"].clamp(min=1e-6)
        cost: Tensor = self.options.cost * (ratio**self.options.cost_power).mean()
        return cost
