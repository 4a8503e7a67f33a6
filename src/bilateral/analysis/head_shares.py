"""Who is listened to: what of each head's logits comes from left and what from right, and does the image matter?"""

from collections.abc import Mapping

import numpy as np
import pandas as pd
import torch
from matplotlib.figure import Figure
from torch import Tensor

from ..base.statistics import Summary, summarise
from ..base.streams import derive_seed
from ..runs.predictions import LEVELS
from ..training.evaluation import Evaluation
from .heads import Contributions, contributions
from .outcomes import judgements
from .study import Study, System
from .style import COLOURS, panels

CONSTANTS = [percent / 100 for percent in range(5, 100, 2)]
"""Shares of left of which the best constant one is chosen."""
PERMUTATIONS = 5
_WORDS = {
    # measure (see `weighting`): what is said of it where it is known
    "logit_pct": "Of the logit that the {level} head decides by, {logit_pct:.0f} % comes from left, and of",
    "share_right_pct": "{share_right_pct:.0f} % where it is right",
    "share_wrong_pct": "{share_wrong_pct:.0f} % where it is wrong",
    "norm_pct": "; left has {norm_pct:.0f} % of the weights' norm",
    "between_classes_pct": "Over images that share has a deviation of {deviation_pct:.0f} points, of whose variance "
    "the class explains {between_classes_pct:.0f} %",
    "auc": "the share tells which hemisphere is correct with an AUC of {auc:.2f} (0.5: not at all)",
    "constant_points": "the best constant share changes its accuracy by {constant_points:+.2f} points, and ",
}
LITTLE = 0.5
"""Points of accuracy that are almost nothing."""


def compute(study: Study) -> pd.DataFrame:
    """One line a seed, level and test image.

    label, predicted, right: of the head. left_logit, right_logit, bias: of the predicted class, which add up to
    `logit`. left_weight_norm, right_weight_norm: of that class. share: left's in the strength of both (see
    `heads.Contributions`). constant_right: whether the head would be right if left had one share on every image, the
    best one on held-out images (of CONSTANTS); absent where none are held out. permuted_right: how often it would be
    with another image's share, over PERMUTATIONS orders of the images. left_right, right_right: whether each hemisphere
    alone was right, on its own labels.
    """
    frames = []
    for system in study.systems:
        evaluation, held_out = study.evaluation(system), study.held_out_evaluation(system)
        alone = judgements(system)
        for level in LEVELS:
            parts = contributions(system.network, level, evaluation.features)
            logits, labels = parts.logits, evaluation.labels[level]
            predicted = logits.argmax(1)
            chosen = (torch.arange(len(predicted)), predicted)
            held = torch.full((len(labels),), torch.nan)
            if held_out is not None:
                held = (parts.at_share(_best_constant(system, level, held_out)).argmax(1) == labels).float()
            columns: dict[str, Tensor] = {
                "label": labels,
                "predicted": predicted,
                "right": (predicted == labels).int(),
                "left_logit": parts.left[chosen],
                "right_logit": parts.right[chosen],
                "bias": parts.bias[predicted],
                "logit": logits[chosen],
                "left_weight_norm": parts.left_norms[predicted],
                "right_weight_norm": parts.right_norms[predicted],
                "share": parts.share,
                "constant_right": held,
                "permuted_right": _right_when_permuted(parts, labels, system.seed),
                "left_right": alone["left"].int(),
                "right_right": alone["right"].int(),
            }
            begin = {"seed": system.seed, "level": level, "image": range(len(labels))}
            frames.append(pd.DataFrame(begin | {name: values.numpy() for name, values in columns.items()}))
    return pd.concat(frames, ignore_index=True)


def _best_constant(system: System, level: str, held_out: Evaluation) -> float:
    """The share by which the head is right on most held-out images if left has it on all.

    Of several that are as good: the one nearest to the mean share.
    """
    parts = contributions(system.network, level, held_out.features)
    right = [int((parts.at_share(share).argmax(1) == held_out.labels[level]).sum()) for share in CONSTANTS]
    best = [share for share, count in zip(CONSTANTS, right) if count == max(right)]
    return min(best, key=lambda share: abs(share - parts.share.mean().item()))


def _right_when_permuted(parts: Contributions, labels: Tensor, seed: int) -> Tensor:
    generator = torch.Generator().manual_seed(derive_seed(seed, "permuted shares"))
    orders = [torch.randperm(len(labels), generator=generator) for _ in range(PERMUTATIONS)]
    right = [(parts.at_share(parts.share[order]).argmax(1) == labels).double() for order in orders]
    return torch.stack(right).mean(0)


