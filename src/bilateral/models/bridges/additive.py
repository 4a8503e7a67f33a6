"""An additive bridge: each hemisphere gets a linear map of the other's values on top of its own."""

from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn.functional import adaptive_avg_pool2d

from ...base.errors import ConfigError
from ...base.section import Section
from .base import Bridge


class Additive(Bridge):
    """left + A right, right + B left, where A and B are linear over channels and the same at every position.

    They are zero at the start, so that a fresh bridge changes nothing. Maps of another height and width are brought to
    the receiver's by averaging (or repeating) positions. Both ends have positions, (C, H, W), or neither has, (D,).
    """

    neutral: ClassVar = {}

    def __init__(self, options: Section, shapes: Mapping[str, torch.Size]) -> None:
        super().__init__(options, shapes)
        if len({len(shape) for shape in shapes.values()}) > 1:
            ends = " and ".join(f"{side} {'x'.join(map(str, shape))}" for side, shape in shapes.items())
            raise ConfigError(f"one end has positions and the other has none ({ends}); choose stages that are alike")
        first, second = shapes
        self.maps = nn.ModuleDict(
            {first: _linear(shapes[second], shapes[first]), second: _linear(shapes[first], shapes[second])}
        )

    def forward(self, values: dict[str, Tensor]) -> dict[str, Tensor]:
        """Add to each side's values (B, ...) the message from the other."""
        first, second = self.shapes
        return {
            first: values[first] + self._message(first, values[second], values[first]),
            second: values[second] + self._message(second, values[first], values[second]),
        }

    def _message(self, to: str, sent: Tensor, received: Tensor) -> Tensor:
        if sent.ndim == 4 and sent.shape[2:] != received.shape[2:]:
            sent = adaptive_avg_pool2d(sent, (received.shape[2], received.shape[3]))
        message: Tensor = self.maps[to](sent)
        return message


def _linear(sent: torch.Size, received: torch.Size) -> nn.Module:
    layer: nn.Conv2d | nn.Linear
    if len(sent) == 3:
        layer = nn.Conv2d(sent[0], received[0], 1, bias=False)
    else:
        layer = nn.Linear(sent[0], received[0], bias=False)
    nn.init.zeros_(layer.weight)
    return layer
