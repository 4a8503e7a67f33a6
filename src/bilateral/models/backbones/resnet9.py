"""ResNet-9, the backbone of the published experiments."""

from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from ..config import HemisphereConfig, SparsityConfig
from ..parts.kwta import KWinnersTakeAll
from .base import Backbone, scaled


class ConvBlock(nn.Sequential):
    """Convolution 3x3, k-WTA (where there is `sparsity`), batch norm, optionally max-pool 2, and ReLU."""

    def __init__(
        self,
        inputs: int,
        outputs: int,
        momentum: float,
        bias: bool,
        sparsity: SparsityConfig | None,
        pool: bool = False,
    ) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, 3, padding=1, bias=bias)
        if sparsity is not None:
            self.kwta = KWinnersTakeAll(sparsity, torch.Size([outputs]))
        self.norm = nn.BatchNorm2d(outputs, momentum=momentum)
        if pool:  # before ReLU, which then has a quarter of the work, for the same values and gradients
            self.pool = nn.MaxPool2d(2)
        self.relu = nn.ReLU()


class ResidualBlock(nn.Module):
    """Two convolution blocks and a skip; no ReLU after the addition. (B, C, H, W) -> the same shape."""

    def __init__(self, channels: int, *settings: Any) -> None:
        super().__init__()
        self.first = ConvBlock(channels, channels, *settings)
        self.second = ConvBlock(channels, channels, *settings)

    def forward(self, maps: Tensor) -> Tensor:
        """Add the block's result to its input."""
        return self.second(self.first(maps)) + maps


class ResNet9(Backbone):
    """Four convolutions and two residual blocks, then the mean over positions; 512 features at width 1.

    The original code sets batch norm's momentum to 0.9.
    """

    stages = ("conv1", "conv2", "res1", "conv3", "conv4", "res2", "pool")
    original_batch_norm_momentum = 0.9
    channels: ClassVar[tuple[int, int, int, int]] = (64, 128, 256, 512)
    bias: ClassVar[bool] = False
    """Of the convolutions."""
    over_positions: ClassVar[type[nn.Module]] = nn.AdaptiveAvgPool2d

    def __init__(self, config: HemisphereConfig) -> None:
        super().__init__()
        c1, c2, c3, c4 = (scaled(channels, config.width) for channels in self.channels)
        settings = self.batch_norm_momentum(config), self.bias, config.sparsity
        self.conv1 = ConvBlock(3, c1, *settings)
        self.conv2 = ConvBlock(c1, c2, *settings, pool=True)
        self.res1 = ResidualBlock(c2, *settings)
        self.conv3 = ConvBlock(c2, c3, *settings, pool=True)
        self.conv4 = ConvBlock(c3, c4, *settings, pool=True)
        self.res2 = ResidualBlock(c4, *settings)
        self.pool = nn.Sequential(self.over_positions(1), nn.Flatten())
        self.num_features = c4
