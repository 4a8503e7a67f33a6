"""Attribution by hemisphere: do left and right look at the same place? Grad-CAM maps of all test images compared."""

import itertools
from collections.abc import Iterator, Mapping

import pandas as pd
import torch
from matplotlib.figure import Figure
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d

from ..base.statistics import Summary, summarise
from ..runs.predictions import LEVELS
from .activations import BATCH, KINDS, TOGETHER, native_precision
from .gradcam import chosen_stages, class_activation_maps, scaled
from .study import NotApplicableError, Study, System
from .style import COLOURS, panels

PAIRS = (*KINDS, "both heads, left", "both heads, right")
"""Compared: hemispheres of two seeds, of two sides or one; those of a network; two heads in one hemisphere."""

Key = tuple[int, str, str, int]
"""A seed, a level, a side, a depth: -1 for the last of the stages that are looked at."""


def compute(study: Study) -> pd.DataFrame:
    """One line for each pair of maps (PAIRS), level, stage, seeds and outcome (all, right, wrong: of the head).

    overlap: mean over images of the intersection of the two maps, each scaled to a sum of 1 (0 to 1; 1: the same map).
    overlap_chance: the same of this very pair's maps of different images. images: with maps that are not 0 everywhere.
    """
    if len(study.images) < 2:
        raise NotApplicableError("it needs two test images")
    maps: dict[Key, Tensor] = {}
    height, width = study.images.images.shape[2:]
    stages = chosen_stages(study.systems[0].network, (height, width))
    for system in study.systems:
        maps |= test_maps(study, system, stages)
    lines = []
    systems = {system.seed: system for system in study.systems}
    for depth in sorted({key[3] for key in maps}):
        for level, pair, first, second in _compared([key for key in maps if key[3] == depth]):
            one, other = _alike(maps[first], maps[second])
            # Half the set away, for neighbours may be of one class.
            another = other.roll(len(other) // 2, 0)
            own, chance = overlap(one, other), overlap(one, another)
            seen = ~(own.isnan() | chance.isnan())
            right = systems[first[0]].bilateral.predictions.correct(level)
            stage = "/".join(dict.fromkeys(stages[key[2]][depth] for key in (first, second)))
            for outcome, among in (("all", seen), ("right", seen & right), ("wrong", seen & ~right)):
                count = int(among.sum())
                means = [each[among].mean().item() if count else float("nan") for each in (own, chance)]
                lines.append((level, pair, stage, first[0], second[0], outcome, count, *means))
    columns = ["level", "pair", "stage", "seed", "other_seed", "outcome", "images"]
    return pd.DataFrame(lines, columns=[*columns, "overlap", "overlap_chance"])


def test_maps(study: Study, system: System, stages: Mapping[str, list[str]]) -> dict[Key, Tensor]:
    """The maps of both heads on every test image: (N, h, w) in float16 on the CPU, which bounds the memory."""
    parts: dict[Key, list[Tensor]] = {}
    for batch in study.images.images.split(BATCH):
        with native_precision(system):
            maps, _ = class_activation_maps(system.network, system.normalise(batch), stages)
        for (level, side, stage), values in maps.items():
            if level in LEVELS:
                depth = stages[side].index(stage) - len(stages[side])
                parts.setdefault((system.seed, level, side, depth), []).append(scaled(values).half().cpu())
    return {key: torch.cat(values) for key, values in parts.items()}


def _alike(first: Tensor, second: Tensor) -> tuple[Tensor, Tensor]:
    """Two maps (N, h, w) at the smaller one's size, in float32."""
    size = min((first.shape[1], first.shape[2]), (second.shape[1], second.shape[2]))
    one, other = (adaptive_avg_pool2d(values.float(), size) for values in (first, second))
    return one, other


def overlap(first: Tensor, second: Tensor) -> Tensor:
    """The intersection of maps (N, h, w), each scaled to a sum of 1: (N,), 0 to 1; NaN where one is 0 everywhere."""
    one, other = (maps.flatten(1) / maps.sum((1, 2))[:, None] for maps in (first, second))
    return torch.minimum(one, other).sum(1)


def _compared(keys: list[Key]) -> Iterator[tuple[str, str, Key, Key]]:
    """Every two maps that are compared: the level by whose outcome they are told apart, the kind of pair, the maps."""
    for first, second in itertools.combinations(keys, 2):
        (seed, level, side, _), (other_seed, other_level, other_side, _) = first, second
        if seed == other_seed and level == other_level:
            yield level, TOGETHER, first, second
        elif level == other_level and side == other_side:
            yield level, f"{side}-{side}", first, second
        elif level == other_level:
            yield level, "left-right", *((first, second) if side == "left" else (second, first))
        elif seed == other_seed and side == other_side:
            yield level, f"both heads, {side}", first, second


def mean_overlap(table: pd.DataFrame, pair: str, level: str, column: str = "overlap") -> Summary | None:
    """Summarise a column over seeds (or pairs of seeds) at the pair's last stage; None where there is no such pair."""
    own = table[(table["pair"] == pair) & (table["level"] == level) & (table["outcome"] == "all")]
    values = own.loc[own["stage"] == own["stage"].iloc[-1], column].dropna().tolist() if len(own) else []
    return summarise(values) if values else None


def draw(table: pd.DataFrame) -> Figure:
    """Mean overlap of each pair, every seed a dot, beside chance (maps of different images)."""
    stages = list(dict.fromkeys(table["stage"]))
    figure, axes = panels(len(stages), height=2.6, sharex=True, squeeze=False)
    hollow = {"facecolors": "none", "edgecolors": COLOURS["other"]}
    for panel, stage in zip(axes.flat, stages):
        own = table[(table["stage"] == stage) & (table["outcome"] == "all")]
        for row, pair in enumerate(PAIRS):
            levels = LEVELS if not pair.startswith("both") else LEVELS[:1]
            for offset, level in enumerate(levels):
                found = own[(own["pair"] == pair) & (own["level"] == level)]
                place = row + (0.14 * (2 * offset - 1) if len(levels) == 2 else 0)
                colour = COLOURS[level] if len(levels) == 2 else COLOURS["extra"]
                panel.scatter(found["overlap"], [place] * len(found), color=colour, s=16)
                panel.scatter(found["overlap_chance"], [place] * len(found), s=16, **hollow)
        panel.set_yticks(range(len(PAIRS)), PAIRS)
        panel.set(title=f"maps of {stage}", xlim=(0, 1), ylim=(len(PAIRS) - 0.5, -0.5))
    axes[-1, 0].set_xlabel("overlap of maps")
    first = axes[0, 0]
    handles = [first.scatter([], [], color=COLOURS[level], s=16, label=f"{level} head") for level in LEVELS]
    handles.append(first.scatter([], [], label="different images", **hollow))
    figure.legend(handles=handles, loc="outside lower center", ncols=3)
    return figure


def tell(table: pd.DataFrame) -> str:
    """Say how far left's and right's maps overlap, beside two seeds of one kind, each pair beside its own chance."""
    across = PAIRS[0] if mean_overlap(table, PAIRS[0], "fine") or mean_overlap(table, PAIRS[0], "coarse") else TOGETHER
    named = {across: "left and right", "left-left": "two left ones", "right-right": "two right ones"}
    texts, first = [], []
    for level in LEVELS:
        found = [
            f"{own['mean']:.2f} for {words} (different images: {chance['mean']:.2f})"
            for pair, words in named.items()
            if (own := mean_overlap(table, pair, level))
            and (chance := mean_overlap(table, pair, level, "overlap_chance"))
        ]
        seen = mean_overlap(table, across, level)
        chance = mean_overlap(table, across, level, "overlap_chance")
        if seen and chance:
            first.append(f"{seen['mean']:.2f} for the {level} head ({chance['mean']:.2f} by chance)")
        if found and seen:
            texts.append(f"for the {level} head the maps overlap by {', '.join(found)}")
    if not texts:
        return "There is no image on which both left and right have a map."
    alone = " Left and right are of one seed, and saw the same batches in the same order." if across == TOGETHER else ""
    begin = f"The places where left and right look overlap by {' and '.join(first)}. " if first else ""
    return f"{begin}At {table.loc[table['pair'] == across, 'stage'].iloc[-1]}, {'; '.join(texts)}.{alone}"
