"""How much arithmetic a measured network's training takes."""

from ..models.config import ModelConfig
from ..models.cost import network_cost
from ..training.cost import FORWARD_AND_BACKWARD
from .subject import HIERARCHY, IMAGE_SIZE


def training_flops(model: ModelConfig) -> int:
    """Give the useful FLOPs of training the whole network on one image: a pass forward, and two back."""
    cost = network_cost(model, HIERARCHY.fine_count, HIERARCHY.coarse_count, IMAGE_SIZE)
    return FORWARD_AND_BACKWARD * cost.forward_flops
