"""ResNet-9 with sparse feature maps, and the same with its widths inverted."""

import torch
from torch import nn

from ..config import HemisphereConfig
from ..parts.kwta import KWinnersTakeAll
from .base import TORCH_MOMENTUM, Backbone
from .resnet9 import ConvBlock, ResNet9


class SparseResNet9(ResNet9):
    """ResNet-9 with biases and k-WTA (`config.sparsity`), then the maximum over positions; 512 features at width 1."""

    reads = Backbone.reads | {"sparsity"}
    original_batch_norm_momentum = TORCH_MOMENTUM
    # At 32x32 this is the original's max-pool 4; at other sizes it still gives one vector.
    over_positions = nn.AdaptiveMaxPool2d

    def block(self, config: HemisphereConfig, inputs: int, outputs: int, pool: bool = False) -> ConvBlock:
        """Make a convolution block with biases, and k-WTA where `config.sparsity` is set."""
        kwta = None if config.sparsity is None else KWinnersTakeAll(config.sparsity, torch.Size([outputs]))
        return ConvBlock(inputs, outputs, self.batch_norm_momentum(config), pool, bias=True, kwta=kwta)


class InvertedResNet9(SparseResNet9):
    """The same with the wide layers first: 512, 256, 128, then 64 features at width 1."""

    channels = (512, 256, 128, 64)
