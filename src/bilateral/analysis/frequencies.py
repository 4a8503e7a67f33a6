"""Frequencies: which spatial frequencies of an image each head needs, and through which hemisphere.

The network's input is filtered by Gaussian low-passes and high-passes (`models/parts/filter.py`) of rising cut-off. In
humans the right hemisphere is said to prefer low frequencies, and the left high ones (Sergent 1982,
10.1037/0096-1523.8.2.253).
"""

import math
from collections.abc import Iterator
from itertools import pairwise

import pandas as pd
import torch
from matplotlib.figure import Figure
from torch import nn

from ..models.config import SIDES
from ..models.parts.filter import Filter
from ..runs.predictions import LEVELS
from ..training.evaluation import evaluate
from .activations import spread
from .heads import SILENCED, accuracies
from .study import NotApplicableError, Study
from .style import COLOURS, panels, told

IMAGES = 1000
"""Test images, at most, at even distances."""
FILTERS = {"low-pass": "below", "high-pass": "above"}
"""And which option of the filter is the cut-off."""
_LOOKS = {"none": (COLOURS["bilateral"], "all"), **{side: (COLOURS[side], f"without {side}") for side in SIDES}}


def compute(study: Study) -> pd.DataFrame:
    """Accuracy (%) by seed, filter, cut-off in cycles per image, level, and side that is silenced.

    filter: `none` (of no cut-off), `low-pass` or `high-pass`, which takes the mean of each channel away too; what is
    filtered is the network's input, normalised images. silenced: `none`, or the side whose features are replaced by
    their mean over the images. chance_pct: the share of the commonest label.
    """
    images = study.images.select(spread(len(study.images), IMAGES))
    labels = {"fine": images.fine, "coarse": images.coarse}
    chance = {level: 100 * values.bincount().max().item() / len(images) for level, values in labels.items()}
    filters = list(_filters(images.images.shape[1:]))
    if min(chance.values()) == 100:
        raise NotApplicableError("the test images have one label alone")
    if len(filters) == 1:
        raise NotApplicableError("the images are too small to have a frequency that can be filtered")
    lines = []
    for system in study.systems:
        for name, cutoff, passes in filters:
            whole = nn.Sequential(*passes, system.network).to(system.device).eval()
            said = evaluate(whole, images, system.bilateral.description.normalise)
            for silenced, lesions in SILENCED.items():
                for level, share in accuracies(system.network, said, lesions).items():
                    lines.append((system.seed, name, cutoff, level, silenced, len(images), chance[level], 100 * share))
    columns = ["seed", "filter", "cutoff", "level", "silenced", "images", "chance_pct", "accuracy_pct"]
    return pd.DataFrame(lines, columns=columns)


def _filters(shape: torch.Size) -> Iterator[tuple[str, float, list[Filter]]]:
    """No filter, then those with cut-offs of 1, 1.5, 2, 3, 4, 6, ... cycles per image, up to the Nyquist frequency."""
    yield "none", math.nan, []
    cutoffs = [factor * 2**octave for octave in range(10) for factor in (1, 1.5)]
    for name, option in FILTERS.items():
        for cutoff in cutoffs:
            if cutoff <= min(shape[1:]) / 2:
                yield name, cutoff, [Filter(Filter.Options(**{option: cutoff}), shape)]


def half_cutoffs(table: pd.DataFrame, level: str, passing: str, silenced: str = "none") -> pd.Series:
    """By seed, the cut-off of a filter at which half of the accuracy above chance is left: in cycles per image.

    It is the first one on the way from no filter to the strongest, on a straight line over the logarithm between the
    two cut-offs around it. NaN where no more than half is left at the weakest filter, where more than half is left at
    the strongest, and where nothing is above chance without a filter.
    """
    own = table[(table["level"] == level) & (table["silenced"] == silenced)]
    found = {}
    for seed, each in own.groupby("seed"):
        above = (each["accuracy_pct"] - each["chance_pct"]).set_axis(each["cutoff"])
        whole = above[above.index.isna()].iloc[0]
        filtered = above[(each["filter"] == passing).to_numpy()].sort_index(ascending=passing == "high-pass")
        found[seed] = _crossing(filtered / whole, 0.5) if whole > 0 else math.nan
    return pd.Series(found, name="cutoff", dtype=float)


