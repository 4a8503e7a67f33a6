"""What a bridge is."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from ..component import Component


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

    def forward(self, values: dict[str, Tensor]) -> dict[str, Tensor]:
        """Change the values at its ends, (B, ...) by side."""
        raise NotImplementedError
