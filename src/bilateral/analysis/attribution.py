"""Attribution by hemisphere: do left and right look at the same place? Grad-CAM maps of all test images compared."""

import itertools
from collections.abc import Iterator

import pandas as pd
import torch
from matplotlib.figure import Figure
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d

from ..base.statistics import Summary, summarise
from .activations import BATCH, native_precision
from .gradcam import chosen_stages, class_activation_maps, scaled
from .study import NotApplicableError, Study, System
from .style import COLOURS, panels

TOGETHER = "left-right, one seed"
"""Of one seed, left and right saw the same batches and crops in the same order, as no two seeds of one kind did."""
PAIRS = ("left-right", "left-left", "right-right", TOGETHER, "both heads, left", "both heads, right")
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
    for system in study.systems:
        maps |= test_maps(study, system)
    stages, lines = _stages(study), []
    for depth in sorted({key[3] for key in maps}):
        for level, pair, first, second in _compared([key for key in maps if key[3] == depth]):
            one, other = _alike(maps[first], maps[second])
            # Half the set away, for neighbours may be of one class.
            another = other.roll(len(other) // 2, 0)
            own, chance = overlap(one, other), overlap(one, another)
            seen = ~(own.isnan() | chance.isnan())
            right = _head_was_right(study, first[0], level)
            stage = "/".join(dict.fromkeys(stages[key[2]][depth] for key in (first, second)))
            for outcome, among in (("all", seen), ("right", seen & right), ("wrong", seen & ~right)):
                count = int(among.sum())
                means = [each[among].mean().item() if count else float("nan") for each in (own, chance)]
                lines.append((level, pair, stage, first[0], second[0], outcome, count, *means))
    columns = ["level", "pair", "stage", "seed", "other_seed", "outcome", "images"]
    return pd.DataFrame(lines, columns=[*columns, "overlap", "overlap_chance"])


def test_maps(study: Study, system: System) -> dict[Key, Tensor]:
    """The maps of both heads on every test image: (N, h, w) in float16 on the CPU, which bounds the memory."""
    stages = _stages(study)
    parts: dict[Key, list[Tensor]] = {}
    for batch in study.images.images.split(BATCH):
        with native_precision(system):
            maps, _ = class_activation_maps(system.network, system.normalise(batch), stages)
        for (level, side, stage), values in maps.items():
            if level in ("fine", "coarse"):
                depth = stages[side].index(stage) - len(stages[side])
                parts.setdefault((system.seed, level, side, depth), []).append(scaled(values).half().cpu())
    return {key: torch.cat(values) for key, values in parts.items()}


def _stages(study: Study) -> dict[str, list[str]]:
    shape = study.images.images.shape
    return chosen_stages(study.systems[0].network, (shape[2], shape[3]))


def _alike(first: Tensor, second: Tensor) -> tuple[Tensor, Tensor]:
    """Two maps (N, h, w) at the smaller one's size, in float32."""
    size = min((first.shape[1], first.shape[2]), (second.shape[1], second.shape[2]))
    small = [
        values.float() if values.shape[1:] == torch.Size(size) else adaptive_avg_pool2d(values.float(), size)
        for values in (first, second)
    ]
    return small[0], small[1]


def overlap(first: Tensor, second: Tensor) -> Tensor:
    """The intersection of maps (N, h, w), each scaled to a sum of 1: (N,), 0 to 1; NaN where one is 0 everywhere."""
    return torch.minimum(_distribution(first), _distribution(second)).sum(1)


def _distribution(maps: Tensor) -> Tensor:
    flat = maps.flatten(1)
    return flat / flat.sum(1, keepdim=True)


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


def _head_was_right(study: Study, seed: int, level: str) -> Tensor:
    system = next(system for system in study.systems if system.seed == seed)
    return system.bilateral.predictions.correct(level)


def mean_overlap(table: pd.DataFrame, pair: str, level: str, column: str = "overlap") -> Summary | None:
    """Summarise a column over seeds (or pairs of seeds) at the pair's last stage; None where there is no such pair."""
    own = table[(table["pair"] == pair) & (table["level"] == level) & (table["outcome"] == "all")]
    values = own.loc[own["stage"] == own["stage"].iloc[-1], column].dropna().tolist() if len(own) else []
    return summarise(values) if values else None


def draw(table: pd.DataFrame) -> Figure:
    """Mean overlap of each pair, every seed a dot, beside chance (maps of different images)."""
    stages = list(dict.fromkeys(table["stage"]))
    figure, axes = panels(len(stages), height=3.2, sharey=True, squeeze=False)
    for panel, stage in zip(axes[0], stages):
        own = table[(table["stage"] == stage) & (table["outcome"] == "all")]
        for row, pair in enumerate(PAIRS):
            levels = ("fine", "coarse") if not pair.startswith("both") else ("fine",)
            for offset, level in enumerate(levels):
                found = own[(own["pair"] == pair) & (own["level"] == level)]
                place = row + (0.14 * (2 * offset - 1) if len(levels) == 2 else 0)
                colour = COLOURS[level] if len(levels) == 2 else COLOURS["extra"]
                panel.scatter(found["overlap"], [place] * len(found), color=colour, s=16)
                panel.scatter(
                    found["overlap_chance"], [place] * len(found), facecolors="none", edgecolors=COLOURS["other"], s=16
                )
        panel.set_yticks(range(len(PAIRS)), PAIRS)
        panel.set(title=f"maps of {stage}", xlabel="overlap of maps", xlim=(0, 1), ylim=(len(PAIRS) - 0.5, -0.5))
    handles = [
        axes[0][0].scatter([], [], color=COLOURS[level], s=16, label=f"{level} head") for level in ("fine", "coarse")
    ]
    handles.append(axes[0][0].scatter([], [], facecolors="none", edgecolors=COLOURS["other"], label="different images"))
    figure.legend(handles=handles, loc="outside lower center", ncols=3)
    return figure


def tell(table: pd.DataFrame) -> str:
    """Say how far left's and right's maps overlap, beside two seeds of one kind, each pair beside its own chance."""
    across = PAIRS[0] if mean_overlap(table, PAIRS[0], "fine") or mean_overlap(table, PAIRS[0], "coarse") else TOGETHER
    texts = []
    for level in ("fine", "coarse"):
        found = [
            f"{own['mean']:.2f} for {words} (different images: {chance['mean']:.2f})"
            for pair, words in (
                (across, "left and right"),
                ("left-left", "two left ones"),
                ("right-right", "two right ones"),
            )
            if (own := mean_overlap(table, pair, level))
            and (chance := mean_overlap(table, pair, level, "overlap_chance"))
        ]
        if found and mean_overlap(table, across, level):
            texts.append(f"for the {level} head the maps overlap by {', '.join(found)}")
    if not texts:
        return "There is no image on which both left and right have a map."
    alone = " Left and right are of one seed, and saw the same batches in the same order." if across == TOGETHER else ""
    return f"At {table.loc[table['pair'] == across, 'stage'].iloc[-1]}, {'; '.join(texts)}.{alone}"
