"""Macro-architectures: one hemisphere, two, or an ensemble of such networks, under a fine and a coarse head."""

import math
from collections.abc import Callable, Iterable, Mapping

import torch
from torch import Tensor, nn

from .output import Output


class HemisphericNetwork(nn.Module):
    """Hemispheres side by side, their features joined under the heads.

    hemispheres: by side, in the order in which their features are joined. heads: by level ("fine", "coarse"),
    each from the joined features to logits. frozen: the sides that are never trained: their tensors get no
    gradients, and they stay in evaluation mode whatever mode the network is in.
    outputs_features: give the features alone (`mode_out: feature`).
    """

    def __init__(
        self,
        hemispheres: Mapping[str, nn.Module],
        heads: Mapping[str, nn.Module],
        frozen: Iterable[str] = (),
        outputs_features: bool = False,
    ) -> None:
        super().__init__()
        self.hemispheres = nn.ModuleDict(hemispheres)
        self.heads = nn.ModuleDict(heads)
        self.frozen = frozenset(frozen)
        self.outputs_features = outputs_features
        self.normalise: Callable[[Tensor], Tensor] | None = None
        """Turns uint8 images (B, 3, H, W) into this network's input, where it comes from a checkpoint."""
        for side in self.frozen:
            self.hemispheres[side].requires_grad_(False)
        self.train(self.training)

    def forward(self, images: Tensor) -> Output:
        """Pass images (B, 3, H, W), normalised floats, through hemispheres and heads."""
        return self.classify(self.features(images))

    def features(self, images: Tensor) -> dict[str, Tensor]:
        """Features of images (B, 3, H, W) by hemisphere, each (B, D)."""
        return {side: hemisphere(images) for side, hemisphere in self.hemispheres.items()}

    def classify(self, features: dict[str, Tensor]) -> Output:
        """Run the heads on features by hemisphere, each (B, D); these may have been computed before."""
        if self.outputs_features:
            return Output(None, None, features)
        joined = self.join(features)
        logits = {level: head(joined) for level, head in self.heads.items()}
        return Output(logits.get("fine"), logits.get("coarse"), features)

    def join(self, features: dict[str, Tensor]) -> Tensor:
        """Make of the hemispheres' features (B, D) what the heads get: here their concatenation, left first."""
        return torch.cat([features[side] for side in self.hemispheres], dim=1)

    def train(self, mode: bool = True) -> "HemisphericNetwork":
        """Set training or evaluation mode everywhere but in frozen hemispheres, which stay in evaluation."""
        super().train(mode)
        for side in self.frozen:
            self.hemispheres[side].eval()
        return self


class Unilateral(HemisphericNetwork):
    """One hemisphere under one or two heads."""


class Bilateral(HemisphericNetwork):
    """A left and a right hemisphere, of any two architectures, joined under the heads."""


class Ensemble(nn.Module):
    """The mean of two or more trained networks' logits, or of their probabilities. For evaluation only.

    With probabilities the logits given are the logarithms of the mean probabilities.
    """

    def __init__(self, members: Iterable[HemisphericNetwork], average: str = "logits") -> None:
        super().__init__()
        self.members = nn.ModuleList(members)
        self.average = average
        self.requires_grad_(False)
        self.eval()

    def forward(self, images: Tensor) -> Output:
        """Average the members' outputs on images (B, 3, H, W)."""
        outputs: list[Output] = [member(images) for member in self.members]
        logits = {
            level: mean_logits(torch.stack([output.logits[level] for output in outputs]), self.average)
            for level in outputs[0].logits
        }
        features = {
            f"{number}.{side}": values
            for number, output in enumerate(outputs)
            for side, values in output.features.items()
        }
        return Output(logits.get("fine"), logits.get("coarse"), features)

    def train(self, mode: bool = True) -> "Ensemble":
        """Stay in evaluation mode."""
        super().train(False)
        return self


def mean_logits(logits: Tensor, average: str) -> Tensor:
    """Average the logits of M networks, (M, B, classes) -> (B, classes).

    average: `logits`, or `probabilities`, which gives the logarithms of the mean probabilities.
    """
    if average == "logits":
        return logits.mean(0)
    return logits.log_softmax(-1).logsumexp(0) - math.log(len(logits))
