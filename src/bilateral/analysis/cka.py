"""Similarity of representations: centred kernel alignment between all stages of all hemispheres.

Linear CKA (Kornblith et al. 2019, arXiv 1905.00414) of whole, flattened activations, over minibatches (Nguyen, Raghu
and Kornblith 2020, arXiv 2010.15327): the HSIC of each batch is averaged, then normalised. `debiased` takes the
unbiased HSIC (Song et al. 2012, JMLR 13), which alone is near 0 for unrelated activations of many dimensions.

CKA is easily moved by a few directions or images (Davari et al. 2023, arXiv 2210.16156). The orthogonal Procrustes
distance (Ding, Denain and Steinhardt 2021, arXiv 2108.01661) is beside it, of channels averaged over positions.
"""

import itertools

import pandas as pd
import torch
from matplotlib.figure import Figure
from torch import Tensor

from ..base.statistics import side_of_zero
from ..models.config import SIDES
from .activations import BATCH, KINDS, TOGETHER, shuffled, spread, stage_activations
from .study import NotApplicableError, Study
from .style import COLOURS, SEQUENTIAL, panels, sentence, told

RESTS_ON = SIDES

MEASURES = ("cka", "cka_debiased", "chance", "procrustes", "procrustes_chance")
IMAGES = 5000
"""Test images, at most; at even distances."""

Node = tuple[int, str, str]
"""A seed, a side, a stage."""


