"""Plasticity: how fast a hemisphere learns, and until when."""

from typing import Annotated

from pydantic import Field

from ..base.section import Section, Whole
from .schedule import Schedule, Varying, between


class Plasticity(Section):
    """Factors on how training changes a hemisphere's weights; batch norm's running statistics go on in any case.

    A side that learns faster takes over what both could learn, in models of two hemispheres with an inhibitory
    callosum (Reggia, Goodall and Shkuro 1998, Neural Computation 10:1277).

    >>> Plasticity(rate={"start": 1, "end": 0.5, "epochs": 3}, until=4).rate_in(2)
    0.5
    """

    rate: Annotated[Varying, between(0)] = 1.0
    """Factor on the learning rate: a number, or a schedule over the epochs."""
    until: Annotated[Whole, Field(ge=1)] | None = None
    """The last epoch, counted from 1, in which it learns; None: to the end."""
    weight_decay: Annotated[float, Field(ge=0)] = 1.0
    """Factor on the weight decay."""

    def rate_in(self, epoch: int) -> float:
        """The factor on the learning rate in an epoch, counted from 0."""
        if self.until is not None and epoch >= self.until:
            return 0.0
        return self.rate.at(epoch) if isinstance(self.rate, Schedule) else self.rate
