"""Rows of an experiment's table against each other: by seed, and by image."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from ..base.statistics import Difference, McNemar, holm, mcnemar, paired_difference
from ..runs.predictions import LEVELS, Predictions

COMPARED = ("fine_pct", "coarse_pct", "rollup_pct")
"""The measures that rows are compared by."""


@dataclass(frozen=True)
class Comparison:
    """A row minus a reference row in one measure, paired by seed. p_holm: p corrected over all comparisons."""

    row: str
    reference: str
    measure: str
    difference: Difference
    p_holm: float | None = None


@dataclass(frozen=True)
class ImageComparison:
    """A row against a reference row on the test images, within a seed, at one level. first: the row.

    p_holm: p corrected over all of these.
    """

    row: str
    reference: str
    seed: int
    level: str
    test: McNemar
    p_holm: float | None = None


def compare_rows(
    measures: Mapping[str, Mapping[int, Mapping[str, float]]], references: Sequence[str]
) -> list[Comparison]:
    """Compare every row with every reference, over the seeds that both have. measures: by row, seed and name."""
    comparisons = []
    for row, reference in _pairs(measures, references):
        for name in COMPARED:
            seeds = [
                seed
                for seed in measures[row]
                if name in measures[row][seed] and name in measures[reference].get(seed, {})
            ]
            if seeds:
                pair = [[measures[each][seed][name] for seed in seeds] for each in (row, reference)]
                comparisons.append(Comparison(row, reference, name, paired_difference(*pair)))
    corrected = holm([comparison.difference.p for comparison in comparisons])
    return [replace(comparison, p_holm=p) for comparison, p in zip(comparisons, corrected)]


def compare_images(
    predictions: Mapping[str, Mapping[int, Predictions]], references: Sequence[str]
) -> list[ImageComparison]:
    """Compare every row with every reference image by image, within each seed that both have, at each level."""
    comparisons = []
    for row, reference in _pairs(predictions, references):
        for seed in [seed for seed in predictions[row] if seed in predictions[reference]]:
            own, other = predictions[row][seed], predictions[reference][seed]
            for level in [level for level in LEVELS if level in own.logits and level in other.logits]:
                first, second = own.correct(level), other.correct(level)
                test = mcnemar(int((first & ~second).sum()), int((second & ~first).sum()))
                comparisons.append(ImageComparison(row, reference, seed, level, test))
    corrected = holm([comparison.test.p for comparison in comparisons])
    return [replace(comparison, p_holm=p) for comparison, p in zip(comparisons, corrected)]


def _pairs(rows: Mapping[str, object], references: Sequence[str]) -> list[tuple[str, str]]:
    """Every row with every other one that is a reference; two references are compared once."""
    names = list(rows)
    return [
        (row, reference)
        for reference in references
        for row in names
        if row != reference and not (row in references and references.index(row) < references.index(reference))
    ]
