"""Ablation: one hemisphere's features replaced by zeros, or by their mean over the images, under each head."""

import itertools

import pandas as pd
from matplotlib.figure import Figure

from ..base.statistics import Summary, summarise
from ..models.config import SIDES
from ..runs.predictions import LEVELS
from .heads import Replacement, accuracies
from .study import NotApplicableError, Study
from .style import COLOURS, INK, panels

REPLACEMENTS: tuple[Replacement, ...] = ("zero", "mean")


def compute(study: Study) -> pd.DataFrame:
    """Accuracy of each head (%), intact and with one hemisphere silenced, and the change in points, for each seed.

    silenced: a side, or "none". replacement: `zero`, or `mean`, the mean features of the test images, which tells the
    heads what is usual but nothing of the image.
    """
    lines = []
    if len(study.systems[0].network.heads) < 2:
        raise NotApplicableError("the bilateral network has one head alone")
    for system in study.systems:
        tested = (system.network, study.evaluation(system))
        intact = {level: 100 * share for level, share in accuracies(*tested).items()}
        lines += [(system.seed, level, "none", "none", value, 0.0) for level, value in intact.items()]
        for side, replacement in itertools.product(SIDES, REPLACEMENTS):
            for level, share in accuracies(*tested, side, replacement).items():
                lines.append((system.seed, level, side, replacement, 100 * share, 100 * share - intact[level]))
    return pd.DataFrame(lines, columns=["seed", "level", "silenced", "replacement", "accuracy_pct", "change_points"])


def change(table: pd.DataFrame, level: str, silenced: str, replacement: str) -> Summary:
    """Summarise over seeds what silencing a hemisphere changes in a head's accuracy, in points."""
    chosen = (table["level"] == level) & (table["silenced"] == silenced) & (table["replacement"] == replacement)
    return summarise(table.loc[chosen, "change_points"].tolist())


def draw(table: pd.DataFrame) -> Figure:
    """Each head's accuracy, intact and silenced, mean and deviation over seeds."""
    figure, axes = panels(2, height=3.0, sharey=True)
    bars = [("none", "none", "intact", COLOURS["bilateral"])]
    bars += [(side, kind, f"{side}:\n{kind}", COLOURS[side]) for side in SIDES for kind in REPLACEMENTS]
    for panel, level in zip(axes, LEVELS):
        for place, (side, kind, _, colour) in enumerate(bars):
            chosen = (table["level"] == level) & (table["silenced"] == side) & (table["replacement"] == kind)
            values = table.loc[chosen, "accuracy_pct"]
            spread = values.std() if len(values) > 1 else 0
            alpha = 0.6 if kind == "mean" else 1
            panel.bar(place, values.mean(), 0.7, yerr=spread, ecolor=INK, color=colour, alpha=alpha)
        panel.set_xticks(range(len(bars)), [label for _, _, label, _ in bars], fontsize=8)
        panel.set(title=f"{level} head", xlabel="silenced, and put in its place")
    axes[0].set_ylabel("accuracy, % (± deviation over seeds)")
    return figure


def tell(table: pd.DataFrame) -> str:
    """Say what each head loses without each hemisphere."""
    texts = []
    for level in LEVELS:
        left, right = (change(table, level, side, "mean")["mean"] for side in SIDES)
        texts.append(f"the {level} head {left:+.1f} points without left and {right:+.1f} without right")
    return f"With a hemisphere's features replaced by their mean, the accuracy changes: {'; '.join(texts)}."
