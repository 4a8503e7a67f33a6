"""Ablation: one hemisphere's features replaced by zeros, or by their mean over the images, under each head."""

from collections.abc import Mapping
from typing import Literal

import pandas as pd
import torch
from matplotlib.figure import Figure
from torch import Tensor

from ..base.statistics import Summary, summarise
from ..models.config import SIDES
from ..models.lesions.silence import Silence
from ..models.network import Network
from .study import NotApplicableError, Study
from .style import COLOURS, INK, panels

REPLACEMENTS: tuple[Literal["zero", "mean"], ...] = ("zero", "mean")


def compute(study: Study) -> pd.DataFrame:
    """Accuracy of each head (%), intact and with one hemisphere silenced, and the change in points, for each seed.

    silenced: a side, or "none". replacement: `zero`, or `mean`, the mean features of the test images, which tells the
    heads what is usual but nothing of the image.
    """
    lines = []
    if len(study.systems[0].network.heads) < 2:
        raise NotApplicableError("the bilateral network has one head alone")
    for system in study.systems:
        evaluation = study.evaluation(system)
        intact = _accuracies(system.network, evaluation.features, evaluation.labels)
        lines += [(system.seed, level, "none", "none", value, 0.0) for level, value in intact.items()]
        for side in SIDES:
            own = evaluation.features[side]
            for replacement in REPLACEMENTS:
                lesion = Silence(Silence.Options(replacement=replacement))
                changed = {**evaluation.features, side: lesion(own)}
                for level, value in _accuracies(system.network, changed, evaluation.labels).items():
                    lines.append((system.seed, level, side, replacement, value, value - intact[level]))
    return pd.DataFrame(lines, columns=["seed", "level", "silenced", "replacement", "accuracy_pct", "change_points"])


@torch.no_grad()
def _accuracies(network: Network, features: Mapping[str, Tensor], labels: Mapping[str, Tensor]) -> dict[str, float]:
    device = next(network.parameters()).device
    output = network.classify({side: values.to(device) for side, values in features.items()})
    return {
        level: 100 * (logits.argmax(1).cpu() == labels[level]).double().mean().item()
        for level, logits in output.logits.items()
    }


def change(table: pd.DataFrame, level: str, silenced: str, replacement: str) -> Summary:
    """Summarise over seeds what silencing a hemisphere changes in a head's accuracy, in points."""
    chosen = (table["level"] == level) & (table["silenced"] == silenced) & (table["replacement"] == replacement)
    return summarise(table.loc[chosen, "change_points"].tolist())


def draw(table: pd.DataFrame) -> Figure:
    """Each head's accuracy, intact and silenced, mean and deviation over seeds."""
    figure, axes = panels(2, height=3.0, sharey=True)
    bars = [("none", "none", "intact", COLOURS["bilateral"])]
    for side, colour in (("left", COLOURS["left"]), ("right", COLOURS["right"])):
        bars += [(side, kind, f"{side}:\n{kind}", colour) for kind in REPLACEMENTS]
    for panel, level in zip(axes, ("fine", "coarse")):
        for place, (side, kind, _, colour) in enumerate(bars):
            chosen = (table["level"] == level) & (table["silenced"] == side) & (table["replacement"] == kind)
            values = table.loc[chosen, "accuracy_pct"]
            spread = values.std() if len(values) > 1 else 0
            panel.bar(
                place, values.mean(), 0.7, yerr=spread, ecolor=INK, color=colour, alpha=0.6 if kind == "mean" else 1
            )
        panel.set_xticks(range(len(bars)), [label for _, _, label, _ in bars], fontsize=8)
        panel.set(title=f"{level} head", xlabel="silenced, and put in its place")
    axes[0].set_ylabel("accuracy, % (± deviation over seeds)")
    return figure


def tell(table: pd.DataFrame) -> str:
    """Say what each head loses without each hemisphere."""
    texts = []
    for level in ("fine", "coarse"):
        left, right = (change(table, level, side, "mean")["mean"] for side in SIDES)
        texts.append(f"the {level} head {left:+.1f} points without left and {right:+.1f} without right")
    return f"With a hemisphere's features replaced by their mean, the accuracy changes: {'; '.join(texts)}."
