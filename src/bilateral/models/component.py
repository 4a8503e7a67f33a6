"""What parts, bridges, joins and lesions have in common."""

from abc import ABC
from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from ..base.section import Section
from .schedule import Schedule


class Component(nn.Module, ABC):
    """A module of a network that a config names by its kind; it declares what others need to know of it.

    An option may be a Schedule: then `now` gives its value in the current epoch, which is saved with the weights.
    """

    Options: ClassVar[type[Section]] = Section
    """The settings of the kind."""
    neutral: ClassVar[Mapping[str, Any] | None] = None
    """Options with which a fresh one changes nothing, if there are such."""
    example: ClassVar[Mapping[str, Any]] = {}
    """Options with which tests try it; none: the defaults."""
    needs_positions: ClassVar[bool] = False
    """Whether it works on maps (B, C, H, W) alone; not on features (B, D)."""
    epoch: Tensor
    """The epoch of the training, counted from 0; only there if something of it depends on the epoch."""

    def __init__(self, options: Any) -> None:
        super().__init__()
        self.options = options
        if any(isinstance(value, Schedule) for _, value in options or ()):
            self.keep_epoch()

    def keep_epoch(self) -> None:
        """Begin to count epochs."""
        self.register_buffer("epoch", torch.zeros((), dtype=torch.long))

    @property
    def changes(self) -> bool:
        """Whether it works otherwise in another epoch."""
        return hasattr(self, "epoch")

    @property
    def draws(self) -> bool:
        """Whether it draws random numbers in the mode that it is in."""
        return False

    @property
    def mixes_images(self) -> bool:
        """Whether, in the mode that it is in, an image's result depends on the others of its batch."""
        return False

    def now(self, name: str) -> float:
        """The value of an option in this epoch. Without memory (on the meta device) this is the first one's."""
        value = getattr(self.options, name)
        if not isinstance(value, Schedule):
            return float(value)
        return value.at(0 if self.epoch.is_meta else int(self.epoch))
