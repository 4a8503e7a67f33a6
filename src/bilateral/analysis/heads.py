"""The heads: what of each logit comes from which hemisphere, exact since they are linear; what they say without one."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ..models.config import SIDES
from ..models.joins.concatenation import Concatenation
from ..models.lesions.base import Lesion
from ..models.lesions.silence import Silence
from ..models.network import Network
from ..models.parts.dropout import Dropout
from ..training.evaluation import Evaluation
from .study import NotApplicableError

MEAN = Silence(Silence.Options(replacement="mean"))
SILENCED: Mapping[str, Mapping[str, Lesion]] = {"none": {}, **{side: {side: MEAN} for side in SIDES}}
"""Which side says nothing of the image, as lesions."""


@dataclass(frozen=True)
class Contributions:
    """The parts of one head's logits on N images: `left` + `right` + `bias` is the logits.

    left, right: (N, classes). bias: (classes,). left_norms, right_norms: of the weights of each class, (classes,).
    """

    left: Tensor
    right: Tensor
    bias: Tensor
    left_norms: Tensor
    right_norms: Tensor

    @property
    def logits(self) -> Tensor:
        """What the head says, (N, classes)."""
        return self.left + self.right + self.bias

    @property
    def strengths(self) -> tuple[Tensor, Tensor]:
        """How far each hemisphere sets the classes apart: the norm over classes of its part of the logits, (N,) each.

        The mean over classes is taken off before, since it changes no probability.
        """
        return _centred(self.left).norm(dim=1), _centred(self.right).norm(dim=1)

    @property
    def share(self) -> Tensor:
        """Of the left hemisphere in the `strengths` of both, 0 to 1, (N,)."""
        left, right = self.strengths
        return left / (left + right).clamp(min=torch.finfo(left.dtype).tiny)

    def at_share(self, share: float | Tensor) -> Tensor:
        """The logits (N, classes) if left had `share` of the strength, one or one an image (N,); all else as it is."""
        left, right = self.strengths
        tiny = torch.finfo(left.dtype).tiny
        total = left + right
        scaled_left = _centred(self.left) * (share * total / left.clamp(min=tiny))[:, None]
        return scaled_left + _centred(self.right) * ((1 - share) * total / right.clamp(min=tiny))[:, None] + self.bias


def contributions(network: Network, level: str, features: Mapping[str, Tensor]) -> Contributions:
    """Take the logits of the head of `level` apart. features: by side, (N, D), float32.

    Raises NotApplicableError for a network whose head is not one linear layer on the features of left and right.
    """
    linear = head_layer(network, level)
    concatenates = type(network.join) is Concatenation  # a subclass may weigh the sides
    if linear is None or not concatenates or set(features) != {"left", "right"}:
        raise NotApplicableError("its heads are not linear in the features of a left and a right hemisphere")
    weight = linear.weight.detach().cpu().float()
    bias = torch.zeros(len(weight)) if linear.bias is None else linear.bias.detach().cpu().float()
    left, right = weight.split([features["left"].shape[1], features["right"].shape[1]], dim=1)
    return Contributions(
        features["left"] @ left.T, features["right"] @ right.T, bias, left.norm(dim=1), right.norm(dim=1)
    )


def head_layer(network: Network, level: str) -> nn.Linear | None:
    """The one layer of a head that computes, if it is linear."""
    head = network.heads[level]
    parts = head if isinstance(head, nn.Sequential) else [head]
    layers = [layer for layer in parts if not isinstance(layer, Dropout)]
    return layers[0] if len(layers) == 1 and isinstance(layers[0], nn.Linear) else None


@torch.no_grad()
def answers(
    network: Network, features: Mapping[str, Tensor], lesions: Mapping[str, Lesion] | None = None
) -> dict[str, Tensor]:
    """The best class of each head, by level, (N,), on the CPU, with `lesions` of sides.

    features: by side, (N, D). What a bridge has brought from a side to the other one stays.
    """
    device = next(network.parameters()).device
    heard = {**features, **{side: lesion(features[side]) for side, lesion in (lesions or {}).items()}}
    logits = network.classify({side: values.to(device) for side, values in heard.items()}).logits
    return {level: own.argmax(1).cpu() for level, own in logits.items()}


def accuracies(network: Network, said: Evaluation, lesions: Mapping[str, Lesion] | None = None) -> dict[str, float]:
    """The accuracy (0 to 1) of the `answers` to the features in `said`."""
    found = answers(network, said.features, lesions)
    return {level: (best == said.labels[level]).double().mean().item() for level, best in found.items()}


def _centred(logits: Tensor) -> Tensor:
    return logits - logits.mean(1, keepdim=True)
