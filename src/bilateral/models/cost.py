"""What a network costs, counted and not timed."""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from .build import build_network
from .config import ModelConfig
from .network import Network
from .steps import Step, Values


@dataclass(frozen=True)
class NetworkCost:
    """Parameters of a network (all, trainable), and FLOPs of one image's forward pass, step by step.

    hemisphere_flops: by side, of its stages and parts. bridge_flops, head_flops: of the bridges; of join and heads. In
    convolutions and matrix products; a multiply-add is two FLOPs. fixed_until_join: see `Network`.
    """

    parameters: int
    trainable_parameters: int
    hemisphere_flops: dict[str, int]
    bridge_flops: int
    head_flops: int
    fixed_until_join: bool

    @property
    def forward_flops(self) -> int:
        """Of one image's pass through the whole network."""
        return sum(self.hemisphere_flops.values()) + self.bridge_flops + self.head_flops


def network_cost(
    model: ModelConfig, fine_count: int, coarse_count: int, image_size: tuple[int, int], channels: int = 3
) -> NetworkCost:
    """Count the cost of a unilateral or bilateral network on images of `image_size` (H, W), built without memory."""
    network = _without_memory(model, fine_count, coarse_count, image_size)
    fixed = network.fixed_until_join
    images = torch.empty(1, channels, *image_size, device="meta")
    steps, features = step_costs(network.eval(), images)
    with FlopCounterMode(display=False) as counter:
        network.classify(features)
    by_side = dict.fromkeys(network.hemispheres, 0)
    for step in network.steps:
        if step.name not in network.bridges:
            by_side[next(iter(step.places))] += steps[step.name].flops
    return NetworkCost(
        _parameters(network),
        sum(parameter.numel() for parameter in network.parameters() if parameter.requires_grad),
        by_side,
        sum(steps[name].flops for name in network.bridges),
        counter.get_total_flops(),
        fixed,
    )


def network_parameters(model: ModelConfig, fine_count: int, coarse_count: int, image_size: tuple[int, int]) -> int:
    """Count the parameters of such a network alone, in a sixth of the time."""
    return _parameters(_without_memory(model, fine_count, coarse_count, image_size))


def _without_memory(model: ModelConfig, fine_count: int, coarse_count: int, image_size: tuple[int, int]) -> Network:
    with torch.device("meta"):
        network = build_network(model, fine_count, coarse_count, image_size=image_size)
    return network.to("meta")


def _parameters(network: Network) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


@dataclass(frozen=True)
class StepCost:
    """FLOPs of a step of the walk, and the shapes of what it gives for an image, by side."""

    flops: int
    shapes: dict[str, torch.Size]


def step_costs(network: Network, images: Tensor) -> tuple[dict[str, StepCost], Values]:
    """Count what every step of a walk costs, by the step's name; and give the features."""
    costs: dict[str, StepCost] = {}
    with FlopCounterMode(display=False) as counter:

        def note(step: Step, values: Values) -> None:
            flops = counter.get_total_flops() - sum(cost.flops for cost in costs.values())
            costs[step.name] = StepCost(flops, {side: values[side].shape[1:] for side in step.places})

        features = network.walk(dict.fromkeys(network.hemispheres, images), watch=note)
    return costs, features
