"""ResNet-9, the backbone of the published experiments."""

from functools import partial
from typing import ClassVar

from torch import Tensor, nn

from ..config import HemisphereConfig
from .base import Backbone, scaled


class ConvBlock(nn.Sequential):
    """Convolution 3x3, what makes it sparse (if given), batch norm, optionally max-pool 2, and ReLU."""

    def __init__(
        self,
        inputs: int,
        outputs: int,
        momentum: float,
        pool: bool = False,
        bias: bool = False,
        kwta: nn.Module | None = None,
    ) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, 3, padding=1, bias=bias)
        if kwta is not None:
            self.kwta = kwta
        self.norm = nn.BatchNorm2d(outputs, momentum=momentum)
        if pool:  # before ReLU, which then has a quarter of the work, for the same values and gradients
            self.pool = nn.MaxPool2d(2)
        self.relu = nn.ReLU()


class ResidualBlock(nn.Module):
    """Two convolution blocks and a skip; no ReLU after the addition. (B, C, H, W) -> the same shape."""

    def __init__(self, first: ConvBlock, second: ConvBlock) -> None:
        super().__init__()
        self.first, self.second = first, second

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
    over_positions: ClassVar[type[nn.Module]] = nn.AdaptiveAvgPool2d

    def __init__(self, config: HemisphereConfig) -> None:
        super().__init__()
        c1, c2, c3, c4 = (scaled(channels, config.width) for channels in self.channels)
        block = partial(self.block, config)
        self.conv1 = block(3, c1)
        self.conv2 = block(c1, c2, pool=True)
        self.res1 = ResidualBlock(block(c2, c2), block(c2, c2))
        self.conv3 = block(c2, c3, pool=True)
        self.conv4 = block(c3, c4, pool=True)
        self.res2 = ResidualBlock(block(c4, c4), block(c4, c4))
        self.pool = nn.Sequential(self.over_positions(1), nn.Flatten())
        self.num_features = c4

    def block(self, config: HemisphereConfig, inputs: int, outputs: int, pool: bool = False) -> ConvBlock:
        """Make a convolution block."""
        return ConvBlock(inputs, outputs, self.batch_norm_momentum(config), pool)
