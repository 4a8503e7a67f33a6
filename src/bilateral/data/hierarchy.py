"""Two label levels, and which coarse label each fine one belongs to."""

from dataclasses import dataclass

import torch
from torch import Tensor

from ..base.errors import DataError


@dataclass(frozen=True)
class LabelHierarchy:
    """Names of F fine and C coarse labels, and the coarse label of each fine one.

    Raises DataError for members of another kind, a name that is empty, given twice or cannot be recorded, a fine label
    that points outside the coarse ones, and a coarse label that has no member.
    """

    fine_names: tuple[str, ...]
    coarse_names: tuple[str, ...]
    coarse_of_fine: tuple[int, ...]

    def __post_init__(self) -> None:
        _check_names(self.fine_names, "fine")
        _check_names(self.coarse_names, "coarse")
        if not isinstance(self.coarse_of_fine, tuple) or any(type(coarse) is not int for coarse in self.coarse_of_fine):
            raise DataError("coarse_of_fine must be a tuple of whole numbers, the coarse label of each fine one")
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
        for coarse in sorted(set(range(len(self.coarse_names))) - set(self.coarse_of_fine)):
            raise DataError(f"coarse label {self.coarse_names[coarse]!r} has no fine label below it")

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


def _check_names(names: object, level: str) -> None:
    if not isinstance(names, tuple) or not names or not all(isinstance(name, str) for name in names):
        raise DataError(f"{level}_names must be a tuple of text, one name for each {level} label")
    seen: set[str] = set()
    for name in names:
        if not name:
            raise DataError(f"{level} label {len(seen)} has an empty name; give it one")
        if name in seen:
            raise DataError(f"two {level} labels are both named {name!r}; rename one")
        try:
            name.encode()
        except UnicodeEncodeError:
            raise DataError(f"the {level} label {name!r} cannot be recorded as text in UTF-8; rename it") from None
        seen.add(name)
