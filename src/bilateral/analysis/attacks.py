"""The fast gradient sign method (Goodfellow et al. 2015, arXiv 1412.6572) against all networks of a row at once."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from ..data.augment import Normalisation
from ..data.hierarchy import LabelHierarchy
from ..models.network import Network
from ..runs.predictions import Combination, Predictions
from ..training.evaluation import EVALUATION_BATCH
from ..training.out_of_memory import memory_errors

_PIXELS = 128 * 32 * 32
"""Of the images of one batch, for which all activations of all networks are kept."""


@dataclass(frozen=True)
class Attacked:
    """The networks of a row in evaluation mode, each with its normalisation, and how their answers are combined."""

    networks: Sequence[tuple[Network, Normalisation]]
    combine: Combination
    hierarchy: LabelHierarchy

    def predict(self, pixels: Tensor, labels: Mapping[str, Tensor]) -> Predictions:
        """What the row says of pixels (B, 3, H, W), 0 to 1; gradients pass through."""
        outputs = [network(normalise_floats(normalise, pixels)) for network, normalise in self.networks]
        logits = [{level: values.float() for level, values in output.logits.items()} for output in outputs]
        return self.combine([Predictions(each, dict(labels)) for each in logits], self.hierarchy)


def normalise_floats(normalise: Normalisation, pixels: Tensor) -> Tensor:
    """Do what `normalise` does with uint8 images to floats (B, 3, H, W) from 0 to 1, so that gradients pass through."""
    mean, std = (pixels.new_tensor(values).view(1, -1, 1, 1) for values in (normalise.mean, normalise.std))
    return ((pixels - mean) / std).contiguous(memory_format=torch.channels_last)


def ascent(attacked: Attacked, pixels: Tensor, labels: Mapping[str, Tensor]) -> Tensor:
    """The sign of the gradient of the row's loss by each pixel of (B, 3, H, W): the same shape.

    The loss is the sum of the cross-entropies of the levels that the row predicts.
    """
    pixels = pixels.detach().requires_grad_()
    with torch.enable_grad():
        said = attacked.predict(pixels, labels)
        loss = torch.stack(
            [cross_entropy(logits, labels[level], reduction="sum") for level, logits in said.logits.items()]
        ).sum()
    (gradient,) = torch.autograd.grad(loss, pixels)
    return gradient.sign()


def fgsm(
    attacked: Attacked, images: Tensor, labels: Mapping[str, Tensor], epsilons: Sequence[float], device: torch.device
) -> list[Predictions]:
    """What a row says of uint8 images (N, 3, H, W) after one step up its loss, for each size of the step.

    epsilons: on the pixel scale 0 to 1. labels: int64 (N,) by level. Raises OutOfMemoryError.
    """
    size = max(1, min(EVALUATION_BATCH, _PIXELS // (images.shape[2] * images.shape[3])))
    parts: list[list[dict[str, Tensor]]] = [[] for _ in epsilons]
    with memory_errors("attacking networks"):
        for indices in torch.arange(len(images)).split(size):
            pixels = images[indices].to(device).float() / 255
            own = {level: values[indices].to(device) for level, values in labels.items()}
            signs = ascent(attacked, pixels, own)
            for part, epsilon in zip(parts, epsilons):
                with torch.inference_mode():
                    said = attacked.predict((pixels + epsilon * signs).clamp(0, 1), own)
                part.append({level: logits.cpu() for level, logits in said.logits.items()})
    return [Predictions(_joined(part), dict(labels)) for part in parts]


def _joined(parts: Sequence[Mapping[str, Tensor]]) -> dict[str, Tensor]:
    return {level: torch.cat([part[level] for part in parts]) for level in parts[0]}
