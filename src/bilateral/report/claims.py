"""The two findings of the paper that rest on looking into the networks: do they hold in these runs? By fixed rules."""

from collections.abc import Callable, Collection, Mapping, Sequence

import pandas as pd

from ..analysis import head_shares, lesions, outcomes
from ..analysis.differences import SIZED, texts
from ..base.own_code import describe
from ..base.statistics import FEWEST_FOR_P, Summary
from ..runs.predictions import LEVELS
from .page import FAILS, HOLDS, OPEN, PARTLY, UNSHOWN, Finding

COMPLEMENTARY = "The features of the two hemispheres are complementary"
ATTENTION = "The heads act as a weighted attention over the hemispheres"
_CONCLUSIONS = {
    HOLDS: "Each head gains from the other hemisphere, and more than from a second one of its own kind.",
    PARTLY: "One head gains from the other hemisphere more than from a second one of its own kind; the other is not "
    "shown to.",
    FAILS: "For both heads at least one of the measures below says the contrary.",
    UNSHOWN: "The heads are not shown to gain more from the other hemisphere than from a second one of their own kind.",
    OPEN: "This takes at least three seeds, and the rows of two left and of two right hemispheres.",
}
"""Of the first claim, in a sentence."""
AT_CHANCE = "At chance: no conclusion."
"""Of a claim or an analysis, where the page says elsewhere what is at chance."""
_NEEDED = ("differences", "lesions", "outcomes")
"""The tables that the first claim is judged by."""
_OWN = {"fine": ("left", "right"), "coarse": ("right", "left")}
"""Of each head: the hemisphere that was trained on its labels, and the other one."""
PAIRS = {"two_left": "two left hemispheres", "two_right": "two right hemispheres"}
"""The rows of two hemispheres of one kind, joined in the same way."""


def findings(tables: Mapping[str, pd.DataFrame], at_chance: Collection[str] = ()) -> list[Finding]:
    """Judge both claims by analyses' tables, by name; a claim whose tables are not there is left out.

    A claim that cannot be judged by them, as they are, is OPEN. at_chance: the analyses that conclude nothing, since
    the networks are at chance.
    """
    claims: dict[str, tuple[Callable[..., Finding], Sequence[str]]] = {
        COMPLEMENTARY: (complementary, _NEEDED),
        ATTENTION: (weighted_attention, ["head_shares"]),
    }
    return [
        Finding(claim, OPEN, [AT_CHANCE])
        if {*needed} & {*at_chance}
        else _judged(claim, judge, *(tables[name] for name in needed))
        for claim, (judge, needed) in claims.items()
        if {*needed} <= {*tables}
    ]


def _judged(claim: str, judge: Callable[..., Finding], *tables: pd.DataFrame) -> Finding:
    try:
        return judge(*tables)
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        return Finding(claim, OPEN, [f"It cannot be judged by the tables of these runs ({describe(error)})."])


def complementary(differences: pd.DataFrame, silenced: pd.DataFrame, cells: pd.DataFrame) -> Finding:
    """Judge whether each hemisphere adds to the other what one of its own kind would not.

    A head passes if it is better on both hemispheres than the one trained on its labels is alone; if it loses when the
    other one's features are replaced by their mean; and if it is better than the same head on two hemispheres of one
    kind, be they left or right, so that its gain is more than theirs over the same hemisphere alone: all by 95 %
    intervals over seeds, paired.
    """
    evidence, heads, missing = [], [], {}
    for level, (own, other) in _OWN.items():
        gain, loss = _difference(differences, level, own), lesions.change(silenced, level, other, "mean")
        if gain is None:
            return Finding(COMPLEMENTARY, OPEN, [f"There is no row of {own} alone to compare with."])
        evidence.append(
            f"The {level} head is {better(gain, f'than {own} alone')}, and changes by "
            f"{points(loss['mean'])} ({bounds(loss)}) when {other}'s features are replaced by their mean."
        )
        signs = [sign(gain), sign(loss, wanted=-1)]
        for row, title in PAIRS.items():
            beyond = _difference(differences, level, row)
            if beyond is None:
                missing[row] = f"There is no row of {title} ({row}): what the heads gain may be due to size."
                signs.append(None)
            else:
                evidence.append(f"The {level} head is {better(beyond, f'than on {title}')}.")
                signs.append(sign(beyond))
        heads.append(signs)
        evidence.append(_rescued(cells, level, own, other))
    evidence += missing.values()
    sized = differences[differences["row"].isin(SIZED) & ~differences["row"].isin(PAIRS)]
    compared = "; ".join(f"{title}, {texts(own)}" for title, own in sized.groupby("title", sort=False))
    if compared:
        evidence.append(f"The bilateral network minus other networks of its size: {compared}.")
    verdict = judge(heads)
    return Finding(COMPLEMENTARY, verdict, [_CONCLUSIONS[verdict], *evidence])


def _difference(differences: pd.DataFrame, level: str, row: str) -> Summary | None:
    """The bilateral network minus a row at a level, if there is that row."""
    found = differences[(differences["level"] == level) & (differences["row"] == row)]
    if found.empty:
        return None
    n, mean, low, high = found.iloc[0][["n", "difference", "ci95_low", "ci95_high"]]
    return Summary(n=int(n), mean=mean, std=None, ci95=None if pd.isna(low) else (low, high))


