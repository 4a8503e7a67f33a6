"""What a bridge is."""

from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from ...base.section import Section


class Bridge(nn.Module):
    """Changes the values of both hemispheres, each by those of the other: by side (B, ...) -> by side, same shapes.

    A subclass takes its options and the shapes of one image's values at its ends, by side, (C, H, W) or (D,).
    """

    Options: ClassVar[type[Section]] = Section
    neutral: ClassVar[Mapping[str, Any] | None] = None
    """Options with which a fresh one changes nothing, if there are such."""
    example: ClassVar[Mapping[str, Any]] = {}
    """Options with which tests try it; none: the defaults."""
    between: Mapping[str, str]
    """By side, the stage that it stands after; set where the network is built."""

    def __init__(self, options: Any, shapes: Mapping[str, torch.Size]) -> None:
        super().__init__()
        self.options, self.shapes = options, dict(shapes)

    def forward(self, values: dict[str, Tensor]) -> dict[str, Tensor]:
        """Change the values at its ends, (B, ...) by side."""
        raise NotImplementedError

    @property
    def draws(self) -> bool:
        """Whether it draws random numbers in the mode that it is in."""
        return False
