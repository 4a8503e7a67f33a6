"""A gated bridge: each hemisphere decides, image by image, how strong the other's values are."""

from collections.abc import Mapping
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn

from ...base.errors import ConfigError
from ...base.section import Section
from .base import Bridge, Direction, at_positions_of


class Gated(Bridge):
    """left times g(right), right times h(left): factors between 0 and 2 that are 1 at the start.

    Over channels: a factor for each channel, from the mean over positions of what is sent, as squeeze-and-excitation
    computes them from a network's own values (Hu et al. 2018, arXiv 1709.01507). Over positions: one for each
    position, from the channels that are sent there. Each side keeps its own stream; nothing is added to it.

    >>> shapes = {"left": torch.Size([4, 8, 8]), "right": torch.Size([6, 8, 8])}
    >>> gated = Gated(Gated.Options(over="positions"), shapes)
    >>> {side: tuple(gate.weight.shape) for side, gate in gated.gates.items()}
    {'left': (1, 6, 1, 1), 'right': (1, 4, 1, 1)}
    """

    class Options(Section):
        """Who gates whom, and what."""

        direction: Direction = "both"
        over: Literal["channels", "positions"] = "channels"

    neutral: ClassVar = {}

    def __init__(self, options: Options, shapes: Mapping[str, torch.Size]) -> None:
        super().__init__(options, shapes)
        if options.over == "positions" and any(len(shape) != 3 for shape in shapes.values()):
            raise ConfigError("over: positions needs ends that have positions; choose earlier stages, or channels")
        self.gates = nn.ModuleDict({to: self._gate(shapes[by][0], shapes[to][0]) for to, by in self.senders.items()})

    def forward(self, values: dict[str, Tensor]) -> dict[str, Tensor]:
        """Weigh each side's values (B, ...) as the other says."""
        return values | {to: values[to] * self.factors(to, values[by], values[to]) for to, by in self.senders.items()}

    def factors(self, to: str, sent: Tensor, received: Tensor) -> Tensor:
        """The factors on what a side has, by what is sent to it: (B, C), (B, C, 1, 1) or (B, 1, H, W)."""
        if self.options.over == "positions":
            return 2 * self.gates[to](at_positions_of(received, sent)).sigmoid()
        logits: Tensor = self.gates[to](sent.flatten(2).mean(2) if sent.ndim > 2 else sent)
        return 2 * logits.sigmoid().view(*logits.shape, *[1] * (received.ndim - 2))

    def _gate(self, sent: int, received: int) -> nn.Module:
        gate = nn.Linear(sent, received) if self.options.over == "channels" else nn.Conv2d(sent, 1, 1)
        nn.init.zeros_(gate.weight)
        nn.init.zeros_(gate.bias)  # type: ignore[arg-type]
        return gate
