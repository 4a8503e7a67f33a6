"""What a part is."""

from abc import abstractmethod
from typing import Any

import torch
from torch import Tensor

from ..component import Component

INPUT = "input"
"""The place before a hemisphere's first stage."""


class Part(Component):
    """Changes the values of a hemisphere after a stage (or `input`), for every image alike: (B, ...) -> (B, ...).

    A subclass takes its options and the shape of one image's values at its place, (C, H, W) or (D,), and declares what
    others need to know of it. One of your own needs no more than this, and `kind: my_package.my_module:Scaled`:

    >>> from bilateral.base.section import Section
    >>> class Scaled(Part):
    ...     class Options(Section):
    ...         factor: float = 1.0
    ...     neutral = {"factor": 1.0}
    ...     def forward(self, values):
    ...         return self.options.factor * values
    >>> Scaled(Scaled.Options(factor=2.0), torch.Size([3, 8, 8]))(torch.ones(2, 3, 8, 8)).mean().item()
    2.0
    """

    after: str = INPUT
    """The stage that it follows; set where the network is built."""

    def __init__(self, options: Any, shape: torch.Size) -> None:
        super().__init__(options)
        self.shape = shape

    @abstractmethod
    def forward(self, values: Tensor) -> Tensor:
        """Change values (B, ...)."""

    def extra_repr(self) -> str:
        """Name its place and its options."""
        return ", ".join([f"after={self.after}", *(f"{key}={value}" for key, value in self.options)])
