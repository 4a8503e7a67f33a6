"""What a part is."""

from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from ...base.section import Section

INPUT = "input"
"""The place before a hemisphere's first stage."""


class Part(nn.Module):
    """Changes the values of a hemisphere after a stage (or `input`), for every image alike: (B, ...) -> (B, ...).

    A subclass takes its options and the shape of one image's values at its place, (C, H, W) or (D,), and declares what
    others need to know of it. One of your own needs no more than this, and `kind: my_package.my_module:Scaled`:

    >>> class Scaled(Part):
    ...     class Options(Section):
    ...         factor: float = 1.0
    ...     neutral = {"factor": 1.0}
    ...     def forward(self, values):
    ...         return self.options.factor * values
    >>> Scaled(Scaled.Options(factor=2.0), torch.Size([3, 8, 8]))(torch.ones(2, 3, 8, 8)).mean().item()
    2.0
    """

    Options: ClassVar[type[Section]] = Section
    neutral: ClassVar[Mapping[str, Any] | None] = None
    """Options with which it changes nothing, if there are such."""
    example: ClassVar[Mapping[str, Any]] = {}
    """Options with which tests try it; none: the defaults."""
    after: str = INPUT
    """The stage that it follows; set where the network is built."""

    def __init__(self, options: Any, shape: torch.Size) -> None:
        super().__init__()
        self.options, self.shape = options, shape

    def forward(self, values: Tensor) -> Tensor:
        """Change values (B, ...)."""
        raise NotImplementedError

    @property
    def draws(self) -> bool:
        """Whether it draws random numbers in the mode that it is in."""
        return False

    @property
    def mixes_images(self) -> bool:
        """Whether, in the mode that it is in, an image's result depends on the others of its batch."""
        return False

    def extra_repr(self) -> str:
        """Name its place and its options."""
        return ", ".join([f"after={self.after}", *(f"{key}={value}" for key, value in self.options)])
