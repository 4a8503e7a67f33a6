"""What a network hands over."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor


@dataclass(frozen=True)
class Output:
    """The result of one forward pass on B images.

    fine: logits (B, F), coarse: logits (B, C); None where there is no such head or the network's output is
    features. features: by hemisphere ("left", "right"), each (B, D); in an ensemble by member and hemisphere
    ("0.left", ...). own: logits of the hemispheres' own heads, (B, classes), by side and level. weights: how much
    the heads heard of each side, (B,) by side; empty where the join does not weigh. cost: what training pays for these.
    """

    fine: Tensor | None
    coarse: Tensor | None
    features: dict[str, Tensor]
    own: Mapping[str, Mapping[str, Tensor]] = field(default_factory=dict)
    weights: Mapping[str, Tensor] = field(default_factory=dict)
    cost: Tensor | None = None

    @property
    def joined(self) -> Tensor:
        """All features side by side, left first: (B, sum of D)."""
        return torch.cat(list(self.features.values()), dim=1)

    @property
    def logits(self) -> dict[str, Tensor]:
        """The logits that there are, by level."""
        both = {"fine": self.fine, "coarse": self.coarse}
        return {level: logits for level, logits in both.items() if logits is not None}
