"""The original's cosine analysis: how far two images of one class are apart, to left, to right, and to both."""

import bisect
import itertools
import math
import random
from statistics import fmean

import numpy as np
import pandas as pd
import torch
from matplotlib.figure import Figure
from torch import Tensor
from torch.nn.functional import normalize

from ..base.streams import derive_seed
from ..models.config import SIDES
from .outcomes import judgements
from .study import NotApplicableError, Study
from .style import COLOURS, SEQUENTIAL, panels

RESTS_ON = SIDES

MOST_LISTED = 5_000_000
"""Pairs up to which all are put into a random order, which takes memory; of more, some are drawn."""
PAIRS = 400
"""Of each outcome group and seed, at most; drawn at random where there are more."""


def compute(study: Study) -> pd.DataFrame:
    """One line a pair of test images of one fine class and one outcome group.

    group: four digits, whether left, right, the fine and the coarse head were right. left, right, joined: cosine
    distances (0 to 2) of the features that the heads get, of each hemisphere and of both together.
    """
    frames = []
    for system in study.systems:
        evaluation = study.evaluation(system)
        labels = evaluation.labels["fine"]
        cells = torch.stack(list(judgements(system).values()), 1).long()
        group_of = (cells * torch.tensor([8, 4, 2, 1])).sum(1)
        spaces = {side: evaluation.features[side] for side in SIDES}
        spaces["joined"] = system.network.joined(dict(evaluation.features))
        unit = {name: normalize(values, dim=1) for name, values in spaces.items()}
        for group in range(16):
            first, second = pairs(group_of == group, labels, derive_seed(system.seed, "pairs", group))
            columns = {"label": labels[first], "first_image": first, "second_image": second}
            columns |= {name: 1 - (each[first] * each[second]).sum(1) for name, each in unit.items()}
            begin = {"seed": system.seed, "group": f"{group:04b}"}
            frames.append(pd.DataFrame(begin | {name: values.numpy() for name, values in columns.items()}))
    table = pd.concat(frames, ignore_index=True)
    if table.empty:
        raise NotApplicableError("no two test images of one class have one outcome")
    return table


def pairs(chosen: Tensor, labels: Tensor, seed: int) -> tuple[Tensor, Tensor]:
    """Every two of the `chosen` (N,) images that have one label, PAIRS of them at most: their indices."""
    groups = [((labels == label) & chosen).nonzero().squeeze(1) for label in labels[chosen].unique()]
    counts = [len(members) * (len(members) - 1) // 2 for members in groups]
    if sum(counts) <= MOST_LISTED:
        order = torch.randperm(sum(counts), generator=torch.Generator().manual_seed(seed))[:PAIRS].tolist()
    else:
        order = random.Random(seed).sample(range(sum(counts)), PAIRS)
    ends = list(itertools.accumulate(counts))
    found = torch.empty(2, len(order), dtype=torch.long)
    for place, number in enumerate(order):
        group = bisect.bisect_right(ends, number)
        first, second = _pair(number - ends[group] + counts[group], len(groups[group]))
        found[:, place] = groups[group][torch.tensor([first, second])]
    return found[0], found[1]


def _pair(number: int, count: int) -> tuple[int, int]:
    """Which two of `count` things are the pair of this number, in the order (0, 1), (0, 2), ..., (1, 2), ..."""
    behind = count * (count - 1) // 2 - 1 - number  # pairs after this one, of which the last k rows have k (k + 1) / 2
    rows = (math.isqrt(8 * behind + 1) - 1) // 2
    first = count - 2 - rows
    return first, count - 1 - (behind - rows * (rows + 1) // 2)


_PANELS = {"both": "11", "left only": "10", "right only": "01", "neither": "00"}


def draw(table: pd.DataFrame) -> Figure:
    """Left's distances against right's, coloured by those of both, by who was right alone; the first seed."""
    first = table[table["seed"] == table["seed"].iloc[0]]
    limit = float(max(np.ceil(10 * max(table["left"].max(), table["right"].max())), 1) / 10)
    figure, axes = panels(4, 2, height=1.5, gridspec_kw={"height_ratios": [0.35, 1] * 2}, sharex=True)
    for place, (name, alone) in enumerate(_PANELS.items()):
        own = first[first["group"].str.startswith(alone)]
        line, column = 2 * (place // 2), place % 2
        margin, panel = axes[line, column], axes[line + 1, column]
        bins = np.linspace(0, limit, 31)
        for side in ("left", "right"):
            counts, _ = np.histogram(own[side], bins, density=bool(len(own)))
            margin.stairs(counts, bins, color=COLOURS[side], label=side)
        margin.set(title=f"correct alone: {name}", yticks=[])
        shown = panel.scatter(
            own["left"], own["right"], c=own["joined"], s=3, cmap=SEQUENTIAL, vmin=0, vmax=limit, rasterized=True
        )
        panel.plot([0, limit], [0, limit], color=COLOURS["other"], linewidth=0.8)
        panel.set(xlim=(0, limit), ylim=(0, limit), xlabel="left", ylabel="right")
    axes[0, 0].legend(fontsize=7)
    figure.colorbar(shown, ax=axes, location="bottom", shrink=0.7, aspect=40, label="both")
    return figure


def tell(table: pd.DataFrame) -> str:
    """Say how far images of a class are apart in each space, and how much left and right agree on that."""
    by_seed = table.groupby("seed")[["left", "right", "joined"]].mean()
    left, right, joined = (fmean(by_seed[space]) for space in by_seed)
    text = (
        f"In pairs balanced over outcome groups, two images of one class are {left:.2f} apart in left, {right:.2f} in "
        f"right, {joined:.2f} in both"
    )
    varied = [own for _, own in table.groupby("seed") if (own[["left", "right"]].nunique() > 1).all()]
    known = [own["left"].corr(own["right"], method="spearman") for own in varied]
    sentences = [f"{text}."]
    for name in ("left", "right"):
        own = table.loc[table["group"].str.startswith(_PANELS[f"{name} only"]), ["left", "right"]].mean()
        if own.notna().all():
            sentences.append(f"Where {name} alone was right they are {own['left']:.2f} and {own['right']:.2f} apart.")
    if known:
        agree = fmean(known)
        begin = "agree" if agree > 0.5 else "agree in part" if agree > 0.2 else "hardly agree"
        sentences.insert(
            0, f"Left and right {begin} on which images of a class are similar (rank correlation {agree:.2f})."
        )
    return " ".join(sentences)
