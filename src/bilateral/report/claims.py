"""The two findings of the paper that rest on looking into the networks: do they hold in these runs? By fixed rules."""

from pathlib import Path

import pandas as pd

from ..analysis import ablation, attribution, cka, head_shares, outcomes
from ..analysis.differences import BETTER, WORSE
from ..base.statistics import Summary
from .page import Finding

HOLDS, PARTLY, FAILS, OPEN = "holds here", "holds in part", "does not hold here", "not decided"
COMPLEMENTARY = "The features of the two hemispheres are complementary"
_OWN = {"fine": ("left", "right"), "coarse": ("right", "left")}
"""Of each head: the hemisphere that was trained on its labels, and the other one."""


def findings(folder: Path) -> list[Finding]:
    """Judge both claims by the tables that analyses left in `folder`; one whose tables are not there is left out."""
    tables = {path.stem: pd.read_csv(path) for path in folder.glob("*.csv") if path.stem != "gallery"}
    found = []
    if {"differences", "ablation", "outcomes", "cka"} <= set(tables):
        found.append(
            complementary(
                tables["differences"],
                tables["ablation"],
                tables["outcomes"],
                tables["cka"],
                tables.get("attribution"),
            )
        )
    if "head_shares" in tables:
        found.append(weighted_attention(tables["head_shares"]))
    return found


def complementary(
    differences: pd.DataFrame,
    silenced: pd.DataFrame,
    cells: pd.DataFrame,
    similarity: pd.DataFrame,
    maps: pd.DataFrame | None = None,
) -> Finding:
    """Judge whether each hemisphere adds to the other.

    Holds if both heads on both hemispheres are better than the hemisphere trained on their labels alone, and both lose
    by the other one's absence, all by 95 % intervals over seeds; in part if that is so for one head.
    """
    rescue = (
        "Of the images that {own} alone gets wrong, the {level} head gets {0} right if {other} was right, else {1}."
    )
    evidence, passed, decided = [], [], True
    for level, (own, other) in _OWN.items():
        gains = differences[(differences["level"] == level) & (differences["row"] == own)]
        if gains.empty:
            return Finding(COMPLEMENTARY, OPEN, [f"There is no row of {own} alone to compare with."])
        gain = gains.iloc[0]
        loss = ablation.change(silenced, level, other, "mean")
        evidence.append(
            f"The {level} head is {points(gain['difference'])} better than {own} alone "
            f"({interval(gain['ci95_low'], gain['ci95_high'])}), and changes by {points(loss['mean'])} "
            f"({bounds(loss)}) when {other}'s features are replaced by their mean."
        )
        decided &= loss["ci95"] is not None
        passed.append(gain["verdict"] == BETTER and loss["ci95"] is not None and loss["ci95"][1] < 0)
        rates = [outcomes.rate_summary(cells, f"{level} rescued", known)["mean"] for known in (1, 0)]
        evidence.append(rescue.format(*(f"{rate:.1f} %" for rate in rates), own=own, other=other, level=level))
    others = [(kind, cka.at_end(similarity, kind, -1)) for kind in cka.KINDS[1:]]
    known = ", ".join(f"{kind} {value:.2f}" for kind, value in others if value is not None)
    evidence.append(
        f"At the last stage, left and right have a debiased CKA of {cka.at_end(similarity, cka.KINDS[0], -1):.2f} "
        f"(1: the same up to rotation and scale{f'; two seeds of one kind: {known}' if known else ''})."
    )
    if maps is not None:
        evidence.append(attribution.tell(maps))
    sized = differences[differences["row"].isin(("unilateral_wide", "nonspecialised"))]
    if not sized.empty:
        verdicts = ", ".join(
            f"{each['title']} on {each['level']} labels {points(each['difference'])} "
            f"({interval(each['ci95_low'], each['ci95_high'])})"
            for _, each in sized.iterrows()
        )
        ahead, behind = ((sized["verdict"] == verdict).any() for verdict in (BETTER, WORSE))
        worth = "is mixed" if ahead and behind else "shows" if ahead else "does not show"
        evidence.append(
            f"Whether that is worth more than two hemispheres' size is another question, to which the answer {worth}"
            f"{'' if worth == 'is mixed' else ' it'}: bilateral minus {verdicts}."
        )
    verdict = OPEN if not decided else HOLDS if all(passed) else PARTLY if any(passed) else FAILS
    return Finding(COMPLEMENTARY, verdict, evidence)


def weighted_attention(shares: pd.DataFrame) -> Finding:
    """Judge whether the heads weight the hemispheres image by image, and whether that matters.

    A head's weights are fixed; what may vary is how strongly each hemisphere speaks. Holds if for both heads the share
    follows the hemisphere that is right (AUC above one half) and holding it fixed costs accuracy, by 95 % intervals
    over seeds; in part if one of these is so.
    """
    evidence, signs, decided = [], [], True
    for level in head_shares.LEVELS:
        found = head_shares.weighting(shares, level)
        follows, worth = found["auc"], found["fixed_points"]
        evidence.append(
            f"{level.capitalize()} head: left has {found['share_pct']['mean']:.0f} % of the weight on average, with a "
            f"deviation of {found['deviation_pct']['mean']:.0f} points over images; the share tells which hemisphere "
            f"is right with an AUC of {follows['mean']:.2f} ({bounds(follows)}; 0.5: not at all); holding it fixed for "
            f"all images costs {points(worth['mean'])} of accuracy ({bounds(worth)})."
        )
        decided &= follows["ci95"] is not None
        signs += [
            follows["ci95"] is not None and follows["ci95"][0] > 0.5,
            worth["ci95"] is not None and worth["ci95"][0] > 0,
        ]
    evidence.append(
        "The heads are linear, so their weights are the same for every image: what varies is how strongly each "
        "hemisphere's features speak."
    )
    verdict = OPEN if not decided else HOLDS if all(signs) else PARTLY if any(signs) else FAILS
    return Finding("The heads act as a weighted attention over the hemispheres", verdict, evidence)


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
    return interval(*(summary["ci95"] or (None, None)))
