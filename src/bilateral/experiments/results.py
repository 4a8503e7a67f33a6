"""What came of an experiment: by row and seed, and of the whole."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated

from pydantic import Field

from ..runs.predictions import LEVELS
from ..runs.scheduling import Failure
from .contrasts import Contrast, Correct, answer


@dataclass(frozen=True)
class SeedResult:
    """What came of a row with one seed.

    measures: by the names of MEASURES. correct: for each accuracy, whether each test image counts in it. training_s:
    seconds of every training that it comes from. rise: points by which the held-out accuracy of one of these trainings
    still rose in its last tenth, the largest. folders: of its runs; empty where these are on another machine.
    """

    measures: Mapping[str, float]
    correct: Correct
    training_s: float
    rise: float
    folders: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class RowResult:
    """A row of the table. Seeds of which a run failed are absent.

    costs: `parameters`, `trainable_parameters` and `multiply_adds` of all its networks together, and
    `training_pflops` (10^15) of every training that they come from. kinds: of its runs, which are the same for all
    seeds: digests of config, data and code.
    """

    name: str
    title: str
    costs: Mapping[str, float]
    kinds: list[str]
    seeds: Mapping[int, SeedResult]


@dataclass(frozen=True)
class Gain:
    """What twice the epochs bring a row on held-out images: accuracy, %, by level, of both, for one seed.

    kinds: of the row's runs, as in RowResult.
    """

    row: str
    title: str
    seed: int
    kinds: list[str]
    once_pct: dict[str, Annotated[float, Field(ge=0, le=100)]]
    twice_pct: dict[str, Annotated[float, Field(ge=0, le=100)]]

    def __post_init__(self) -> None:
        if not self.once_pct or self.once_pct.keys() != self.twice_pct.keys() or not {*self.once_pct} <= {*LEVELS}:
            raise ValueError("its accuracies are not of the same levels once and twice")

    @property
    def points(self) -> float:
        """The larger gain of the levels."""
        return max(self.twice_pct[level] - value for level, value in self.once_pct.items())


@dataclass(frozen=True)
class Table:
    """All that came of an experiment. doubts: what a reader must know of its contrasts, in sentences.

    asks: whether its config declares contrasts at all.
    """

    rows: list[RowResult]
    contrasts: list[Contrast]
    doubts: list[str]
    failures: list[Failure]
    gains: list[Gain] = field(default_factory=list)
    asks: bool = True

    @property
    def titles(self) -> dict[str, str]:
        """Of the rows, by name."""
        return {row.name: row.title for row in self.rows}

    @property
    def answer(self) -> str:
        """The verdict in one sentence; "" where nothing is asked."""
        return answer(self.contrasts, self.titles) if self.asks else ""
