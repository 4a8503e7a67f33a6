"""What a join is."""

from collections.abc import Mapping
from typing import Any, ClassVar

from torch import Tensor, nn

from ...base.section import Section


class Join(nn.Module):
    """Makes of the hemispheres' features, (B, D) by side, what the heads get, (B, num_features).

    A subclass takes its options and the number of features by side, and sets `num_features`.
    """

    Options: ClassVar[type[Section]] = Section
    example: ClassVar[Mapping[str, Any]] = {}
    """Options with which tests try it; none: the defaults."""
    num_features: int

    def __init__(self, options: Any, sizes: Mapping[str, int]) -> None:
        super().__init__()
        self.options, self.sizes = options, dict(sizes)

    def forward(self, features: dict[str, Tensor]) -> Tensor:
        """Join features (B, D) by side."""
        raise NotImplementedError