def weighting(table: pd.DataFrame, level: str) -> dict[str, Summary]:
    """Summarise over seeds how a head weights the hemispheres.

    share_pct: left's mean share; share_right_pct, share_wrong_pct: where the head is right and wrong. deviation_pct:
    of the share over images. norm_pct: left's part of the norms of the predicted classes' weights. logit_pct: its part
    of their logits without bias, by means.
    between_classes_pct: of the variance of the share over images, what its label explains (eta squared). auc: the
    probability that the share is higher on an image that left alone got right and right wrong than on one where it is
    the other way round (one half: it does not follow them). constant_points, permuted_points: what the head's accuracy
    loses, in points, if every image has the best constant share, or another image's.
    """
    values: dict[str, list[float]] = {}
    for _, own in table[table["level"] == level].groupby("seed"):
        share, classes = own["share"], own.groupby("label")["share"].transform("mean")
        left, both = own["left_logit"].mean(), (own["left_logit"] + own["right_logit"]).mean()
        norms = own["left_weight_norm"] + own["right_weight_norm"]
        found = {
            "share_pct": 100 * share.mean(),
            "share_right_pct": 100 * share[own["right"] == 1].mean(),
            "share_wrong_pct": 100 * share[own["right"] == 0].mean(),
            "norm_pct": 100 * (own["left_weight_norm"] / norms).mean(),
            "deviation_pct": 100 * share.std(),
            "logit_pct": 100 * left / both if both else np.nan,
            "between_classes_pct": 100 * classes.var() / share.var() if share.var() else 0.0,
            "auc": _auc(own),
            # Image by image, so that what changes no answer costs nothing, not the rounding of a mean.
            "constant_points": 100 * (own["right"] - own["constant_right"]).mean(),
            "permuted_points": 100 * (own["right"] - own["permuted_right"]).mean(),
        }
        for name, value in found.items():
            if not np.isnan(value):  # as where a head is never wrong
                values.setdefault(name, []).append(float(value))
    return {name: summarise(each) for name, each in values.items()}


def _auc(own: pd.DataFrame) -> float:
    left_only = own.loc[(own["left_right"] == 1) & (own["right_right"] == 0), "share"]
    right_only = own.loc[(own["left_right"] == 0) & (own["right_right"] == 1), "share"]
    if left_only.empty or right_only.empty:
        return float("nan")
    from sklearn.metrics import roc_auc_score  # takes a second to import

    truth = np.repeat([1, 0], [len(left_only), len(right_only)])
    return float(roc_auc_score(truth, pd.concat([left_only, right_only])))


def draw(table: pd.DataFrame) -> Figure:
    """The share over images; by who was right alone; by class."""
    figure, (images, groups, classes) = panels(3, height=2.8)
    bins = np.linspace(0, 1, 41)
    named = {(1, 1): "both", (1, 0): "left only", (0, 1): "right only", (0, 0): "neither"}
    for offset, level in enumerate(LEVELS):
        own, colour = table[table["level"] == level], COLOURS[level]
        density, _ = np.histogram(own["share"], bins)
        images.stairs(100 * density / len(own), bins, color=colour, label=f"{level} head", linewidth=1.5)
        by_group = own.groupby(["left_right", "right_right", "seed"])["share"].mean().unstack("seed")
        by_group = by_group.reindex(pd.MultiIndex.from_tuples(list(named)))
        places = np.arange(len(named)) + 0.16 * (2 * offset - 1)
        groups.errorbar(places, by_group.mean(axis=1), by_group.std(axis=1), fmt="o", color=colour, label=level)
        by_class = own.groupby("label")["share"].agg(["mean", "std"]).sort_values("mean")
        place = np.linspace(0, 100, len(by_class))
        classes.plot(place, by_class["mean"], color=colour)
        low, high = by_class["mean"] - by_class["std"], by_class["mean"] + by_class["std"]
        classes.fill_between(place, low, high, color=colour, alpha=0.2, linewidth=0)
    images.set(xlabel="left's share", ylabel="% of images", title="over images", xlim=(0, 1))
    images.legend()
    groups.set_xticks(range(len(named)), list(named.values()), fontsize=8)
    who = "who was correct alone (± deviation over seeds)"
    groups.set(xlabel=who, ylabel="left's mean share", title="follows who is correct?")
    classes.set(xlabel="classes by share, %", ylabel="left's share", title="by class (± deviation of images)")
    for draw_line in (images.axvline, groups.axhline, classes.axhline):
        draw_line(0.5, color=COLOURS["other"], linewidth=0.8)
    return figure


def tell(table: pd.DataFrame) -> str:
    """Say how large left's share is, what it depends on, and what that is worth."""
    texts, first = [], []
    for level in LEVELS:
        found = {name: summary["mean"] for name, summary in weighting(table, level).items()}
        found |= {name: -found[name] for name in ("constant_points", "permuted_points") if name in found}
        parts = [words.format(level=level, **found) if key in found else "" for key, words in _WORDS.items()]
        logit, right, wrong, norms, spread, follows, held = parts
        outcomes = ", ".join(filter(None, (right, wrong)))
        first.append(f"{found['share_pct']:.0f} % of the {level} head's scores")
        texts.append(
            f"{logit or 'Of'} what sets its classes apart {found['share_pct']:.0f} % ({outcomes}{norms}). "
            f"{spread or 'There is one image alone'}; {follows or 'no image tells which hemisphere it follows'}; {held}"
            f"another image's share changes the head's accuracy by {found['permuted_points']:+.2f} points."
        )
    costs = mix_costs(table)
    mix = [f"{same_mix(costs)}."] if costs else []
    return " ".join([*mix, f"Left gives {' and '.join(first)}.", *texts])


def mix_costs(table: pd.DataFrame) -> dict[str, Summary]:
    """Give the points that the same mix of the sides for every image costs each head.

    Empty where no images were held out to choose that mix on.
    """
    found = {level: weighting(table, level).get("constant_points") for level in LEVELS}
    return {level: summary for level, summary in found.items() if summary}


def cost_little(costs: Mapping[str, Summary]) -> bool:
    """Whether no head's 95 % interval of what it loses reaches half a point."""
    return all(cost["ci95"] and cost["ci95"][1] < LITTLE for cost in costs.values())


def same_mix(costs: Mapping[str, Summary]) -> str:
    """Say what `mix_costs` gave."""
    named = " and ".join(f"{cost['mean']:.2f} points for the {level} head" for level, cost in costs.items())
    return f"Using the same mix for every image costs {f'almost nothing ({named})' if cost_little(costs) else named}"