def _crossing(shares: pd.Series, wanted: float) -> float:
    for (before, more), (after, less) in pairwise(shares.items()):
        if more > wanted >= less:
            return float(before * (after / before) ** ((more - wanted) / (more - less)))
    return math.nan


def draw(table: pd.DataFrame) -> Figure:
    """Accuracy over the cut-off, a line for all and for each side silenced; band: lowest to highest seed."""
    levels = [level for level in LEVELS if level in set(table["level"])]
    figure, axes = panels(len(levels) * len(FILTERS), height=2.3, squeeze=False)
    for row, level in zip(axes.reshape(len(levels), len(FILTERS)), levels):
        for panel, passing in zip(row, FILTERS):
            own = table[(table["level"] == level) & table["filter"].isin(["none", passing])]
            # From the lowest cut-off to the highest; no filter stands where the filter lets everything pass.
            ticks = sorted(own["cutoff"].dropna().unique())
            ticks = [*ticks, None] if passing == "low-pass" else [None, *ticks]
            for silenced, (colour, label) in _LOOKS.items():
                lines = own[own["silenced"] == silenced].pivot(index="cutoff", columns="seed", values="accuracy_pct")
                lines = lines.reindex([math.nan if tick is None else tick for tick in ticks])
                places = range(len(ticks))
                panel.plot(places, lines.mean(axis=1), "o-", markersize=3, color=colour, label=label)
                panel.fill_between(places, lines.min(axis=1), lines.max(axis=1), color=colour, alpha=0.2, linewidth=0)
            panel.axhline(own["chance_pct"].iloc[0], color=COLOURS["other"], linestyle=":", label="chance")
            panel.set_xticks(range(len(ticks)), ["no\nfilter" if tick is None else f"{tick:g}" for tick in ticks])
            panel.tick_params(axis="x", labelsize=7)
            panel.set(title=f"{level} head, {passing}", ylim=(0, None), ylabel="accuracy, %")
    axes[-1, 0].set_xlabel("cut-off, cycles per image")
    figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=4, fontsize=7)
    return figure


def tell(table: pd.DataFrame) -> str:
    """Say at which cut-offs half of the accuracy is left, and how far the sides differ in that."""
    texts, first = [], []
    for level in [level for level in LEVELS if level in set(table["level"])]:
        needed = half_cutoffs(table, level, "low-pass", "none").dropna()
        if len(needed):
            first.append(f"the {level} head needs frequencies up to {needed.mean():.1f} cycles per image")
    for level in LEVELS:
        for passing in FILTERS if level in set(table["level"]) else ():
            found = {silenced: half_cutoffs(table, level, passing, silenced).dropna() for silenced in SILENCED}
            if all(each.empty for each in found.values()):
                continue
            whole, left, right = (f"{each.mean():.1f}" if len(each) else "–" for each in found.values())
            text = f"{level} head, {passing}: {whole}, without left {left}, without right {right}"
            difference = (found["left"] - found["right"]).dropna()
            if len(difference):
                text += f", the former less the latter {told(difference)}"
            texts.append(text)
    said = "; ".join(first)
    begin = f"{said[0].upper()}{said[1:]} to keep half of its accuracy above chance. " if first else ""
    if not texts:
        return "There is no cut-off at which half of a head's accuracy above chance is left."
    return begin + (
        "Cut-offs, in cycles per image, at which half of the accuracy above chance is left (–: there is no such one): "
        f"{'; '.join(texts)}."
    )
