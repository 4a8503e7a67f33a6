"""ResNets (He et al. 2015, arXiv 1512.03385) with a stem for small images: 3x3, stride 1, no max-pool."""

from abc import ABC, abstractmethod
from typing import ClassVar

from torch import Tensor, nn

from ..config import HemisphereConfig
from .base import Backbone, scaled


class _Block(nn.Module, ABC):
    """A residual branch and a shortcut, added, then ReLU. (B, inputs, H, W) -> (B, outputs, H/stride, W/stride)."""

    expansion: ClassVar[int]

    def __init__(self, inputs: int, channels: int, stride: int, momentum: float) -> None:
        super().__init__()
        outputs = channels * self.expansion
        self.residual = self.build_residual(inputs, channels, stride, momentum)
        self.shortcut = nn.Sequential()
        if stride != 1 or inputs != outputs:
            self.shortcut = _conv_norm(inputs, outputs, 1, stride, momentum)
        self.relu = nn.ReLU()

    @abstractmethod
    def build_residual(self, inputs: int, channels: int, stride: int, momentum: float) -> nn.Sequential:
        """Build the residual branch."""

    def forward(self, maps: Tensor) -> Tensor:
        """Add branch and shortcut."""
        return self.relu(self.residual(maps) + self.shortcut(maps))


class BasicBlock(_Block):
    """Two 3x3 convolutions."""

    expansion = 1

    def build_residual(self, inputs: int, channels: int, stride: int, momentum: float) -> nn.Sequential:
        """Build the residual branch."""
        return nn.Sequential(
            *_conv_norm(inputs, channels, 3, stride, momentum),
            nn.ReLU(),
            *_conv_norm(channels, channels, 3, 1, momentum),
        )


class Bottleneck(_Block):
    """A 1x1, a 3x3 and a 1x1 convolution that widens fourfold."""

    expansion = 4

    def build_residual(self, inputs: int, channels: int, stride: int, momentum: float) -> nn.Sequential:
        """Build the residual branch."""
        return nn.Sequential(
            *_conv_norm(inputs, channels, 1, 1, momentum),
            nn.ReLU(),
            *_conv_norm(channels, channels, 3, stride, momentum),
            nn.ReLU(),
            *_conv_norm(channels, channels * 4, 1, 1, momentum),
        )


class ResNet(Backbone):
    """A stem, four groups of residual blocks, the mean over positions."""

    stages = ("stem", "group1", "group2", "group3", "group4", "pool")
    block: ClassVar[type[_Block]]
    depths: ClassVar[tuple[int, int, int, int]]

    def __init__(self, config: HemisphereConfig) -> None:
        super().__init__()
        momentum = self.batch_norm_momentum(config)
        inputs = scaled(64, config.width)
        self.stem = nn.Sequential(*_conv_norm(3, inputs, 3, 1, momentum), nn.ReLU())
        for number, (channels, depth) in enumerate(zip((64, 128, 256, 512), self.depths), start=1):
            channels = scaled(channels, config.width)
            blocks = nn.Sequential()
            for position in range(depth):
                stride = 2 if number > 1 and position == 0 else 1
                blocks.append(self.block(inputs, channels, stride, momentum))
                inputs = channels * self.block.expansion
            setattr(self, f"group{number}", blocks)
        self.pool = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())
        self.num_features = inputs


class ResNet18(ResNet):
    """512 features at width 1."""

    block, depths = BasicBlock, (2, 2, 2, 2)


class ResNet34(ResNet):
    """512 features at width 1."""

    block, depths = BasicBlock, (3, 4, 6, 3)


class ResNet50(ResNet):
    """2048 features at width 1."""

    block, depths = Bottleneck, (3, 4, 6, 3)


class ResNet101(ResNet):
    """2048 features at width 1."""

    block, depths = Bottleneck, (3, 4, 23, 3)


class ResNet152(ResNet):
    """2048 features at width 1."""

    block, depths = Bottleneck, (3, 8, 36, 3)


def _conv_norm(inputs: int, outputs: int, kernel: int, stride: int, momentum: float) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, kernel, stride, padding=kernel // 2, bias=False),
        nn.BatchNorm2d(outputs, momentum=momentum),
    )
