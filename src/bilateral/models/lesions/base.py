"""What a lesion is."""

from collections.abc import Mapping
from typing import Any, ClassVar

from torch import Tensor, nn

from ...base.section import Section


class Lesion(nn.Module):
    """Changes, in evaluation mode alone, what its target says: (B, ...) -> the same shape.

    The target is a side: then what it says are its features, as the join gets them; or a part or a bridge: then it is
    what this adds to the values that it gets.
    """

    Options: ClassVar[type[Section]] = Section
    example: ClassVar[Mapping[str, Any]] = {}
    """Options with which tests try it; none: the defaults."""
    at: str
    """Its target: a side ("left"), a bridge, one direction of it ("callosum.to_left"), or a part ("left.noise")."""

    def __init__(self, options: Any) -> None:
        super().__init__()
        self.options = options

    def forward(self, message: Tensor) -> Tensor:
        """Change what the target says, (B, ...)."""
        raise NotImplementedError
