"""Occlusion (Zeiler and Fergus 2013, arXiv 1311.2901), which needs no gradient, as a check of the Grad-CAM maps."""

import itertools
from collections.abc import Iterator

import pandas as pd
import torch
from matplotlib.figure import Figure
from torch import Tensor

from ..base.statistics import Summary, side_of_zero, summarise
from ..models.config import SIDES
from .activations import native_precision, spread
from .gradcam import chosen_stages, class_activation_maps, resized
from .study import NotApplicableError, Study, System
from .style import COLOURS, panels, told

IMAGES = 200
"""Test images, at most, at even distances."""
WINDOW, STRIDE = 4, 8
"""The grey window is a quarter of the image wide, and moves by an eighth."""


def compute(study: Study) -> pd.DataFrame:
    """How far occlusion and Grad-CAM rank the places of an image alike, for each seed, head and hemisphere.

    correlation: mean Spearman correlation over images between the fall of the predicted class's logit when a window is
    grey, for this hemisphere alone, and the Grad-CAM map of its last stage, averaged in the same windows.
    correlation_other: with the map of another image. images: with maps that are not constant.
    """
    if len(study.images) < 2:
        raise NotApplicableError("it needs two test images")
    images = study.images.images[spread(len(study.images), IMAGES)]
    size = (images.shape[2], images.shape[3])
    lines = []
    for system in study.systems:
        stages = {side: names[-1:] for side, names in chosen_stages(system.network, size).items()}
        normalised = system.normalise(images)
        with native_precision(system):
            maps, _ = class_activation_maps(system.network, normalised, stages)
        falls = logit_falls(system, normalised)
        for level in system.network.heads:
            for side in SIDES:
                seen = windows_of(resized(maps[level, side, stages[side][0]], size)).float().cpu()
                fall = falls[level, side].cpu()
                own = spearman(seen, fall)
                other = spearman(seen.roll(len(seen) // 2, 0), fall)
                known = ~(own.isnan() | other.isnan())
                means = [each[known].mean().item() for each in (own, other)]
                lines.append((system.seed, level, side, int(known.sum()), *means))
    return pd.DataFrame(lines, columns=["seed", "level", "side", "images", "correlation", "correlation_other"])


@torch.no_grad()
def logit_falls(system: System, images: Tensor) -> dict[tuple[str, str], Tensor]:
    """By (level, side): how much the logit of the predicted class falls for each window that this side sees grey.

    images: normalised (B, 3, H, W), in which grey is 0. Gives (B, windows).
    """
    clean = _features(system, dict.fromkeys(SIDES, images))
    best = {level: logits.max(1) for level, logits in system.network.classify(clean).logits.items()}
    falls: dict[tuple[str, str], list[Tensor]] = {}
    for rows, columns in windows((images.shape[2], images.shape[3])):
        covered = images.clone()
        covered[:, :, rows, columns] = 0
        if not system.network.bridges:  # then what one side sees is nothing to the other, and one walk does for both
            both = _features(system, dict.fromkeys(SIDES, covered))
        for side in SIDES:
            if system.network.bridges:
                changed = _features(system, {**dict.fromkeys(SIDES, images), side: covered})
            else:
                changed = {**clean, side: both[side]}
            logits = system.network.classify(changed).logits
            for level, (values, classes) in best.items():
                now = logits[level].gather(1, classes[:, None])[:, 0]
                falls.setdefault((level, side), []).append(values - now)
    return {key: torch.stack(values, 1) for key, values in falls.items()}


def _features(system: System, images: dict[str, Tensor]) -> dict[str, Tensor]:
    """Features in float32, so that the heads lose nothing of small differences, whatever computed them."""
    with native_precision(system):
        return {side: values.float() for side, values in system.network.walk(images).items()}


def windows(size: tuple[int, int]) -> Iterator[tuple[slice, slice]]:
    """The places of the window in images of `size` (H, W), row by row."""
    height, width = (max(1, extent // WINDOW) for extent in size)
    for top in range(0, size[0] - height + 1, max(1, size[0] // STRIDE)):
        for left in range(0, size[1] - width + 1, max(1, size[1] // STRIDE)):
            yield slice(top, top + height), slice(left, left + width)


def windows_of(maps: Tensor) -> Tensor:
    """The mean of maps (B, H, W) in every window: (B, windows)."""
    size = (maps.shape[1], maps.shape[2])
    return torch.stack([maps[:, rows, columns].mean((1, 2)) for rows, columns in windows(size)], 1)


def spearman(first: Tensor, second: Tensor) -> Tensor:
    """The rank correlation of each line of (B, n) with that of the other; NaN where one is constant."""
    from scipy.stats import rankdata  # takes a second to import

    ranks = [torch.from_numpy(rankdata(values.numpy(), axis=1)) for values in (first, second)]
    one, other = (rank - rank.mean(1, keepdim=True) for rank in ranks)
    return (one * other).sum(1) / (one.norm(dim=1) * other.norm(dim=1))


def agreement(table: pd.DataFrame, level: str, side: str) -> Summary | None:
    """Summarise the correlation over seeds; None where no image has a map."""
    values = table.loc[(table["level"] == level) & (table["side"] == side), "correlation"].dropna().tolist()
    return summarise(values) if values else None


def draw(table: pd.DataFrame) -> Figure:
    """The correlations, every seed a dot, beside those with maps of other images."""
    figure, axes = panels(height=2.6)
    labels = []
    for place, (level, side) in enumerate(itertools.product(table["level"].unique(), SIDES)):
        own = table[(table["level"] == level) & (table["side"] == side)]
        axes.scatter(own["correlation"], [place] * len(own), color=COLOURS[side])
        hollow = {"facecolors": "none", "edgecolors": COLOURS["other"]}
        axes.scatter(own["correlation_other"], [place] * len(own), **hollow)
        labels.append(f"{level} head, {side}")
    axes.set_yticks(range(len(labels)), labels)
    axes.axvline(0, color=COLOURS["other"], linewidth=0.8)
    label = "rank correlation (○: with another image's map)"
    axes.set(xlim=(-0.3, 1), ylim=(len(labels) - 0.5, -0.5), xlabel=label)
    return figure


def tell(table: pd.DataFrame) -> str:
    """Say whether the check bears the maps out."""
    texts = [
        f"{level} head, {side} {summary['mean']:.2f}"
        for level, side in itertools.product(table["level"].unique(), SIDES)
        if (summary := agreement(table, level, side))
    ]
    if not texts:
        return "No image has a Grad-CAM map to compare with."
    own, other = table["correlation"].mean(), table["correlation_other"].mean()
    by_seed = (table["correlation"] - table["correlation_other"]).groupby(table["seed"]).mean().dropna().tolist()
    confirms = {1: "confirms", 0: "is not shown to confirm", -1: "does not confirm"}[side_of_zero(by_seed)]
    if len(by_seed) == 1:
        confirms = "confirms, in this one seed," if own > other else "does not confirm"
    return (
        f"Covering parts of an image {confirms} its Grad-CAM map: their rank correlation is {own:.2f}, with another "
        f"image's map {other:.2f}. The first is {told(by_seed, '+.2f')} above the second. "
        f"By head and side: {', '.join(texts)}."
    )
