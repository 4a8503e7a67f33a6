"""Statistics over seeds and over images. The tests are scipy's."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, stdev
from typing import TypedDict

CONFIDENCE = 0.95
FEWEST_FOR_P = 3
"""Pairs below which no p is given: with two, the test has one degree of freedom, and almost no power."""


class Summary(TypedDict):
    """n values: their mean, sample standard deviation and 95 % interval of the mean (Student's t); None for n = 1."""

    n: int
    mean: float
    std: float | None
    ci95: tuple[float, float] | None


@dataclass(frozen=True)
class Difference:
    """The mean difference of n pairs, its 95 % interval (None for n = 1), and the p of a paired two-sided t-test.

    note: why there is no p.
    """

    n: int
    mean: float
    ci95: tuple[float, float] | None
    p: float | None
    note: str = ""


@dataclass(frozen=True)
class McNemar:
    """Of the images that one of two classifiers gets right and the other wrong: how many each gets right.

    p: of McNemar's test, exact and two-sided (the binomial test of a share of one half); 1 where there are none.
    """

    first_only: int
    second_only: int
    p: float


def summarise(values: Sequence[float]) -> Summary:
    """Summarise one value a seed; at least one."""
    mean = fmean(values)
    if len(values) < 2:
        return Summary(n=1, mean=mean, std=None, ci95=None)
    from scipy.stats import t  # takes a second to import

    deviation = stdev(values)
    half = float(t.ppf((1 + CONFIDENCE) / 2, len(values) - 1)) * deviation / len(values) ** 0.5
    return Summary(n=len(values), mean=mean, std=deviation, ci95=(mean - half, mean + half))


def paired_difference(values: Sequence[float], reference: Sequence[float]) -> Difference:
    """Compare values with those of a reference, pair by pair (here: seed by seed); at least one pair."""
    differences = [value - other for value, other in zip(values, reference, strict=True)]
    summary = summarise(differences)
    # Equal but for the rounding of percents, which a t-test would take for a certain difference.
    if max(differences) - min(differences) <= 1e-12 * max(map(abs, [*values, *reference])):
        note = "one pair only" if len(differences) == 1 else "all differences are equal"
        return Difference(summary["n"], summary["mean"], summary["ci95"], None, note)
    from scipy.stats import ttest_rel

    test = ttest_rel(values, reference)
    interval = test.confidence_interval(CONFIDENCE)
    few = f"fewer than {FEWEST_FOR_P} pairs" if len(differences) < FEWEST_FOR_P else ""
    p = None if few else float(test.pvalue)
    return Difference(len(differences), summary["mean"], (float(interval.low), float(interval.high)), p, few)


def mcnemar(first_only: int, second_only: int) -> McNemar:
    """Compare two classifiers on the same images (McNemar 1947), by those that exactly one of them gets right."""
    from scipy.stats import binomtest

    discordant = first_only + second_only
    p = float(binomtest(first_only, discordant).pvalue) if discordant else 1.0
    return McNemar(first_only, second_only, p)


def holm(p_values: Sequence[float | None]) -> list[float | None]:
    """Correct p values for their number (Holm 1979), each in its place; None stays None and does not count."""
    given = sorted((p, index) for index, p in enumerate(p_values) if p is not None)
    corrected: list[float | None] = [None] * len(p_values)
    largest = 0.0
    for rank, (p, index) in enumerate(given):
        largest = max(largest, min(1.0, (len(given) - rank) * p))
        corrected[index] = largest
    return corrected
