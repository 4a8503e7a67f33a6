"""Statistics over seeds."""

from collections.abc import Sequence
from statistics import fmean, stdev
from typing import TypedDict


class Summary(TypedDict):
    """n values: their mean, sample standard deviation and 95 % interval of the mean (Student's t); None for n = 1."""

    n: int
    mean: float
    std: float | None
    ci95: tuple[float, float] | None


def summarise(values: Sequence[float]) -> Summary:
    """Summarise one value a seed; at least one."""
    mean = fmean(values)
    if len(values) < 2:
        return Summary(n=1, mean=mean, std=None, ci95=None)
    from scipy.stats import t  # takes a second to import

    deviation = stdev(values)
    half = float(t.ppf(0.975, len(values) - 1)) * deviation / len(values) ** 0.5
    return Summary(n=len(values), mean=mean, std=deviation, ci95=(mean - half, mean + half))
