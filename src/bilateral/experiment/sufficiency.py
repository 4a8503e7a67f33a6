"""Whether an experiment's networks are trained enough for a verdict on them."""

from collections.abc import Mapping, Sequence

from ..data.hierarchy import LabelHierarchy
from .results import Gain, RowResult

ENOUGH_POINTS = 1.0
"""What the last tenth of a training, or twice its epochs, may still bring."""
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
    """Say of which rows' networks no verdict can be trusted, because they are not trained enough."""
    found = []
    chance_pct = {"fine_pct": 100 / hierarchy.fine_count, "coarse_pct": 100 / hierarchy.coarse_count}
    known = {gain.row: gain for gain in gains}
    for row in rows:
        if not row.seeds or row.name == "untrained":
            continue
        for name, chance in chance_pct.items():
            values = [each.measures[name] for each in row.seeds.values() if name in each.measures]
            if values and (sum(values) / len(values) - chance) < NEAR_CHANCE * (100 - chance):
                level = name.removesuffix("_pct")
                found.append(
                    f"“{row.title}” has hardly learnt its {level} labels: {sum(values) / len(values):.1f} % right, "
                    f"where guessing gets {chance:.1f} %."
                )
        gain = known.get(row.name)
        rise = sum(each.rise for each in row.seeds.values()) / len(row.seeds)
        if gain is not None and gain.points > ENOUGH_POINTS:
            found.append(
                f"“{row.title}” is not fully trained: twice the epochs bring {gain.points:.1f} points on held-out "
                "images."
            )
        elif gain is None and rise > ENOUGH_POINTS:
            found.append(
                f"“{row.title}” may not be fully trained: its held-out accuracy still rose by {rise:.1f} points in the "
                "last tenth of a training. `bilateral experiment CONFIG --twice` measures what more epochs bring."
            )
    return found
