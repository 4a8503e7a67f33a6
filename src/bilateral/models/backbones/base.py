"""What a backbone is: named stages, run one after another."""

from typing import ClassVar

from torch import Tensor, nn

from ..config import HemisphereConfig

TORCH_MOMENTUM = 0.1


class Backbone(nn.Module):
    """Maps images (B, 3, H, W), float, to features (B, num_features).

    A subclass sets `num_features`, and one attribute for each name in `stages`, in the order of the pass.
    """

    stages: tuple[str, ...]
    reads: ClassVar[frozenset[str]] = frozenset({"width", "batch_norm_momentum"})
    """The settings of HemisphereConfig that shape it; any other one that is given is refused."""
    original_batch_norm_momentum: ClassVar[float] = TORCH_MOMENTUM
    num_features: int

    def forward(self, images: Tensor) -> Tensor:
        """Features (B, num_features) of images (B, 3, H, W), without the parts and bridges of a network."""
        values = images
        for stage in self.stages:
            values = getattr(self, stage)(values)
        return values

    @staticmethod
    def initialise(module: nn.Module) -> None:
        """Draw the weights of a layer that `connections` changed, where this is not as PyTorch does."""

    @classmethod
    def batch_norm_momentum(cls, config: HemisphereConfig) -> float:
        """The momentum that `config` asks for, in PyTorch's sense (share of the newest batch)."""
        if config.batch_norm_momentum == "original":
            return cls.original_batch_norm_momentum
        return TORCH_MOMENTUM if config.batch_norm_momentum is None else config.batch_norm_momentum


def scaled(channels: int, width: float) -> int:
    """Channels of a layer at a width factor; at least one."""
    return max(1, round(channels * width))