def _rescued(cells: pd.DataFrame, level: str, own: str, other: str) -> str:
    """What a head makes of the mistakes of its own hemisphere, by whether the other one was right."""
    rates = [outcomes.rate_summary(cells, f"{level} rescued", known) for known in (1, 0)]
    shares = [f"{rate['mean']:.1f} %" if rate else "no share, for there is no such image" for rate in rates]
    if rates == [None, None]:
        return f"There is no image that {own} alone gets wrong."
    begins = f"Of the images that {own} alone gets wrong, the {level} head gets"
    if rates[0]:
        return f"{begins} {shares[0]} right where {other} was correct, else {shares[1]}."
    return f"{begins} {shares[1]} right; {other} was correct on none of them."


def weighted_attention(shares: pd.DataFrame) -> Finding:
    """Judge whether the heads weight the hemispheres image by image, and whether that matters.

    A head passes if its share follows the hemisphere that is correct (AUC above one half), and if both the best
    constant share, chosen on held-out images, and the share of another image cost accuracy: all by 95 % intervals over
    seeds.
    """
    evidence, heads = [], []
    for level in LEVELS:
        found = head_shares.weighting(shares, level)
        constant, permuted, follows = found.get("constant_points"), found["permuted_points"], found.get("auc")
        told = f"{follows['mean']:.2f} ({bounds(follows)}; 0.5: not at all)" if follows else "nothing to measure it by"
        spread = found.get("deviation_pct")  # none of one image
        deviation = f", with a deviation of {spread['mean']:.0f} points over images" if spread else ""
        held = (
            f"The best constant share costs {points(constant['mean'])} of accuracy ({bounds(constant)})"
            if constant
            else "No images were held out to choose a constant share on"
        )
        evidence.append(
            f"{level.capitalize()} head: left has {found['share_pct']['mean']:.0f} % of what sets the classes "
            f"apart{deviation}. AUC by which that share tells the hemisphere that is correct: {told}. {held}; another "
            f"image's share costs {points(permuted['mean'])} ({bounds(permuted)})."
        )
        heads.append([sign(follows, 0.5) if follows else 0, sign(constant) if constant else None, sign(permuted)])
    evidence.append(
        "The heads are linear, so their weights are the same for every image: what varies is how strongly each "
        "hemisphere's features speak. A hemisphere speaks louder where it is certain, so an AUC above 0.5 is no "
        "attention by itself; what a constant share and another image's cost says whether it matters."
    )
    verdict = judge(heads)
    costs = head_shares.mix_costs(shares)
    meant = {
        HOLDS: "For both heads the mix of the sides matters, image by image: this is attention.",
        PARTLY: "For one head the mix of the sides matters, image by image.",
        FAILS: "This is not attention: for both heads a measure below says the contrary.",
        UNSHOWN: "Attention is not shown.",
        OPEN: "There are too few seeds for a verdict." if costs else "This takes held-out images.",
    }
    if verdict == UNSHOWN and head_shares.cost_little(costs):
        meant[UNSHOWN] = "Using the same mix for every image costs almost nothing, so this is not attention."
    return Finding(ATTENTION, verdict, [meant[verdict], *evidence])


def judge(heads: Sequence[Sequence[int | None]]) -> str:
    """Give the verdict on the signs of each head's measures, as `sign` gives them; a head passes if all are 1."""
    if any(measure is None for head in heads for measure in head):
        return OPEN
    passed = [all(measure == 1 for measure in head) for head in heads]
    if any(passed):
        return HOLDS if all(passed) else PARTLY
    return FAILS if all(-1 in head for head in heads) else UNSHOWN


def sign(found: Summary, threshold: float = 0.0, wanted: int = 1) -> int | None:
    """Whether an interval is on the wanted side (1: above, -1: below) of the threshold.

    1: it is, -1: it is on the other one, 0: it is on both; None of fewer than three seeds.
    """
    if found["n"] < FEWEST_FOR_P or found["ci95"] is None:
        return None
    low, high = found["ci95"]
    return wanted if low > threshold else -wanted if high < threshold else 0


def points(value: float) -> str:
    """A difference of percents."""
    return f"{value:+.2f} points"


def better(found: Summary, than: str) -> str:
    """How much better or worse a difference of percents is, or, where its interval has 0, that neither is shown.

    >>> better(Summary(n=3, mean=2.0, std=None, ci95=(1.0, 3.0)), "than left alone")
    '2.00 points better than left alone (95 % interval 1.00 to 3.00)'
    >>> better(Summary(n=3, mean=2.0, std=None, ci95=(-1.0, 5.0)), "than left alone")
    'not shown to be better or worse than left alone (+2.00 points; 95 % interval -1.00 to 5.00)'
    """
    if found["ci95"] and found["ci95"][0] <= 0 <= found["ci95"][1]:
        return f"not shown to be better or worse {than} ({points(found['mean'])}; {bounds(found)})"
    word = "worse" if found["mean"] < 0 else "better"
    return f"{abs(found['mean']):.2f} points {word} {than} ({bounds(found)})"


def bounds(summary: Summary) -> str:
    """The 95 % interval of a summary, in words where there is none."""
    if summary["ci95"] is None:
        return "one seed, no interval"
    low, high = summary["ci95"]
    return f"95 % interval {low:.2f} to {high:.2f}"
