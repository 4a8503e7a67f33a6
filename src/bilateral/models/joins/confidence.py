"""Joining by confidence: the heads hear more of the hemisphere that is surer of the image."""

import math
from collections.abc import Mapping
from typing import Annotated, ClassVar

import torch
from pydantic import Field
from torch import Tensor

from ...base.section import Section
from ..schedule import Varying, between
from .base import OwnLogits, as_weights
from .concatenation import Concatenation


class Confidence(Concatenation):
    """Weigh each side by how sure its own head is, then concatenate: (B, sum of D).

    A side's confidence is 1 less the entropy of its own head's probabilities, as a share of the largest entropy; so
    heads of few and of many classes can be compared. A side with two own heads has the mean of both. Weights are the
    softmax of `slope` times the confidence. No gradient goes through them, so no side learns to boast.

    >>> own = {"left": {"fine": torch.tensor([[9.0, 0.0]])}, "right": {"fine": torch.tensor([[0.0, 0.0]])}}
    >>> features = {"left": torch.ones(1, 3), "right": torch.ones(1, 3)}
    >>> join = Confidence(Confidence.Options(), {"left": 3, "right": 3})
    >>> round(join.weights(features, own)["left"].item(), 2)
    0.98
    """

    class Options(Section):
        """How much confidence counts."""

        slope: Annotated[float, Field(ge=0)] = 4.0
        right: Annotated[Varying, between(0.01, 0.99)] = 0.5
        """The weight of the right side where both are as sure."""

    needs_own_heads: ClassVar = True

    def weights(self, features: Mapping[str, Tensor], own: OwnLogits) -> dict[str, Tensor]:
        """The weights of each image, (B,) by side."""
        with torch.no_grad():
            sure = [torch.stack([_confidence(logits) for logits in own[side].values()]).mean(0) for side in self.sizes]
        return as_weights(self.options.slope * torch.stack(sure, 1), self.now("right"), self.sizes)


def _confidence(logits: Tensor) -> Tensor:
    logs = logits.float().log_softmax(1)
    return 1 + (logs.exp() * logs).sum(1) / math.log(logits.shape[1])
