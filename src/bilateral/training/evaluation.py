"""What a network says of images that it is not trained on."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from ..base.errors import TrainingDivergedError
from ..base.memory import memory_errors
from ..data.augment import Normalisation
from ..data.hierarchy import LabelHierarchy
from ..data.images import HierarchicalImages
from ..models.output import Output
from .device import seed_everything
from .objective import correct, losses, named_metrics

EVALUATION_BATCH = 500
EVALUATION_SEED = 0
"""Of parts that draw random numbers in evaluation too: they draw the same ones in every pass over a set of images."""


@dataclass(frozen=True)
class Evaluation:
    """A network's outputs on N images, on the CPU, in their order.

    logits: by level, (N, classes). features: by hemisphere, (N, D). labels: by level, (N,). weights: how much the heads
    heard of each hemisphere, (N,) by side; empty where the join does not weigh.
    """

    logits: dict[str, Tensor]
    features: dict[str, Tensor]
    labels: dict[str, Tensor]
    weights: dict[str, Tensor] = field(default_factory=dict)

    def metrics(self, split: str, hierarchy: LabelHierarchy) -> dict[str, float]:
        """Losses and accuracies (0 to 1) by the original's names, and `{split}_acc_rollup`.

        Roll-up: the superclass of the fine prediction, compared with the coarse label.
        """
        output = Output(self.logits.get("fine"), self.logits.get("coarse"), self.features)
        count = len(self.labels["fine"])
        metrics = named_metrics(
            split,
            {level: value.item() for level, value in losses(output, self.labels).items()},
            {level: value.item() / count for level, value in correct(output, self.labels).items()},
        )
        if output.fine is not None:
            rolled_up = hierarchy.roll_up(output.fine.argmax(1))
            metrics[f"{split}_acc_rollup"] = (rolled_up == self.labels["coarse"]).sum().item() / count
        return metrics


@torch.inference_mode()
def evaluate(network: nn.Module, images: HierarchicalImages, normalise: Normalisation) -> Evaluation:
    """Run the network, in evaluation mode and float32, over all images, wherever these and the network are.

    Raises TrainingDivergedError where what it gives is no finite number, OutOfMemoryError.
    """
    was_training = network.training
    network.eval()
    device = next(network.parameters()).device
    seed_everything(device, EVALUATION_SEED)
    with memory_errors("testing a network"):
        outputs = [network(normalise(batch.to(device))) for batch in images.images.split(EVALUATION_BATCH)]
        logits = _gather(output.logits for output in outputs)
        features = _gather(output.features for output in outputs)
        weights = _gather(output.weights for output in outputs)
    network.train(was_training)
    for what, values in [*features.items(), *logits.items()]:
        odd = int((~values.isfinite()).any(1).sum())
        if odd:
            kind = "logits" if what in logits else "features"
            raise TrainingDivergedError(
                f"the network's {what} {kind} are no finite numbers for {odd} of {len(values)} images: "
                "its training has diverged; train it again with a lower training.lr"
            )
    labels = {"fine": images.fine.cpu(), "coarse": images.coarse.cpu()}
    return Evaluation(logits, features, labels, weights)


def _gather(parts: Iterable[Mapping[str, Tensor]]) -> dict[str, Tensor]:
    parts = list(parts)
    return {name: torch.cat([part[name].float().cpu() for part in parts]) for name in parts[0]}
