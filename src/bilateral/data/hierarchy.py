"""Two label levels, and which coarse label each fine one belongs to."""

from dataclasses import dataclass

import torch
from torch import Tensor

from ..base.errors import DataError


@dataclass(frozen=True)
class LabelHierarchy:
    """Names of F fine and C coarse labels, and the coarse label of each fine one.

    Raises DataError where a fine label points outside the coarse ones, or a coarse label has no member.
    """

    fine_names: tuple[str, ...]
    coarse_names: tuple[str, ...]
    coarse_of_fine: tuple[int, ...]

    def __post_init__(self) -> None:
        if len(self.coarse_of_fine) != len(self.fine_names):
            raise DataError(
                f"the hierarchy names {len(self.fine_names)} fine labels but gives "
                f"{len(self.coarse_of_fine)} of them a coarse label"
            )
        for name, coarse in zip(self.fine_names, self.coarse_of_fine):
            if not 0 <= coarse < len(self.coarse_names):
                raise DataError(
                    f"fine label {name!r} belongs to coarse label {coarse}, which is outside 0 to "
                    f"{len(self.coarse_names) - 1}"
                )
        used = set(self.coarse_of_fine)
        for coarse, name in enumerate(self.coarse_names):
            if coarse not in used:
                raise DataError(f"coarse label {name!r} has no fine label below it")

    @property
    def fine_count(self) -> int:
        """F."""
        return len(self.fine_names)

    @property
    def coarse_count(self) -> int:
        """C."""
        return len(self.coarse_names)

    def roll_up(self, fine: Tensor) -> Tensor:
        """Map fine labels (any shape, int64) to their coarse labels (same shape)."""
        return torch.tensor(self.coarse_of_fine, device=fine.device)[fine]
