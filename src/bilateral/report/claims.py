"""The two findings of the paper that rest on looking into the networks: do they hold in these runs? By fixed rules."""

from collections.abc import Callable, Mapping, Sequence

import pandas as pd

from ..analysis import ablation, attribution, cka, head_shares, outcomes
from ..analysis.differences import SIZED, texts
from ..base.own_code import describe
from ..base.statistics import Summary
from ..runs.predictions import LEVELS
from .page import Finding

HOLDS, PARTLY, FAILS, UNSHOWN = "holds here", "holds in part", "does not hold here", "not shown here"
OPEN = "not decided"
"""Verdicts. FAILS: an interval lies on the wrong side. UNSHOWN: it leaves both sides open. OPEN: one seed."""
COMPLEMENTARY = "The features of the two hemispheres are complementary"
ATTENTION = "The heads act as a weighted attention over the hemispheres"
_OWN = {"fine": ("left", "right"), "coarse": ("right", "left")}
"""Of each head: the hemisphere that was trained on its labels, and the other one."""


def findings(tables: Mapping[str, pd.DataFrame]) -> list[Finding]:
    """Judge both claims by analyses' tables, by name; a claim whose tables are not there is left out.

    A claim that cannot be judged by them, as they are, is OPEN.
    """
    found = []
    if {"differences", "ablation", "outcomes", "cka"} <= set(tables):
        found.append(
            _judged(
                COMPLEMENTARY,
                lambda: complementary(
                    tables["differences"],
                    tables["ablation"],
                    tables["outcomes"],
                    tables["cka"],
                    tables.get("attribution"),
                ),
            )
        )
    if "head_shares" in tables:
        found.append(_judged(ATTENTION, lambda: weighted_attention(tables["head_shares"])))
    return found


def _judged(claim: str, judge: Callable[[], Finding]) -> Finding:
    try:
        return judge()
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        return Finding(claim, OPEN, [f"It cannot be judged by the tables of these runs ({describe(error)})."])


def complementary(
    differences: pd.DataFrame,
    silenced: pd.DataFrame,
    cells: pd.DataFrame,
    similarity: pd.DataFrame,
    maps: pd.DataFrame | None = None,
) -> Finding:
    """Judge whether each hemisphere adds to the other.

    A head passes if it is better on both hemispheres than the one trained on its labels is alone, and loses when the
    other one's features are replaced by their mean, both by 95 % intervals over seeds.
    """
    evidence, heads = [], []
    for level, (own, other) in _OWN.items():
        gains = differences[(differences["level"] == level) & (differences["row"] == own)]
        if gains.empty:
            return Finding(COMPLEMENTARY, OPEN, [f"There is no row of {own} alone to compare with."])
        gain, loss = gains.iloc[0], ablation.change(silenced, level, other, "mean")
        evidence.append(
            f"The {level} head is {points(gain['difference'])} better than {own} alone "
            f"({interval(gain['ci95_low'], gain['ci95_high'])}), and changes by {points(loss['mean'])} "
            f"({bounds(loss)}) when {other}'s features are replaced by their mean."
        )
        heads.append([sign(gain["ci95_low"], gain["ci95_high"]), sign(*_negative(loss))])
        evidence.append(_rescued(cells, level, own, other))
    others = [(kind, cka.at_end(similarity, kind, -1)) for kind in cka.KINDS[1:]]
    known = ", ".join(f"{kind} {value:.2f}" for kind, value in others if value is not None)
    evidence.append(
        f"At the last stage, left and right have a debiased CKA of {cka.at_end(similarity, cka.KINDS[0], -1):.2f} "
        f"(1: the same up to rotation and scale{f'; two seeds of one kind: {known}' if known else ''})."
    )
    if maps is not None:
        evidence.append(attribution.tell(maps))
    sized = differences[differences["row"].isin(SIZED)]
    compared = "; ".join(f"{title}, {texts(own)}" for title, own in sized.groupby("title", sort=False))
    evidence.append(
        "This does not tell specialisation from size: two hemispheres of any kind hold more than one. "
        + (f"The bilateral network minus networks of its size: {compared}." if compared else "")
    )
    return Finding(COMPLEMENTARY, judge(heads), evidence)


