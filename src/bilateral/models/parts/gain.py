"""Gain: a factor on the values at a place, as neuromodulators set it."""

from typing import Annotated, ClassVar

from torch import Tensor

from ...base.section import Section
from ..schedule import Varying, between
from .base import Part


class Gain(Part):
    """Multiply all values by `factor`. (B, ...) -> the same.

    After a stage that ends in a ReLU this is a factor on what the ReLU gets, which is how catecholamines are modelled
    (Servan-Schreiber, Printz and Cohen 1990, 10.1126/science.2392679; there 0.5 to 2). Batch norm behind it in the next
    stage takes the factor away again while it trains, so what is seen is a gain after the last batch norm, or one that
    is changed when the network is tested.
    """

    class Options(Section):
        """The factor."""

        factor: Annotated[Varying, between(0, above=True)]

    neutral: ClassVar = {"factor": 1.0}
    example: ClassVar = {"factor": 1.5}

    def forward(self, values: Tensor) -> Tensor:
        """Scale values."""
        return self.now("factor") * values
