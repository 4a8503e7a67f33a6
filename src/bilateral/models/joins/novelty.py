"""Joining by novelty: the heads hear more of the right hemisphere where an image is unlike those of the training."""

from collections.abc import Mapping
from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor

from ...base.section import Section
from ..schedule import Varying, between
from .base import OwnLogits, as_weights
from .concatenation import Concatenation

MOMENTUM = 0.1
"""Share of the newest batch in what is remembered, as in batch norm."""


class Novelty(Concatenation):
    """Weigh the right side by how new the image is, then concatenate: (B, sum of D).

    An image's distance is the mean over all features of its squared z-score among the training's images; its novelty,
    the z-score of this distance among theirs. Means and variances are running ones over the batches of the training.
    The right weight is the logistic function of `slope` times the novelty. The right hemisphere is held to meet what
    is new and the left what is routine (Goldberg and Costa 1981, Brain and Language 14:144).

    >>> join = Novelty(Novelty.Options(), {"left": 4, "right": 4})
    >>> known = {side: torch.randn(64, 4, generator=torch.Generator().manual_seed(0)) for side in join.sizes}
    >>> weights = join.weights(known, {})  # in training: it remembers these
    >>> far = {side: 5 + features for side, features in known.items()}
    >>> bool(join.eval().weights(far, {})["right"].min() > 0.9)
    True
    """

    class Options(Section):
        """How much novelty counts."""

        slope: Annotated[float, Field(ge=0)] = 1.0
        right: Annotated[Varying, between(0.01, 0.99)] = 0.5
        """The weight of the right side for an image of usual novelty."""

    mean: Tensor
    variance: Tensor
    usual: Tensor
    """Mean and variance of the distance."""
    batches: Tensor

    def __init__(self, options: Options, sizes: Mapping[str, int]) -> None:
        super().__init__(options, sizes)
        self.register_buffer("mean", torch.zeros(self.num_features))
        self.register_buffer("variance", torch.ones(self.num_features))
        self.register_buffer("usual", torch.ones(2))
        self.register_buffer("batches", torch.zeros((), dtype=torch.long))

    @property
    def mixes_images(self) -> bool:
        """In training, through the running means."""
        return self.training

    @torch.no_grad()
    def weights(self, features: Mapping[str, Tensor], own: OwnLogits) -> dict[str, Tensor]:
        """The weights of each image, (B,) by side."""
        joined = torch.cat([features[side] for side in self.sizes], dim=1).float()
        if self.training:
            share = torch.where(self.batches == 0, torch.ones(()), MOMENTUM).to(joined)
            self.mean.lerp_(joined.mean(0), share)
            self.variance.lerp_((joined - self.mean).square().mean(0), share)
            distance = self._distance(joined)
            self.usual.lerp_(torch.stack([distance.mean(), distance.var(correction=0)]), share)
            self.batches += 1
        mean, variance = self.usual
        novelty = (self._distance(joined) - mean) / variance.clamp(min=1e-6).sqrt()
        evidence = torch.stack([self.options.slope * novelty * (side == "right") for side in self.sizes], 1)
        return as_weights(evidence, self.now("right"), self.sizes)

    def _distance(self, joined: Tensor) -> Tensor:
        return ((joined - self.mean).square() / self.variance.clamp(min=1e-6)).mean(1)
