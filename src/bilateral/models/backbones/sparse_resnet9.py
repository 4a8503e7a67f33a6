"""ResNet-9 with sparse feature maps, and the same with its widths inverted."""

from typing import ClassVar

import torch
from torch import Tensor, nn

from ..config import HemisphereConfig
from ..parts.kwta import KWinnersTakeAll
from .base import Backbone, scaled


class SparseConvBlock(nn.Sequential):
    """Convolution 3x3 with bias, k-WTA (where `config.sparsity` is set), batch norm, optionally max-pool 2, ReLU."""

    def __init__(
        self, inputs: int, outputs: int, config: HemisphereConfig, momentum: float, pool: bool = False
    ) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, 3, padding=1)
        if config.sparsity is not None:
            self.kwta = KWinnersTakeAll(config.sparsity, torch.Size([outputs]))
        self.norm = nn.BatchNorm2d(outputs, momentum=momentum)
        if pool:  # before ReLU, which then has a quarter of the work, for the same values and gradients
            self.pool = nn.MaxPool2d(2)
        self.relu = nn.ReLU()


class SparseResidualBlock(nn.Module):
    """Two sparse blocks and a skip. (B, C, H, W) -> the same shape."""

    def __init__(self, channels: int, config: HemisphereConfig, momentum: float) -> None:
        super().__init__()
        self.first = SparseConvBlock(channels, channels, config, momentum)
        self.second = SparseConvBlock(channels, channels, config, momentum)

    def forward(self, maps: Tensor) -> Tensor:
        """Add the block's result to its input."""
        return self.second(self.first(maps)) + maps


class SparseResNet9(Backbone):
    """ResNet-9's layout of sparse blocks, then the maximum over positions; 512 features at width 1."""

    stages = ("conv1", "conv2", "res1", "conv3", "conv4", "res2", "pool")
    reads = Backbone.reads | {"sparsity"}
    channels: ClassVar[tuple[int, int, int, int]] = (64, 128, 256, 512)

    def __init__(self, config: HemisphereConfig) -> None:
        super().__init__()
        momentum = self.batch_norm_momentum(config)
        c1, c2, c3, c4 = (scaled(channels, config.width) for channels in self.channels)
        self.conv1 = SparseConvBlock(3, c1, config, momentum)
        self.conv2 = SparseConvBlock(c1, c2, config, momentum, pool=True)
        self.res1 = SparseResidualBlock(c2, config, momentum)
        self.conv3 = SparseConvBlock(c2, c3, config, momentum, pool=True)
        self.conv4 = SparseConvBlock(c3, c4, config, momentum, pool=True)
        self.res2 = SparseResidualBlock(c4, config, momentum)
        # At 32x32 this is the original's max-pool 4; at other sizes it still gives one vector.
        self.pool = nn.Sequential(nn.AdaptiveMaxPool2d(1), nn.Flatten())
        self.num_features = c4


class InvertedResNet9(SparseResNet9):
    """The same with the wide layers first: 512, 256, 128, then 64 features at width 1."""

    channels = (512, 256, 128, 64)
