"""An attention bridge: each hemisphere looks up in the other's values what it needs."""

from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F

from ...base.section import Section, Whole
from .base import Bridge, Direction, at_positions_of


class Attention(Bridge):
    """left + A(left, right), right + B(right, left): scaled dot-product attention.

    It is that of Vaswani et al. 2017 (arXiv 1706.03762). Over positions: each position of the receiver asks all
    positions of the sender; queries, keys and values are 1x1 convolutions. Over channels: each channel of the receiver
    asks all channels of the sender, compared by the cosine of their maps, averaged to at most 8 x 8. What is found is
    added through a layer that is zero at the start, so a fresh bridge changes nothing.

    >>> shapes = {"left": torch.Size([4, 8, 8]), "right": torch.Size([6, 4, 4])}
    >>> bridge = Attention(Attention.Options(size=2), shapes)
    >>> values = {side: torch.randn(3, *shape) for side, shape in shapes.items()}
    >>> bridge.weights("left", values["left"], values["right"]).shape  # 64 positions ask 16
    torch.Size([3, 64, 16])
    """

    class Options(Section):
        """Who asks whom, and how."""

        direction: Direction = "both"
        over: Literal["positions", "channels"] = "positions"
        size: Annotated[Whole, Field(ge=1)] = 16
        """Length of queries and keys over positions."""

    neutral: ClassVar = {}
    needs_positions: ClassVar = True

    def __init__(self, options: Options, shapes: Mapping[str, torch.Size]) -> None:
        super().__init__(options, shapes)
        self.queries, self.keys, self.outputs = nn.ModuleDict(), nn.ModuleDict(), nn.ModuleDict()
        for to, by in self.senders.items():
            received, sent = shapes[to][0], shapes[by][0]
            if options.over == "positions":
                self.queries[to] = nn.Conv2d(received, options.size, 1)
                self.keys[to] = nn.Conv2d(sent, options.size, 1, bias=False)  # a bias changes no softmax
            self.outputs[to] = nn.Conv2d(sent if options.over == "positions" else received, received, 1, bias=False)
            nn.init.zeros_(self.outputs[to].weight)  # type: ignore[arg-type]

    def forward(self, values: dict[str, Tensor]) -> dict[str, Tensor]:
        """Add to each side's values (B, C, H, W) what it finds in the other's."""
        return values | {to: values[to] + self._found(to, values[to], values[by]) for to, by in self.senders.items()}

    def weights(self, to: str, received: Tensor, sent: Tensor) -> Tensor:
        """How much each receiver listens to each sender, (B, receivers, senders); a receiver's add up to 1."""
        if self.options.over == "positions":
            queries, keys = self.queries[to](received).flatten(2), self.keys[to](sent).flatten(2)
            return (queries.transpose(1, 2) @ keys / self.options.size**0.5).softmax(2)
        grid = min(8, received.shape[2], sent.shape[2]), min(8, received.shape[3], sent.shape[3])
        asking, asked = (F.normalize(F.adaptive_avg_pool2d(maps, grid).flatten(2), dim=2) for maps in (received, sent))
        return (asking @ asked.transpose(1, 2) * asking.shape[2] ** 0.5).softmax(2)

    def _found(self, to: str, received: Tensor, sent: Tensor) -> Tensor:
        weights = self.weights(to, received, sent)
        if self.options.over == "positions":
            found = (weights @ sent.flatten(2).transpose(1, 2)).transpose(1, 2)
            maps = found.unflatten(2, received.shape[2:])
        else:
            maps = (weights @ at_positions_of(received, sent).flatten(2)).unflatten(2, received.shape[2:])
        added: Tensor = self.outputs[to](maps)
        return added
