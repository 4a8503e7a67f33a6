"""Whether an experiment's networks are trained enough for a verdict on them."""

from collections.abc import Mapping, Sequence

from ..data.hierarchy import LabelHierarchy
from .results import Gain, RowResult
from .tables import row_summary

ENOUGH_POINTS = 1.0
"""What the last epochs of a training, or twice all of them, may still bring."""
NEAR_CHANCE = 0.15
"""The share of the way from chance to all right below which a network has hardly begun to learn."""


def late_rise(epochs: Sequence[Mapping[str, float]]) -> float:
    """Give the points by which the held-out accuracy rose in the last tenth of a training, at least one epoch.

    epochs: the metrics of each (metrics.jsonl). The mean over the levels that the network has; 0 where nothing tells.
    """
    values = [100 * each["val_acc"] / (2 if "val_acc_fine" in each else 1) for each in epochs if "val_acc" in each]
    if len(values) < 2:
        return 0.0
    return values[-1] - values[-1 - max(1, len(values) // 10)]


def doubts(rows: Sequence[RowResult], gains: Sequence[Gain], hierarchy: LabelHierarchy) -> list[str]:
    """Say of which rows no verdict can be trusted, since their networks are not trained enough: a sentence a reason."""
    chance_pct = {"fine": 100 / hierarchy.fine_count, "coarse": 100 / hierarchy.coarse_count}
    gained = {gain.row: gain.points for gain in gains}
    low, gaining, rising = [], [], []
    for row in rows:
        if not row.seeds:
            continue
        near = [
            f"{found['mean']:.1f} % of {level} labels"
            for level, chance in chance_pct.items()
            if (found := row_summary(row, f"{level}_pct")) and found["mean"] - chance < NEAR_CHANCE * (100 - chance)
        ]
        rise = sum(each.rise for each in row.seeds.values()) / len(row.seeds)
        if near:
            low.append(f"“{row.title}” ({', '.join(near)})")
        if gained.get(row.name, 0.0) > ENOUGH_POINTS:
            gaining.append(f"“{row.title}” ({gained[row.name]:.1f})")
        if row.name not in gained and rise > ENOUGH_POINTS:
            rising.append(f"“{row.title}” ({rise:.1f})")
    guessing = " and ".join(f"{chance:.1f} % of {level} labels" for level, chance in chance_pct.items())
    told = {
        f"Hardly trained, so that no comparison with them counts (guessing gets {guessing} right)": low,
        "Not fully trained, since twice the epochs bring more on held-out images (points)": gaining,
        "Perhaps not fully trained, since held-out accuracy still rose in the last tenth of the epochs, at least one "
        "(points; bilateral experiment CONFIG --twice measures what more epochs bring)": rising,
    }
    return [f"{reason}: {', '.join(found)}." for reason, found in told.items() if found]
