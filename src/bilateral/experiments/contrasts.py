"""The family of contrasts that a config declares, tested together, and the verdict in a sentence."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from ..base.statistics import CONFIDENCE, FEWEST_FOR_P, CrossedDifference, crossed_difference, holm
from ..runs.experiment_config import Accuracy, ContrastsConfig
from .measures import MEASURES

BETTER, WORSE, EQUAL, OPEN = "better", "worse", "as good as", "not told apart"
UNDECIDED = "no verdict"
"""Of fewer than three seeds."""

Correct = Mapping[str, npt.NDArray[np.bool_]]
"""Of one network: for each accuracy, by its name in ACCURACIES, whether each image counts in it."""


@dataclass(frozen=True)
class Contrast:
    """A row minus another one in one measure, in points, over the seeds that both have.

    p_holm, p_equivalent_holm: the p of the difference, and of equivalence, each corrected over its kind in the family.
    verdict: BETTER or WORSE by the first, else EQUAL by the second, else OPEN; UNDECIDED without p.
    """

    row: str
    other: str
    measure: Accuracy
    difference: CrossedDifference
    p_holm: float | None
    p_equivalent_holm: float | None
    verdict: str


def contrast_rows(correct: Mapping[str, Mapping[int, Correct]], family: ContrastsConfig) -> list[Contrast]:
    """Test the whole family on what rows get right, by row, seed and measure.

    Pairs of rows without a common seed are absent.
    """
    found: list[tuple[str, Accuracy, CrossedDifference]] = []
    own = correct.get(family.row, {})
    for other in family.against:
        for name in family.measures:
            seeds = [s for s in own if name in own[s] and name in correct.get(other, {}).get(s, {})]
            if seeds:
                pairs = [own[s][name].astype(float) - correct[other][s][name] for s in seeds]
                found.append((other, name, crossed_difference(100 * np.stack(pairs), family.margin)))
    different = holm([difference.p for _, _, difference in found])
    equivalent = holm([difference.p_equivalent for _, _, difference in found])
    return [
        Contrast(family.row, other, name, difference, p, equal, _verdict(difference.mean, p, equal))
        for (other, name, difference), p, equal in zip(found, different, equivalent)
    ]


def _verdict(mean: float, p: float | None, p_equivalent: float | None) -> str:
    if p is None or p_equivalent is None:
        return UNDECIDED
    if p < 1 - CONFIDENCE:
        return BETTER if mean > 0 else WORSE
    return EQUAL if p_equivalent < 1 - CONFIDENCE else OPEN


def answer(contrasts: Sequence[Contrast], titles: Mapping[str, str]) -> str:
    """Give the verdict: better than which networks, and not than which. titles: of the rows, by name."""
    if not contrasts:
        return "No verdict: the table lacks the rows that the question is about."
    title = titles.get(contrasts[0].row, contrasts[0].row)
    fewest = min(contrast.difference.n for contrast in contrasts)
    if any(contrast.verdict == UNDECIDED for contrast in contrasts):
        return f"No verdict from {fewest} seed{'s' * (fewest > 1)}: it takes at least {FEWEST_FOR_P}."
    told = against(
        Compared(
            titles.get(each.other, each.other),
            MEASURES[each.measure],
            each.difference.mean,
            each.difference.ci95,
            each.verdict,
        )
        for each in contrasts
    )
    return f"Is “{title}” better? {told}. {fewest} seeds, Holm-corrected."


class Compared(NamedTuple):
    """What is said of a comparison. title: of the other network. points: the difference, with its interval."""

    title: str
    measure: str
    points: float
    ci95: tuple[float, float]
    verdict: str


def against(compared: Iterable[Compared]) -> str:
    """Say against which networks one is better, and of the others, how large the difference may be.

    >>> one, two = ("one", "fine", 2.94, (1.9, 4.0), "better"), ("two", "fine", 0.1, (-0.9, 1.1), "not told apart")
    >>> against([Compared(*one), Compared(*two)])
    'Yes against “one” (fine +2.9 points); not shown against “two” (95 % interval -0.9 to 1.1 points)'
    """
    found = list(compared)
    groups: dict[str, list[str]] = {word: [] for word in ("yes", "in part", "mixed", "no", "as good", "not shown")}
    open_intervals: dict[str, list[tuple[float, float]]] = {"as good": [], "not shown": []}
    for title in dict.fromkeys(each.title for each in found):
        own = [each for each in found if each.title == title]
        points = ", ".join(f"{each.measure} {each.points:+.1f}" for each in own if each.verdict in (BETTER, WORSE))
        word = whether_better([each.verdict for each in own])
        groups[word].append(f"“{title}”{f' ({points} points)' if points else ''}")
        if word in open_intervals:
            open_intervals[word] += [each.ci95 for each in own]
    clauses = [
        f"{word} {'as' if word == 'as good' else 'against'} {', '.join(names)}{_within(open_intervals.get(word, []))}"
        for word, names in groups.items()
        if names
    ]
    return f"{clauses[0][0].upper()}{'; '.join(clauses)[1:]}"


def _within(intervals: Sequence[tuple[float, float]]) -> str:
    if not intervals:
        return ""
    ends = f"{min(low for low, _ in intervals):.1f} to {max(high for _, high in intervals):.1f} points"
    return f" (95 % interval{'s within' * (len(intervals) > 1)} {ends})"


def whether_better(verdicts: Collection[str]) -> str:
    """Sum up the verdicts of some comparisons in a word or two."""
    if BETTER in verdicts:
        return "mixed" if WORSE in verdicts else "yes" if set(verdicts) == {BETTER} else "in part"
    return "no" if WORSE in verdicts else "as good" if set(verdicts) == {EQUAL} else "not shown"


def by_row(contrasts: Sequence[Contrast], titles: Mapping[str, str]) -> list[str]:
    """Say of each other row, in a sentence, how it compares in every measure."""
    sentences = []
    for other in dict.fromkeys(contrast.other for contrast in contrasts):
        parts = [
            f"{MEASURES[each.measure]} {each.difference.mean:+.2f} points, {each.verdict} "
            f"({each.difference.ci95[0]:.2f} to {each.difference.ci95[1]:.2f})"
            for each in contrasts
            if each.other == other
        ]
        sentences.append(f"Against “{titles.get(other, other)}”: {'; '.join(parts)}.")
    return sentences
