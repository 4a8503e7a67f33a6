"""Similarity of representations: centred kernel alignment between all stages of all hemispheres.

Linear CKA (Kornblith et al. 2019, arXiv 1905.00414) of whole, flattened activations, over minibatches (Nguyen, Raghu
and Kornblith 2020, arXiv 2010.15327): the HSIC of each batch is averaged, then normalised. `debiased` takes the
unbiased HSIC (Song et al. 2012, JMLR 13), which alone is near 0 for unrelated activations of many dimensions.
"""

import itertools

import pandas as pd
import torch
from matplotlib.figure import Figure
from torch import Tensor

from .activations import BATCH, shuffled, spread, stage_activations
from .base import Analysis
from .study import NotApplicableError, Study
from .style import COLOURS, SEQUENTIAL, no_grid, panels

IMAGES = 5000
"""Test images, at most; at even distances."""
KINDS = ("left-right", "left-left", "right-right")

Node = tuple[int, str, str]
"""A seed, a side, a stage."""


def compute(study: Study) -> pd.DataFrame:
    """One line for every two stages of two hemispheres: of one seed, or of one side and two seeds.

    first_seed, first_side, first_stage, second_..., kind (of KINDS), cka, cka_debiased.
    """
    # In random order, for a batch of a data set that is sorted by class would hold few classes.
    chosen = study.images.images[shuffled(spread(len(study.images), IMAGES))]
    batches = [batch for batch in chosen.split(BATCH) if len(batch) > 3]
    if not batches:
        raise NotApplicableError("it needs four test images")
    nodes: list[Node] = []
    biased = unbiased = torch.zeros(())
    for batch in batches:
        grams = {}
        for system in study.systems:
            for (side, stage), values in stage_activations(system, batch).items():
                flat = values.flatten(1)
                grams[system.seed, side, stage] = flat @ flat.T
        nodes = list(grams)
        stacked = torch.stack(list(grams.values())).double().cpu()
        biased = biased + hsic(stacked)
        unbiased = unbiased + hsic_unbiased(stacked)
    plain, debiased = _normalised(biased), _normalised(unbiased)
    lines = []
    for (i, first), (j, second) in itertools.product(enumerate(nodes), repeat=2):
        kind = _kind(first, second)
        if kind:
            lines.append((*first, *second, kind, plain[i, j].item(), debiased[i, j].item()))
    columns = [f"{which}_{part}" for which in ("first", "second") for part in ("seed", "side", "stage")]
    return pd.DataFrame(lines, columns=[*columns, "kind", "cka", "cka_debiased"])


def hsic(grams: Tensor) -> Tensor:
    """The biased HSIC of every two of M Gram matrices (M, n, n): (M, M)."""
    centred = grams - grams.mean(1, keepdim=True) - grams.mean(2, keepdim=True) + grams.mean((1, 2), keepdim=True)
    flat = centred.flatten(1)
    return flat @ flat.T / (grams.shape[1] - 1) ** 2


def hsic_unbiased(grams: Tensor) -> Tensor:
    """The unbiased HSIC of every two of M Gram matrices (M, n, n), n > 3: (M, M)."""
    count = grams.shape[1]
    grams = grams - torch.diag_embed(torch.diagonal(grams, dim1=1, dim2=2))
    flat, rows = grams.flatten(1), grams.sum(2)
    total = rows.sum(1)
    return (flat @ flat.T + total[:, None] * total / ((count - 1) * (count - 2)) - 2 / (count - 2) * rows @ rows.T) / (
        count * (count - 3)
    )


def _normalised(values: Tensor) -> Tensor:
    """From HSIC to CKA; what has no positive norm of its own is similar to nothing."""
    scale = values.diagonal().clamp(min=0).sqrt()
    return torch.nan_to_num(values / (scale[:, None] * scale), posinf=0, neginf=0)


def _kind(first: Node, second: Node) -> str:
    if first[0] == second[0] and (first[1], second[1]) == ("left", "right"):
        return "left-right"
    if first[1] == second[1] and first[0] < second[0]:
        return f"{first[1]}-{first[1]}"
    return ""


def by_stage(table: pd.DataFrame) -> pd.DataFrame:
    """Debiased CKA of equal stages: one line a kind, stage and pair of seeds; stages in the order of the pass."""
    same = table[table["first_stage"] == table["second_stage"]]
    return same.rename(columns={"first_stage": "stage"})[["kind", "stage", "first_seed", "second_seed", "cka_debiased"]]


def draw(table: pd.DataFrame) -> Figure:
    """All stages of left against all of right, mean over seeds; and equal stages beside other seeds of one kind."""
    figure, (matrix, lines) = panels(2, height=3.9)
    across = table[table["kind"] == "left-right"]
    left, right = across["first_stage"].unique(), across["second_stage"].unique()
    means = across.groupby(["first_stage", "second_stage"])["cka_debiased"].mean().unstack()
    shown = matrix.imshow(means.reindex(index=left, columns=right), vmin=0, vmax=1, cmap=SEQUENTIAL, origin="lower")
    matrix.set_xticks(range(len(right)), right, rotation=60)
    matrix.set_yticks(range(len(left)), left)
    matrix.set(xlabel="right", ylabel="left", title="left against right, one seed")
    no_grid(matrix)
    figure.colorbar(shown, ax=matrix, shrink=0.8, label="CKA, debiased")
    found = by_stage(table)
    stages = list(dict.fromkeys(found["stage"]))
    for kind, colour in zip(KINDS, (COLOURS["bilateral"], COLOURS["left"], COLOURS["right"])):
        own = found[found["kind"] == kind].groupby("stage")["cka_debiased"].agg(["mean", "min", "max"]).reindex(stages)
        if own["mean"].notna().any():
            label = kind if kind == "left-right" else f"{kind}, two seeds"
            lines.plot(stages, own["mean"], marker="o", color=colour, label=label)
            lines.fill_between(stages, own["min"], own["max"], color=colour, alpha=0.2, linewidth=0)
    lines.tick_params(axis="x", rotation=60)
    lines.set(ylim=(0, 1.02), ylabel="CKA, debiased", title="equal stages (band: lowest to highest)")
    figure.legend(*lines.get_legend_handles_labels(), loc="outside lower center", ncols=3)
    return figure


def at_end(table: pd.DataFrame, kind: str, position: int) -> float | None:
    """Mean debiased CKA of the first (0) or last (-1) stages of two hemispheres, of any names; None without any."""
    own = table[table["kind"] == kind]
    if own.empty:
        return None
    first, second = own["first_stage"].unique()[position], own["second_stage"].unique()[position]
    return float(own.loc[(own["first_stage"] == first) & (own["second_stage"] == second), "cka_debiased"].mean())


def tell(table: pd.DataFrame) -> str:
    """Say how alike the hemispheres are at both ends, and how alike two seeds of one kind."""
    begins, finish = (at_end(table, KINDS[0], position) for position in (0, -1))
    others = [(kind, at_end(table, kind, -1)) for kind in KINDS[1:]]
    known = " and ".join(f"{kind} {value:.2f}" for kind, value in others if value is not None)
    yardstick = f"; between two seeds of one kind it is {known} at the last" if known else ""
    return (
        f"The debiased CKA of left and right is {begins:.2f} at the first stage, {finish:.2f} at the last{yardstick}."
    )


ANALYSIS = Analysis(
    "cka", "Similarity of stages", "How alike are left and right, beside two seeds of one kind?", compute, draw, tell
)
