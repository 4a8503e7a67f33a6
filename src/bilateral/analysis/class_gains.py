"""Which classes gain and which lose from the second hemisphere."""

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import torch
from matplotlib.figure import Figure

from ..base.statistics import CONFIDENCE, holm
from ..runs.predictions import LEVELS, Predictions
from .study import Study
from .style import COLOURS, LONGEST_CLASS, panels, short

if TYPE_CHECKING:
    from numpy.typing import NDArray

SIGNIFICANT = 0.05
MOST_DRAWN = 40
"""Classes of a level in the figure: of more, those that gain most and those that lose most. The table has all."""


def compute(study: Study) -> pd.DataFrame:
    """One line a level and class: accuracy (%) of the hemisphere alone and of the bilateral head, and the gain.

    The gain is paired by image, each image's being the mean over seeds; its 95 % interval (Student's t over images)
    and p say whether other images of the class would show it, not other seeds. p_holm: corrected within the level.
    """
    frames = []
    columns = ["level", "class", "images", "alone_pct", "bilateral_pct", "gain_points", "ci95_low", "ci95_high", "p"]
    study.systems[0].check_specialised()
    study.systems[0].check_heads()
    for level, side in (("fine", "left"), ("coarse", "right")):
        alone = _right([getattr(system, side).predictions for system in study.systems], level)
        joined = _right([system.bilateral.predictions for system in study.systems], level)
        labels = study.systems[0].bilateral.predictions.labels[level].numpy()
        names = study.hierarchy.fine_names if level == "fine" else study.hierarchy.coarse_names
        lines = []
        for label, name in enumerate(names):
            own = labels == label
            if not own.any():
                continue
            reached = (100 * alone[own].mean(), 100 * joined[own].mean())
            lines.append((level, name, int(own.sum()), *reached, *_interval((joined - alone)[own])))
        frame = pd.DataFrame(lines, columns=columns)
        corrected = holm([None if np.isnan(p) else p for p in frame["p"]])
        frames.append(frame.assign(p_holm=corrected, seeds=len(study.systems)))
    return pd.concat(frames, ignore_index=True)


def _right(predictions: list[Predictions], level: str) -> "NDArray":
    """The share of seeds that are right on each image: (N,)."""
    return torch.stack([each.correct(level) for each in predictions]).double().mean(0).numpy()


def _interval(gains: "NDArray") -> tuple[float, float, float, float]:
    """Mean gain of images, its 95 % interval, and the p of a t-test against 0, in points; NaN where all are equal."""
    from scipy.stats import ttest_1samp  # takes a second to import

    mean = 100 * float(gains.mean())
    if len(gains) < 2 or np.ptp(gains) == 0:
        return mean, float("nan"), float("nan"), float("nan")
    test = ttest_1samp(100 * gains, 0)
    interval = test.confidence_interval(CONFIDENCE)
    return mean, float(interval.low), float(interval.high), float(test.pvalue)


def draw(table: pd.DataFrame) -> Figure:
    """Gains of classes with their intervals, in order; what stands out after Holm in colour."""
    levels = {level: _drawn(table[table["level"] == level]) for level in LEVELS}
    heights = [1.0 + 0.14 * len(own) for own in levels.values()]
    figure, axes = panels(2, height=sum(heights) / 2, gridspec_kw={"height_ratios": heights})
    for panel, (level, own), alone in zip(axes, levels.items(), ("left", "right")):
        sure = own["p_holm"].fillna(1) < SIGNIFICANT
        for chosen, colour, label in (
            (~sure, COLOURS["other"], "interval, not corrected"),
            (sure & (own["gain_points"] > 0), COLOURS["bilateral"], "gains (Holm p < 0.05)"),
            (sure & (own["gain_points"] < 0), COLOURS["right"], "loses (Holm p < 0.05)"),
        ):
            some = own[chosen]
            ends = [some["gain_points"] - some["ci95_low"], some["ci95_high"] - some["gain_points"]]
            marks = {"fmt": "o", "markersize": 3, "linewidth": 0.8}
            panel.errorbar(some["gain_points"], some.index, xerr=ends, color=colour, label=label, **marks)
        panel.axvline(0, color=COLOURS["other"], linewidth=0.8)
        panel.set_yticks(own.index, [short(name, LONGEST_CLASS) for name in own["class"]], fontsize=7)
        panel.margins(y=0.02)
        all_of_them = len(own) == (table["level"] == level).sum()
        which = f"{level} classes" if all_of_them else f"{level} classes that gain or lose most"
        panel.set(title=which, xlabel=f"bilateral minus {alone} alone, points")
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside upper center", ncols=3, fontsize=7)
    return figure


def _drawn(own: pd.DataFrame) -> pd.DataFrame:
    own = own.sort_values("gain_points", ignore_index=True)
    if len(own) > MOST_DRAWN:
        own = pd.concat([own.head(MOST_DRAWN // 2), own.tail(MOST_DRAWN // 2)], ignore_index=True)
    return own


def tell(table: pd.DataFrame) -> str:
    """Say how many classes gain and lose, and name the ends."""
    first, texts = [], []
    for level, alone in (("fine", "left"), ("coarse", "right")):
        own = table[table["level"] == level]
        sure = own[own["p_holm"].fillna(1) < SIGNIFICANT]
        best, worst = own.loc[own["gain_points"].idxmax()], own.loc[own["gain_points"].idxmin()]
        gain, lose = (sure["gain_points"] > 0).sum(), (sure["gain_points"] < 0).sum()
        first.append(f"{gain} of {len(own)} {level} classes gain and {lose} lose")
        texts.append(
            f"Compared with {alone} alone, {(own['gain_points'] > 0).sum()} {level} classes are better and "
            f"{(own['gain_points'] < 0).sum()} worse, by chance or not."
        )
        if best["gain_points"] > worst["gain_points"]:
            ends = f"{best['class']} gains most ({best['gain_points']:+.1f} points), {worst['class']} least"
            texts.append(f"On these images {ends} ({worst['gain_points']:+.1f} points); their order is not tested.")
    return " ".join([f"Beyond chance, {'; '.join(first)} (p below 0.05 after Holm's correction).", *texts])
