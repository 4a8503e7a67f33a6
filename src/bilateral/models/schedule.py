"""Settings that change over the epochs of a training."""

from typing import Annotated, Any

from pydantic import AfterValidator, Discriminator, Field, Tag

from ..base.section import Section, Whole


class Schedule(Section):
    """A number that goes in a line from `start`, in the first epoch, to `end`, in epoch `epochs`, and stays there.

    >>> blur_less = Schedule(start=2, end=8, epochs=4)
    >>> [blur_less.at(epoch) for epoch in range(6)]
    [2.0, 4.0, 6.0, 8.0, 8.0, 8.0]
    """

    start: float
    end: float
    epochs: Annotated[Whole, Field(ge=2)]
    """The epoch, counted from 1, that first has `end`."""

    def at(self, epoch: int) -> float:
        """The number in an epoch, counted from 0."""
        progress = min(1.0, epoch / (self.epochs - 1))
        return self.start + progress * (self.end - self.start)


def is_schedule(given: Any) -> bool:
    """Whether it has the keys of a Schedule and no others."""
    return isinstance(given, dict) and given.keys() == Schedule.model_fields.keys()


def _form(given: Any) -> str:
    return "schedule" if isinstance(given, dict | Schedule) else "number"


Varying = Annotated[
    Annotated[float, Tag("number")] | Annotated[Schedule, Tag("schedule")],
    Discriminator(_form),
]
"""A number, or {start: 2, end: 8, epochs: 4}."""


def between(low: float, high: float = float("inf"), above: bool = False) -> AfterValidator:
    """See that a Varying number is never below `low` (`above`: nor at it) or beyond `high`."""

    def check(given: float | Schedule) -> float | Schedule:
        for number in (given.start, given.end) if isinstance(given, Schedule) else (given,):
            if number < low or number > high or (above and number == low):
                least = f"greater than {low:g}" if above else f"at least {low:g}"
                raise ValueError(f"must be {least}" + (f" and at most {high:g}" if high < float("inf") else ""))
        return given

    return AfterValidator(check)