def _rescued(cells: pd.DataFrame, level: str, own: str, other: str) -> str:
    """What a head makes of the mistakes of its own hemisphere, by whether the other one was right."""
    rates = [outcomes.rate_summary(cells, f"{level} rescued", known) for known in (1, 0)]
    shares = [f"{rate['mean']:.1f} %" if rate else "none, for there is no such image" for rate in rates]
    if rates == [None, None]:
        return f"There is no image that {own} alone gets wrong."
    begins = f"Of the images that {own} alone gets wrong, the {level} head gets"
    if rates[0]:
        return f"{begins} {shares[0]} right where {other} was correct, else {shares[1]}."
    return f"{begins} {shares[1]} right; {other} was correct on none of them."


def weighted_attention(shares: pd.DataFrame) -> Finding:
    """Judge whether the heads weight the hemispheres image by image, and whether that matters.

    A head passes if its share follows the hemisphere that is correct (AUC above one half), and holding the share fixed
    costs accuracy, both by 95 % intervals over seeds.
    """
    evidence, heads = [], []
    for level in LEVELS:
        found = head_shares.weighting(shares, level)
        worth, follows = found["fixed_points"], found.get("auc")
        told = f"{follows['mean']:.2f} ({bounds(follows)}; 0.5: not at all)" if follows else "nothing to measure it by"
        spread = found.get("deviation_pct")  # none of one image
        deviation = f", with a deviation of {spread['mean']:.0f} points over images" if spread else ""
        evidence.append(
            f"{level.capitalize()} head: left has {found['share_pct']['mean']:.0f} % of what sets the classes "
            f"apart{deviation}. AUC by which that share tells the hemisphere that is correct: {told}. Holding it fixed "
            f"for all images costs {points(worth['mean'])} of accuracy ({bounds(worth)})."
        )
        heads.append([sign(*_ends(follows), 0.5) if follows else 0, sign(*_ends(worth))])
    evidence.append(
        "The heads are linear, so their weights are the same for every image: what varies is how strongly each "
        "hemisphere's features speak. A hemisphere speaks louder where it is certain, so an AUC above 0.5 is no "
        "attention by itself; the cost of a fixed share says whether it matters."
    )
    return Finding(ATTENTION, judge(heads), evidence)


def judge(heads: Sequence[Sequence[int | None]]) -> str:
    """Give the verdict on the signs of each head's measures, as `sign` gives them; a head passes if all are 1."""
    if any(measure is None for head in heads for measure in head):
        return OPEN
    passed = [all(measure == 1 for measure in head) for head in heads]
    if any(passed):
        return HOLDS if all(passed) else PARTLY
    return FAILS if all(-1 in head for head in heads) else UNSHOWN


def sign(low: float | None, high: float | None, threshold: float = 0.0) -> int | None:
    """On which side of the threshold an interval lies: 1 above, -1 below, 0 on both; None without an interval."""
    if low is None or high is None or pd.isna(low):
        return None
    return 1 if low > threshold else -1 if high < threshold else 0


def _ends(summary: Summary) -> tuple[float | None, float | None]:
    return summary["ci95"] or (None, None)


def _negative(summary: Summary) -> tuple[float | None, float | None]:
    low, high = _ends(summary)
    return (None, None) if low is None or high is None else (-high, -low)


def points(value: float) -> str:
    """A difference of percents."""
    return f"{value:+.2f} points"


def interval(low: float | None, high: float | None) -> str:
    """A 95 % interval, in words where there is none."""
    if low is None or high is None or pd.isna(low):
        return "one seed, no interval"
    return f"95 % interval {low:.2f} to {high:.2f}"


def bounds(summary: Summary) -> str:
    """The interval of a summary."""
    return interval(*_ends(summary))
