"""An additive bridge: each hemisphere gets a linear map of the other's values on top of its own."""

from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F

from ...base.errors import ConfigError
from ...base.section import Section
from ..parts.noise import Noise
from ..schedule import Varying, between
from .base import Bridge, Direction, at_positions_of


class Additive(Bridge):
    """left + A right, right + B left, where A and B are linear over channels and the same at every position.

    They are zero at the start, so that a fresh bridge changes nothing. Maps of another height and width are brought to
    the receiver's by averaging (or repeating) positions. Both ends have positions, (C, H, W), or neither has, (D,).

    A homotopic bridge joins each channel to the one of the same number on the other side. Callosal connections are
    mostly excitatory, and inhibitory ones are held to make the sides differ (Cook 1984; Bloom and Hynd 2005,
    10.1007/s11065-005-6252-y): `sign` holds all weights on one side of zero through training.
    """

    class Options(Section):
        """Who hears whom, and by which connections."""

        direction: Direction = "both"
        projection: Literal["full", "homotopic"] = "full"
        """full: every channel to every one; homotopic: to the one of the same number."""
        sign: Literal["free", "excitatory", "inhibitory"] = "free"
        """Of the weights: excitatory ones are not negative, inhibitory ones not positive."""
        bandwidth: Annotated[float, Field(gt=0, le=1)] = 1.0
        """Share of the sender's channels that are sent, the first ones; at least one."""
        strength: Annotated[float, Field(gt=0)] = 1.0
        """A factor on what is sent, which is not trained."""
        noise: Annotated[Varying, between(0)] = 0.0
        """In training, on what is sent: Gaussian, in units of each channel's standard deviation."""

    neutral: ClassVar = {}

    def __init__(self, options: Options, shapes: Mapping[str, torch.Size]) -> None:
        super().__init__(options, shapes)
        if len({len(shape) for shape in shapes.values()}) > 1:
            ends = " and ".join(f"{side} {'x'.join(map(str, shape))}" for side, shape in shapes.items())
            raise ConfigError(f"one end has positions and the other has none ({ends}); choose stages that are alike")
        if options.projection == "homotopic" and len({shape[0] for shape in shapes.values()}) > 1:
            ends = " and ".join(f"{side} {shape[0]}" for side, shape in shapes.items())
            raise ConfigError(f"projection: the ends have different numbers of channels ({ends}); use full")
        self.counts = {to: max(1, round(options.bandwidth * shapes[by][0])) for to, by in self.senders.items()}
        """Channels that are sent, by the side that hears them."""
        noise = Noise.Options(std=options.noise)
        self.noises = nn.ModuleDict()
        if options.noise != 0:
            self.noises.update({to: Noise(noise, shapes[by][:1]) for to, by in self.senders.items()})
        self.maps = nn.ModuleDict({to: self._layer(count, shapes[to]) for to, count in self.counts.items()})

    def forward(self, values: dict[str, Tensor]) -> dict[str, Tensor]:
        """Add to each side's values (B, ...) the message from the other."""
        return values | {to: values[to] + self._message(to, values[by], values[to]) for to, by in self.senders.items()}

    @property
    def draws(self) -> bool:
        """In training, if there is noise."""
        return self.training and len(self.noises) > 0

    @property
    def mixes_images(self) -> bool:
        """Through the noise, which is relative to a batch's deviation."""
        return self.draws

    def _layer(self, sent: int, received: torch.Size) -> nn.Module:
        layer = nn.Module()
        if self.options.projection == "homotopic":
            layer.weight = nn.Parameter(torch.empty(sent))  # one for each channel
        elif len(received) == 3:
            layer = nn.Conv2d(sent, received[0], 1, bias=False)
        else:
            layer = nn.Linear(sent, received[0], bias=False)
        nn.init.zeros_(layer.weight)  # type: ignore[arg-type]
        return layer

    def _message(self, to: str, sent: Tensor, received: Tensor) -> Tensor:
        if to in self.noises:
            sent = self.noises[to](sent)
        sent = at_positions_of(received, sent[:, : self.counts[to]])
        weight = self._signed(self.maps[to].weight)  # type: ignore[arg-type]
        if self.options.projection == "homotopic":
            message = sent * weight.view(1, -1, *[1] * (sent.ndim - 2))
            message = torch.cat([message, torch.zeros_like(received[:, message.shape[1] :])], 1)
        else:
            message = F.conv2d(sent, weight) if sent.ndim == 4 else F.linear(sent, weight)
        return message if self.options.strength == 1 else self.options.strength * message

    def _signed(self, weight: Tensor) -> Tensor:
        """The weights as they act; gradients go through where they are cut off, so that they can come back."""
        if self.options.sign == "free":
            return weight
        kept = weight.clamp(min=0) if self.options.sign == "excitatory" else weight.clamp(max=0)
        return weight + (kept - weight).detach()
