"""Statistics over seeds and over images. The tests are scipy's."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, stdev
from typing import TypedDict

import numpy as np

CONFIDENCE = 0.95
FEWEST_FOR_P = 3
"""Seeds below which no p is given: with two, the test has one degree of freedom, and almost no power."""


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
class CrossedDifference:
    """The mean difference of two classifiers over n seeds and a number of images, each seed on the same images.

    ci95_seeds: the 95 % interval over seeds, for these images (None for one seed). ci95: over seeds and images both,
    for one seed over images alone. p: two-sided, that the mean is not 0, over both. p_equivalent: that it lies within
    the margin, by two one-sided tests (Schuirmann 1987), over both. There is no p for fewer than three seeds.
    """

    n: int
    images: int
    mean: float
    ci95_seeds: tuple[float, float] | None
    ci95: tuple[float, float]
    p: float | None
    p_equivalent: float | None


@dataclass(frozen=True)
class FirstPlace:
    """The first of several by a value a seed, and the one that comes nearest; see `first_place`.

    means: of both, each over its own seeds. differences: first minus second, a value for each seed that both have.
    one_seed: all have the same seed alone, and first is ahead in it.
    """

    first: str
    second: str
    means: tuple[float, float]
    differences: list[float]
    told_apart: bool
    one_seed: bool


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


def side_of_zero(values: Sequence[float]) -> int:
    """On which side of 0 the 95 % interval of the mean lies: 1 above, -1 below, 0 if on both or if there is none.

    >>> side_of_zero([1.0, 2.0, 1.5]), side_of_zero([-1.0, 2.0, 1.5]), side_of_zero([1.0])
    (1, 0, 0)
    """
    low, high = (summarise(values)["ci95"] if values else None) or (0.0, 0.0)
    return int(low > 0) - int(high < 0)


def first_place(values: Mapping[tuple[str, int], float], sign: int = 1, first: str = "") -> FirstPlace:
    """Find the highest (sign -1: the lowest) of at least two by their means, and whether it is told apart from all.

    values: by name and seed. first: take this one instead. told_apart: against every other the 95 % interval of the
    difference, paired by seed, lies on its side of 0. Since all must, their number needs no correction. second: of
    those that it is not told apart from, else of all, the highest.

    >>> found = first_place({("a", 0): 9, ("a", 1): 8, ("a", 2): 9, ("b", 0): 5, ("b", 1): 3, ("b", 2): 5})
    >>> found.first, found.second, found.differences, found.told_apart
    ('a', 'b', [4, 5, 4], True)
    """
    by_name: dict[str, dict[int, float]] = {}
    for (name, seed), value in values.items():
        by_name.setdefault(name, {})[seed] = value
    means = {name: fmean(own.values()) for name, own in by_name.items()}
    order = sorted(means, key=lambda name: -sign * means[name])
    first = first or order[0]
    others = {
        name: [value - by_name[name][seed] for seed, value in by_name[first].items() if seed in by_name[name]]
        for name in order
        if name != first
    }
    near = [name for name, differences in others.items() if side_of_zero(differences) != sign]
    second = [*near, *others][0]
    seeds = {seed for _, seed in values}
    in_one = len(seeds) == 1 and sign * others[second][0] > 0
    return FirstPlace(first, second, (means[first], means[second]), others[second], not near, in_one)


def crossed_difference(differences: np.ndarray, margin: float) -> CrossedDifference:
    """Compare two classifiers by their differences on every image (columns) with every seed (rows).

    Seeds and images are both samples: other seeds and other images would give another mean. Its variance is that of a
    two-way layout without replication, with random rows and columns (as for readers and cases in radiology: Dorfman,
    Berbaum & Metz 1992; Hillis 2007), at least that of either alone; degrees of freedom by Satterthwaite (1946).
    margin: half the width of what counts as equal, in the unit of the differences.

    >>> right, wrong = np.tile([1, 1, 0, 1], (3, 1)), np.tile([1, 0, 0, 1], (3, 1))
    >>> crossed_difference(100.0 * (right - wrong), margin=0.5).mean
    25.0
    """
    from scipy.stats import t  # takes a second to import

    seeds, images = differences.shape
    mean = float(differences.mean())
    by_seed, by_image = differences.mean(1), differences.mean(0)
    rest = differences - by_seed[:, None] - by_image + mean
    free = (max(seeds - 1, 1), max(images - 1, 1))
    squares = [
        images * float(((by_seed - mean) ** 2).sum()) / free[0],
        seeds * float(((by_image - mean) ** 2).sum()) / free[1],
        float((rest**2).sum()) / (free[0] * free[1]),
    ]
    total = max(squares[0] + squares[1] - squares[2], squares[0], squares[1])
    doubt = squares[0] ** 2 / free[0] + squares[1] ** 2 / free[1] + squares[2] ** 2 / (free[0] * free[1])
    freedom = total**2 / doubt if doubt else float(free[1])
    error = (total / (seeds * images)) ** 0.5
    half = float(t.ppf((1 + CONFIDENCE) / 2, freedom)) * error
    p = p_equivalent = None
    if seeds >= FEWEST_FOR_P:
        p = float(2 * t.sf(abs(mean) / error, freedom)) if error else float(mean == 0)
        p_equivalent = float(t.sf((margin - abs(mean)) / error, freedom)) if error else float(abs(mean) >= margin)
    over_seeds = summarise(by_seed.tolist())["ci95"]
    return CrossedDifference(seeds, images, mean, over_seeds, (mean - half, mean + half), p, p_equivalent)


def holm(p_values: Sequence[float | None]) -> list[float | None]:
    """Correct p values for their number (Holm 1979), each in its place; None stays None and does not count."""
    given = sorted((p, index) for index, p in enumerate(p_values) if p is not None)
    corrected: list[float | None] = [None] * len(p_values)
    largest = 0.0
    for rank, (p, index) in enumerate(given):
        largest = max(largest, min(1.0, (len(given) - rank) * p))
        corrected[index] = largest
    return corrected
