"""Ensembles: the mean of several networks' outputs."""

import math
from collections.abc import Iterable

import torch
from torch import Tensor, nn

from .network import Network
from .output import Output


class Ensemble(nn.Module):
    """The mean of two or more trained networks' logits, or of their probabilities. For evaluation only.

    With probabilities the logits given are the logarithms of the mean probabilities.
    """

    def __init__(self, members: Iterable[Network], average: str = "logits") -> None:
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
