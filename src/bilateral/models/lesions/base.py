"""What a lesion is."""

from abc import abstractmethod

from torch import Tensor

from ..component import Component


class Lesion(Component):
    """Changes what its target says: (B, ...) -> the same shape. In evaluation mode alone, or from an epoch on always.

    The target is a side: then what it says are its features, as the join gets them; or a part or a bridge: then it is
    what this adds to the values that it gets.
    """

    at: str
    """Its target: a side ("left"), a bridge, one direction of it ("callosum.to_left"), or a part ("left.noise")."""

    from_epoch: int | None = None
    """The epoch of the training, counted from 1, from which on it acts in training, too; None: in evaluation alone."""

    @property
    def acts(self) -> bool:
        """Whether it acts now."""
        if self.from_epoch is None:
            return not self.training
        return not self.epoch.is_meta and int(self.epoch) + 1 >= self.from_epoch

    @abstractmethod
    def forward(self, message: Tensor) -> Tensor:
        """Change what the target says, (B, ...)."""
