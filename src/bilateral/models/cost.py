"""What a network costs, counted and not timed."""

from dataclasses import dataclass

import torch
from torch.utils.flop_counter import FlopCounterMode

from .build import build_network
from .config import ModelConfig


@dataclass(frozen=True)
class NetworkCost:
    """Parameters of a network (all, trainable), and FLOPs of one image's forward pass through each hemisphere, and
    through the heads, in convolutions and matrix products; a multiply-add is two FLOPs.
    """

    parameters: int
    trainable_parameters: int
    hemisphere_flops: dict[str, int]
    head_flops: int

    @property
    def forward_flops(self) -> int:
        """Of one image's pass through the whole network."""
        return sum(self.hemisphere_flops.values()) + self.head_flops


def network_cost(
    model: ModelConfig, fine_count: int, coarse_count: int, image_size: tuple[int, int], channels: int = 3
) -> NetworkCost:
    """Count the cost of a unilateral or bilateral network on images of `image_size` (H, W), built without memory."""
    with torch.device("meta"):
        network = build_network(model, fine_count, coarse_count)
    network.to("meta").eval()
    images = torch.empty(1, channels, *image_size, device="meta")
    hemisphere_flops, features = {}, {}
    for side, hemisphere in network.hemispheres.items():
        with FlopCounterMode(display=False) as counter:
            features[side] = hemisphere(images)
        hemisphere_flops[side] = counter.get_total_flops()
    with FlopCounterMode(display=False) as counter:
        network.classify(features)
    return NetworkCost(
        sum(parameter.numel() for parameter in network.parameters()),
        sum(parameter.numel() for parameter in network.parameters() if parameter.requires_grad),
        hemisphere_flops,
        counter.get_total_flops(),
    )
