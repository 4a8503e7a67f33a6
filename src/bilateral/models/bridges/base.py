"""What a bridge is."""

from abc import abstractmethod
from collections.abc import Mapping
from typing import Any, Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from ..component import Component

Direction = Literal["both", "to_left", "to_right"]
"""Who hears whom: the option `direction` of a bridge."""


class Bridge(Component):
    """Changes the values of both hemispheres, each by those of the other: by side (B, ...) -> by side, same shapes.

    A side that it leaves out stays as it is. A subclass takes its options and the shapes of one image's values at its
    ends, by side, (C, H, W) or (D,).
    """

    between: Mapping[str, str]
    """By side, the stage that it stands after; set where the network is built."""

    def __init__(self, options: Any, shapes: Mapping[str, torch.Size]) -> None:
        super().__init__(options)
        self.shapes = dict(shapes)
        heard, ends = getattr(options, "direction", "both"), list(shapes)
        self.senders = {to: by for to, by in zip(ends, reversed(ends)) if heard in ("both", f"to_{to}")}
        """By side that hears the other: the other."""

    @abstractmethod
    def forward(self, values: dict[str, Tensor]) -> dict[str, Tensor]:
        """Change the values at its ends, (B, ...) by side."""


def at_positions_of(received: Tensor, sent: Tensor) -> Tensor:
    """Average (or repeat) the positions of maps that are sent, (B, C, H, W), to as many as the receiver has."""
    if sent.ndim == 4 and sent.shape[2:] != received.shape[2:]:
        return F.adaptive_avg_pool2d(sent, (received.shape[2], received.shape[3]))
    return sent
