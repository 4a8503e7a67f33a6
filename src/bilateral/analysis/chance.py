"""An analysis concludes nothing from a network, or from a readout, that is not shown to be better than chance."""

from collections.abc import Iterator
from dataclasses import dataclass

import pandas as pd

from ..base.statistics import CONFIDENCE
from ..runs.predictions import LEVELS
from .base import Analysis
from .study import Study


@dataclass(frozen=True)
class Answers:
    """How many of the test images somebody names correctly, mean over seeds, in percent, and what chance would."""

    who: str
    accuracy_pct: float
    images: int
    chance_pct: float

    @property
    def at_chance(self) -> bool:
        """Whether as many right answers come by chance in more than one of twenty cases (exact binomial test).

        The seeds answer the same images, so that they count as one network, not as more images.

        >>> Answers("the fine head", 2.6, 2000, 2.5).at_chance, Answers("the fine head", 4.0, 2000, 2.5).at_chance
        (True, False)
        """
        from scipy.stats import binomtest  # takes a second to import

        right = round(self.accuracy_pct / 100 * self.images)
        test = binomtest(right, self.images, self.chance_pct / 100, alternative="greater")
        return bool(test.pvalue >= 1 - CONFIDENCE)


def conclusion(study: Study, analysis: Analysis, table: pd.DataFrame) -> tuple[str, bool]:
    """What an analysis says of its table, and whether that is only that something it rests on is at chance."""
    found = [answers for answers in _answers(study, analysis, table) if answers.at_chance]
    if not found:
        return analysis.tell(table), False
    names = _listed([answers.who for answers in found])
    reached = _listed([f"{answers.accuracy_pct:.1f} %" for answers in found])
    chance = _listed([f"{answers.chance_pct:.1f} %" for answers in found])
    seeds = f", mean of {len(study.systems)} seeds" if len(study.systems) > 1 else ""
    are, them = ("is", "it") if len(found) == 1 else ("are", "them")
    known = f"{reached} of {found[0].images:,} test images{seeds}; chance is {chance}"
    told = f"{names} {are} at chance ({known}): this analysis says nothing about {them} yet."
    return f"{told[0].upper()}{told[1:]}", True


def _answers(study: Study, analysis: Analysis, table: pd.DataFrame) -> Iterator[Answers]:
    """Of all that the analysis' sentence rests on."""
    sides = study.systems[0].alone
    # The heads answer for sides that were not trained apart.
    named = [who for given in analysis.rests_on for who in ([given] if given in (*LEVELS, *sides) else LEVELS)]
    for who in dict.fromkeys(named):
        said = [system.alone.get(who, system.bilateral).predictions for system in study.systems]
        for level in [level for level in LEVELS if level in said[0].logits and who in (level, *sides)]:
            name = f"{who} alone on {level} labels" if who in sides else f"the {level} head"
            yield _judged(study, name, level, sum(each.accuracy_pct(level) for each in said) / len(said))
    for level, reached in (analysis.readouts(table) if analysis.readouts else {}).items():
        yield _judged(study, f"the linear readout of {level} labels", level, reached)


def _judged(study: Study, who: str, level: str, accuracy_pct: float) -> Answers:
    labels = study.systems[0].bilateral.predictions.labels[level]
    classes = study.hierarchy.fine_count if level == "fine" else study.hierarchy.coarse_count
    chance = max(labels.bincount().max().item() / len(labels), 1 / classes)
    return Answers(who, accuracy_pct, len(labels), 100 * chance)


def _listed(words: list[str]) -> str:
    return " and ".join(filter(None, [", ".join(words[:-1]), words[-1]]))