def compute(study: Study) -> pd.DataFrame:
    """One line for every two stages of two hemispheres: of two seeds, or, kind TOGETHER, left and right of one.

    first_seed, first_side, first_stage, second_..., kind (of KINDS), cka, cka_debiased; chance: the latter of the same
    two where the second one saw the images in another order. procrustes: the distance (see `procrustes`), and
    procrustes_chance, the same of it.
    """
    # In random order, for a batch of a data set that is sorted by class would hold few classes.
    chosen = study.images.images[shuffled(spread(len(study.images), IMAGES))]
    batches = [batch for batch in chosen.split(BATCH) if len(batch) > 3]
    if not batches:
        raise NotApplicableError("it needs four test images")
    nodes: list[Node] = []
    pooled: dict[Node, list[Tensor]] = {}
    biased = unbiased = unrelated = torch.zeros(())
    for batch in batches:
        grams = {}
        for system in study.systems:
            for (side, stage), values in stage_activations(system, batch).items():
                flat = values.flatten(1)
                grams[system.seed, side, stage] = flat @ flat.T
                means = values.flatten(2).mean(2) if values.ndim > 2 else values
                pooled.setdefault((system.seed, side, stage), []).append(means.float().cpu())
        nodes = list(grams)
        stacked = torch.stack(list(grams.values())).double().cpu()
        biased = biased + hsic(stacked)
        unbiased = unbiased + hsic_unbiased(stacked)
        order = torch.arange(len(batch)).roll(len(batch) // 2)
        unrelated = unrelated + hsic_unbiased(stacked, stacked[:, order][:, :, order])
    plain, debiased = _normalised(biased, biased), _normalised(unbiased, unbiased)
    chance = _normalised(unrelated, unbiased)
    units = {node: _unit(torch.cat(means)) for node, means in pooled.items()}
    lines = []
    for (i, first), (j, second) in itertools.product(enumerate(nodes), repeat=2):
        kind = _kind(first, second)
        if kind:
            same, other = (procrustes(units[first], each) for each in (units[second], _reordered(units[second])))
            similar = (plain[i, j].item(), debiased[i, j].item(), chance[i, j].item())
            lines.append((*first, *second, kind, *similar, same, other))
    columns = [f"{which}_{part}" for which in ("first", "second") for part in ("seed", "side", "stage")]
    return pd.DataFrame(lines, columns=[*columns, "kind", *MEASURES])


def procrustes(first: Tensor, second: Tensor) -> float:
    """The orthogonal Procrustes distance, 0 to 2, of two matrices (N, C) of zero column means and norm 1.

    That is their squared distance under the best rotation or reflection: 0 for activations that are alike but for it,
    a shift and a scale.

    >>> turned = torch.tensor([[0.0, 1.0], [-1.0, 0.0]])
    >>> points = torch.tensor([[0.5, -0.5], [-0.5, 0.5], [0.0, 0.0]])
    >>> round(procrustes(points, points @ turned), 5)
    0.0
    """
    return float(2 - 2 * torch.linalg.matrix_norm(first.T @ second, "nuc").clamp(max=1))


def _unit(values: Tensor) -> Tensor:
    centred = values - values.mean(0)
    return centred / centred.norm().clamp(min=torch.finfo(values.dtype).tiny)


def _reordered(values: Tensor) -> Tensor:
    return values.roll(len(values) // 2, 0)


def hsic(grams: Tensor) -> Tensor:
    """The biased HSIC of every two of M Gram matrices (M, n, n): (M, M)."""
    centred = grams - grams.mean(1, keepdim=True) - grams.mean(2, keepdim=True) + grams.mean((1, 2), keepdim=True)
    flat = centred.flatten(1)
    return flat @ flat.T / (grams.shape[1] - 1) ** 2


def hsic_unbiased(grams: Tensor, others: Tensor | None = None) -> Tensor:
    """The unbiased HSIC of every two of M Gram matrices (M, n, n), n > 3, or of each and each of `others`: (M, M)."""
    count = grams.shape[1]

    def sums(each: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        each = each - torch.diag_embed(torch.diagonal(each, dim1=1, dim2=2))
        return each.flatten(1), each.sum(2), each.sum((1, 2))

    flat, rows, total = sums(grams)
    flat_2, rows_2, total_2 = sums(grams if others is None else others)
    products = flat @ flat_2.T + total[:, None] * total_2 / ((count - 1) * (count - 2))
    return (products - 2 / (count - 2) * rows @ rows_2.T) / (count * (count - 3))


def _normalised(values: Tensor, own: Tensor) -> Tensor:
    """From HSIC to CKA. own: of each with itself; what has no positive norm of its own is similar to nothing."""
    scale = own.diagonal().clamp(min=0).sqrt()
    return torch.nan_to_num(values / (scale[:, None] * scale), posinf=0, neginf=0)


def _kind(first: Node, second: Node) -> str:
    if (first[1], second[1]) == ("left", "right"):
        return TOGETHER if first[0] == second[0] else "left-right"
    if first[1] == second[1] and first[0] < second[0]:
        return f"{first[1]}-{first[1]}"
    return ""


def by_stage(table: pd.DataFrame) -> pd.DataFrame:
    """Debiased CKA of equal stages: one line a kind, stage and pair of seeds; stages in the order of the pass."""
    same = table[table["first_stage"] == table["second_stage"]]
    return same.rename(columns={"first_stage": "stage"})[["kind", "stage", "first_seed", "second_seed", "cka_debiased"]]


def draw(table: pd.DataFrame) -> Figure:
    """All stages of left against all of right, mean over seeds; and equal stages beside other seeds of one kind."""
    figure, (matrix, lines) = panels(2, height=3.6)
    kind = across_kind(table)
    across = table[table["kind"] == kind]
    left, right = across["first_stage"].unique(), across["second_stage"].unique()
    means = across.groupby(["first_stage", "second_stage"])["cka_debiased"].mean().unstack()
    shown = matrix.imshow(means.reindex(index=left, columns=right), vmin=0, vmax=1, cmap=SEQUENTIAL, origin="lower")
    matrix.set_xticks(range(len(right)), right, rotation=60)
    matrix.set_yticks(range(len(left)), left)
    seeds = "one seed" if kind == TOGETHER else "two seeds"
    matrix.set(xlabel="right", ylabel="left", title=f"left against right, {seeds}")
    matrix.grid(False)
    figure.colorbar(shown, ax=matrix, shrink=0.8, label="CKA, debiased")
    found = by_stage(table)
    stages = list(dict.fromkeys(found["stage"]))
    for kind, colour in zip(KINDS, (COLOURS["bilateral"], COLOURS["left"], COLOURS["right"], COLOURS["other"])):
        own = found[found["kind"] == kind].groupby("stage")["cka_debiased"].agg(["mean", "min", "max"]).reindex(stages)
        if own["mean"].notna().any():
            label = kind if kind == TOGETHER else f"{kind}, two seeds"
            lines.plot(stages, own["mean"], marker="o", color=colour, label=label)
            lines.fill_between(stages, own["min"], own["max"], color=colour, alpha=0.2, linewidth=0)
    lines.tick_params(axis="x", rotation=60)
    lines.set(ylim=(0, 1.02), ylabel="CKA, debiased", title="equal stages (band: lowest to highest)")
    figure.legend(*lines.get_legend_handles_labels(), loc="outside lower center", ncols=2)
    return figure


def across_kind(table: pd.DataFrame) -> str:
    """The kind of pair that left and right are looked at in: of two seeds; of one where there is no other."""
    return KINDS[0] if (table["kind"] == KINDS[0]).any() else TOGETHER


def at_end(table: pd.DataFrame, kind: str, position: int, column: str = "cka_debiased") -> float | None:
    """Mean of a column over the first (0) or last (-1) stages of two hemispheres, of any names; None without any."""
    own = table[table["kind"] == kind]
    if own.empty:
        return None
    first, second = own["first_stage"].unique()[position], own["second_stage"].unique()[position]
    return float(own.loc[(own["first_stage"] == first) & (own["second_stage"] == second), column].mean())


def tell(table: pd.DataFrame) -> str:
    """Say how alike the hemispheres are at both ends, beside two seeds of one kind, each beside its chance."""
    kind = across_kind(table)
    alone = (
        " There is one seed alone: left and right saw the same batches in the same order, which makes them more alike."
        if kind == TOGETHER
        else ""
    )
    return (
        f"{sentence(_ends(table))} The last stage differs from the first by {told(_rises(table), '+.2f')}. At the last "
        f"stage it is {'; '.join(at_last(table))}. The Procrustes distance "
        f"of left and right (0: alike but for a rotation) is {at_end(table, kind, -1, 'procrustes'):.2f} there (images "
        f"in another order: {at_end(table, kind, -1, 'procrustes_chance'):.2f}).{alone}"
    )


def _ends(table: pd.DataFrame) -> str:
    """Whether left and right of one seed are more alike at the last stage than at the first, if that is shown."""
    first, last = (at_end(table, TOGETHER, place) or 0.0 for place in (0, -1))
    rises = _rises(table)
    word = "less" if last < first else "more"
    shown = side_of_zero(rises) * (last - first) > 0
    alike = f"are {word} alike" if shown or len(rises) == 1 else f"are not shown to be {word} alike"
    whose = "in this one seed left and right" if len(rises) == 1 else "left and right of one seed"
    return (
        f"{whose} {alike} at the last stage (debiased CKA {last:.2f}; 1: equal, 0: unrelated) than at the first "
        f"({first:.2f})"
    )


def _rises(table: pd.DataFrame) -> list[float]:
    """By seed, CKA of its left and right at the last stage less that at the first.

    Pairs of two seeds share networks, so that an interval over them would be too narrow.
    """
    own = [each for _, each in table[table["kind"] == TOGETHER].groupby("first_seed")]
    return [(at_end(each, TOGETHER, -1) or 0.0) - (at_end(each, TOGETHER, 0) or 0.0) for each in own]


def at_last(table: pd.DataFrame) -> list[str]:
    """The mean at the last stage of every kind of pair that there is, in words, with its chance."""
    named = {across_kind(table): "left and right", "left-left": "two left ones", "right-right": "two right ones"}
    texts = []
    for kind, words in named.items():
        value, chance = at_end(table, kind, -1), at_end(table, kind, -1, "chance")
        if value is not None:
            texts.append(f"{value:.2f} for {words} (images in another order: {chance:.2f})")
    return texts
