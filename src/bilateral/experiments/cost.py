"""What an experiment's runs cost, counted, not timed, before any of them is done."""

from functools import cached_property

from ..data.images import HierarchicalDataset
from ..models.config import ModelConfig
from ..models.cost import NetworkCost, network_cost, network_parameters
from ..runs.config import Config
from ..runs.execution import resolve, split
from ..runs.plan import Run
from ..training.config import TrainingConfig

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


class Costs:
    """Counts what networks and runs cost on a data set, of which a config's protocol holds some images out."""

    def __init__(self, config: Config, dataset: HierarchicalDataset) -> None:
        self.config, self.dataset = config, dataset
        self._networks: dict[ModelConfig, NetworkCost] = {}

    def network(self, model: ModelConfig) -> NetworkCost:
        """Count what a network costs with the data set's classes and images."""
        if model not in self._networks:
            self._networks[model] = network_cost(model, *self._shape, self.dataset.train.images.shape[1])
        return self._networks[model]

    def parameters(self, model: ModelConfig) -> int:
        """Count a network's parameters alone, which is quicker."""
        return network_parameters(model, *self._shape)

    def training(self, run: Run) -> int:
        """Count the FLOPs of a run's own training, without those of its parents."""
        config = resolve(run).config
        if not config.train:
            return 0
        count, validating = self._sizes
        used = round(config.training.data_share * count)
        return training_flops(self.network(config.model), config.model, config.training, used, validating)

    @property
    def _shape(self) -> tuple[int, int, tuple[int, int]]:
        hierarchy, (height, width) = self.dataset.hierarchy, self.dataset.train.images.shape[2:]
        return hierarchy.fine_count, hierarchy.coarse_count, (height, width)

    @cached_property
    def _sizes(self) -> list[int]:
        whole = self.config.model_copy(update={"training": self.config.training.model_copy(update={"data_share": 1.0})})
        return [len(images) for images in split(whole, self.dataset)]
