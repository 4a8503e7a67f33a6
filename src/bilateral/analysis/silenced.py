"""What analyses share that ask the heads with all hemispheres and with one of them silenced."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from ..base.statistics import summarise
from ..models.config import SIDES
from ..models.lesions.silence import Silence
from ..models.network import Network

SILENCED = {"none": "all", **{side: f"without {side}" for side in SIDES}}
"""Which side says nothing of the image, and how figures and sentences call that."""


@torch.no_grad()
def answers(network: Network, features: Mapping[str, Tensor], silenced: str) -> dict[str, Tensor]:
    """The best class of each head, by level, (N,), on the CPU.

    features: by side, (N, D). silenced: "none", or a side whose features are replaced by their mean over the images.
    What a bridge has brought from it to the other side stays.
    """
    if silenced in features:
        silence = Silence(Silence.Options(replacement="mean"))
        features = {**features, silenced: silence(features[silenced])}
    device = next(network.parameters()).device
    said = network.classify({side: values.to(device) for side, values in features.items()})
    return {level: logits.argmax(1).cpu() for level, logits in said.logits.items()}


def told(values: Sequence[float], form: str = "+.1f") -> str:
    """The mean over seeds and its interval in words.

    >>> told([1.0, 2.0, 3.0])
    '+2.0 (n = 3, 95 % interval -0.5 to +4.5)'
    """
    found = summarise(values)
    if found["ci95"] is None:
        return f"{found['mean']:{form}} (one seed)"
    low, high = found["ci95"]
    return f"{found['mean']:{form}} (n = {found['n']}, 95 % interval {low:{form}} to {high:{form}})"
