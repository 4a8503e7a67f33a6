"""ResNets (He et al. 2015, arXiv 1512.03385) with a stem for small images: 3x3, stride 1, no max-pool."""

from typing import ClassVar

from torch import Tensor, nn

from ..config import HemisphereConfig
from .base import Backbone, scaled


class Block(nn.Module):
    """Convolutions with these kernels and a shortcut, added, then ReLU. (B, I, H, W) -> (B, O, H/stride, W/stride)."""

    def __init__(
        self, inputs: int, channels: int, outputs: int, kernels: tuple[int, ...], stride: int, momentum: float
    ) -> None:
        super().__init__()
        widths = (inputs, *[channels] * (len(kernels) - 1), outputs)
        self.residual = nn.Sequential()
        for number, kernel in enumerate(kernels):
            if number:
                self.residual.append(nn.ReLU())
            own = stride if number == kernels.index(3) else 1
            self.residual.extend(_conv_norm(widths[number], widths[number + 1], kernel, own, momentum))
        self.shortcut = nn.Sequential()
        if stride != 1 or inputs != outputs:
            self.shortcut = _conv_norm(inputs, outputs, 1, stride, momentum)
        self.relu = nn.ReLU()

    def forward(self, maps: Tensor) -> Tensor:
        """Add branch and shortcut."""
        return self.relu(self.residual(maps) + self.shortcut(maps))


class ResNet(Backbone):
    """A stem, four groups of residual blocks, the mean over positions."""

    stages = ("stem", "group1", "group2", "group3", "group4", "pool")
    depths: ClassVar[tuple[int, int, int, int]]
    kernels: ClassVar[tuple[int, ...]] = (3, 3)
    """Of a block's convolutions."""
    expansion: ClassVar[int] = 1
    """By how much the last of these widens."""

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
                outputs = channels * self.expansion
                blocks.append(Block(inputs, channels, outputs, self.kernels, stride, momentum))
                inputs = outputs
            setattr(self, f"group{number}", blocks)
        self.pool = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())
        self.num_features = inputs


class ResNet18(ResNet):
    """512 features at width 1."""

    depths = (2, 2, 2, 2)


class ResNet34(ResNet):
    """512 features at width 1."""

    depths = (3, 4, 6, 3)


class ResNet50(ResNet):
    """Blocks with a bottleneck; 2048 features at width 1."""

    depths = (3, 4, 6, 3)
    kernels, expansion = (1, 3, 1), 4


class ResNet101(ResNet50):
    """2048 features at width 1."""

    depths = (3, 4, 23, 3)


class ResNet152(ResNet50):
    """2048 features at width 1."""

    depths = (3, 8, 36, 3)


def _conv_norm(inputs: int, outputs: int, kernel: int, stride: int, momentum: float) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, kernel, stride, padding=kernel // 2, bias=False),
        nn.BatchNorm2d(outputs, momentum=momentum),
    )
