"""A network with some of its hemispheres silenced."""

from collections.abc import Collection, Mapping

import torch
from torch import Tensor

from ..models.macro import HemisphericNetwork


class Silenced(HemisphericNetwork):
    """A network in evaluation mode, some of whose hemispheres give zeros; its parts are the intact one's."""

    def __init__(self, intact: HemisphericNetwork, sides: Collection[str]) -> None:
        super().__init__(dict(intact.hemispheres.items()), dict(intact.heads.items()), intact.frozen)
        self.intact = intact
        self.sides = frozenset(sides)
        self.eval()

    def features(self, images: Tensor) -> dict[str, Tensor]:
        """Features of images (B, 3, H, W) by hemisphere, each (B, D)."""
        return silence(self.intact.features(images), self.sides)

    def join(self, features: dict[str, Tensor]) -> Tensor:
        """Join features (B, D) as the network does."""
        return self.intact.join(features)


def silence(features: Mapping[str, Tensor], sides: Collection[str]) -> dict[str, Tensor]:
    """Features by hemisphere, (B, D), with zeros in place of those of `sides`, from which zero gradients go back."""
    return {
        side: values.masked_fill(torch.ones_like(values, dtype=torch.bool), 0) if side in sides else values
        for side, values in features.items()
    }
