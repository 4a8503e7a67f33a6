"""How much arithmetic a network's training takes, counted and not timed."""

import torch
from torch.utils.flop_counter import FlopCounterMode

from ..models.build import build_network
from ..models.config import ModelConfig
from .subject import HIERARCHY, IMAGE_SIZE


def forward_flops(model: ModelConfig) -> int:
    """Count the FLOPs of one image's forward pass in convolutions and matrix products; a multiply-add is two.

    The network is built without memory, for 32x32 images with 100 fine and 20 coarse labels.
    """
    with torch.device("meta"):
        network = build_network(model, HIERARCHY.fine_count, HIERARCHY.coarse_count).eval()
    with FlopCounterMode(display=False) as counter:
        network(torch.empty(1, 3, *IMAGE_SIZE, device="meta"))
    return counter.get_total_flops()


def training_flops(model: ModelConfig) -> int:
    """Give the useful FLOPs of training on one image: a pass forward, and back to the features and to the weights."""
    return 3 * forward_flops(model)
