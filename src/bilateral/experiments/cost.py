"""What an experiment's runs cost, counted before any of them is done."""

from dataclasses import dataclass
from functools import cached_property

from ..data.images import HierarchicalDataset
from ..models.config import ModelConfig
from ..models.cost import NetworkCost, network_cost
from ..runs.config import Config
from ..runs.execution import resolve, split
from ..runs.plan import Run
from ..training.cost import training_flops


@dataclass(frozen=True)
class RunCost:
    """What a run costs: parameters, multiply-adds of one image's forward pass, FLOPs of the run's own training."""

    parameters: int
    trainable_parameters: int
    multiply_adds: int
    training_flops: int


class Costs:
    """Counts what networks and runs cost on a data set, of which a config's protocol holds some images out."""

    def __init__(self, config: Config, dataset: HierarchicalDataset) -> None:
        self.config, self.dataset = config, dataset
        self._networks: dict[ModelConfig, NetworkCost] = {}

    def network(self, model: ModelConfig) -> NetworkCost:
        """Count what a network costs with the data set's classes and images."""
        if model not in self._networks:
            hierarchy, (channels, *size) = self.dataset.hierarchy, self.dataset.train.images.shape[1:]
            counts = hierarchy.fine_count, hierarchy.coarse_count
            self._networks[model] = network_cost(model, *counts, (size[0], size[1]), channels)
        return self._networks[model]

    def run(self, run: Run) -> RunCost:
        """Count what a run costs by itself, its parents left out."""
        run = resolve(run)
        model = run.config.model
        cost = self.network(model)
        training, (count, validating) = run.config.training, self._sizes
        used = round(training.data_share * count)
        flops = training_flops(cost, model, training, used, validating) if run.config.train else 0
        return RunCost(cost.parameters, cost.trainable_parameters, cost.forward_flops // 2, flops)

    @cached_property
    def _sizes(self) -> list[int]:
        whole = self.config.model_copy(update={"training": self.config.training.model_copy(update={"data_share": 1.0})})
        return [len(images) for images in split(whole, self.dataset)]
