"""How much arithmetic a training takes, counted and not timed."""

from ..models.config import ModelConfig
from ..models.cost import NetworkCost
from .config import TrainingConfig

FORWARD_AND_BACKWARD = 3
"""Passes worth of FLOPs of what is trained: one forward, one back to its inputs, one to its weights."""


def training_flops(cost: NetworkCost, model: ModelConfig, config: TrainingConfig, images: int, held_out: int) -> int:
    """Count the useful FLOPs of a training on `images` images, without the passes that validate.

    A frozen hemisphere costs its forward pass in every epoch; where features are kept, once for each view, and once
    for the `held_out` images, whose features are kept with them.
    """
    frozen = {side for side, hemisphere in model.hemispheres.items() if hemisphere.freeze}
    kept = config.feature_views > 0 and cost.fixed_until_join
    passes = config.feature_views * images + held_out if kept else config.epochs * images
    fixed = sum(flops for side, flops in cost.hemisphere_flops.items() if side in frozen)
    learning = cost.head_flops + cost.bridge_flops
    learning += sum(flops for side, flops in cost.hemisphere_flops.items() if side not in frozen)
    return passes * fixed + config.epochs * images * FORWARD_AND_BACKWARD * learning
