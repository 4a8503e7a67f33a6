"""ResNet-9 with sparse feature maps, and the same with its widths inverted."""

from torch import nn

from .base import TORCH_MOMENTUM, Backbone
from .resnet9 import ResNet9


class SparseResNet9(ResNet9):
    """ResNet-9 with biases and k-WTA (`config.sparsity`), then the maximum over positions; 512 features at width 1."""

    reads = Backbone.reads | {"sparsity"}
    original_batch_norm_momentum = TORCH_MOMENTUM
    bias = True
    # At 32x32 this is the original's max-pool 4; at other sizes it still gives one vector.
    over_positions = nn.AdaptiveMaxPool2d


class InvertedResNet9(SparseResNet9):
    """The same with the wide layers first: 512, 256, 128, then 64 features at width 1."""

    channels = (512, 256, 128, 64)
