"""What training minimises: the cross-entropies of all heads, weighted, and what the join costs."""

from collections.abc import Mapping

import torch
from torch import Tensor
from torch.nn import functional as F

from ..models.config import OwnHeadConfig
from ..models.output import Output
from .config import LossWeights


def objective(
    output: Output, loss_by_head: Mapping[str, Tensor], weights: LossWeights, own: Mapping[str, OwnHeadConfig]
) -> Tensor:
    """Add up what a batch costs, (scalar). own: the settings of the hemispheres' own heads, by side."""
    terms = []
    for head, loss in loss_by_head.items():
        side, _, level = head.rpartition("_")
        weight = getattr(weights, level) if not side else own[side].weight
        terms.append(loss if weight == 1 else weight * loss)
    return torch.stack(terms if output.cost is None else [*terms, output.cost]).sum()


def losses(output: Output, labels: dict[str, Tensor], label_smoothing: float = 0.0) -> dict[str, Tensor]:
    """Give each head's mean cross-entropy (a scalar), for logits (B, classes) and labels (B,) by level.

    Heads are named by their level, a hemisphere's own also by its side: "left_fine".
    """
    return {
        head: F.cross_entropy(logits.float(), labels[_level(head)], label_smoothing=label_smoothing)
        for head, logits in _heads(output).items()
    }


def correct(output: Output, labels: dict[str, Tensor]) -> dict[str, Tensor]:
    """Count each head's right predictions in a batch (a scalar)."""
    return {head: (logits.argmax(1) == labels[_level(head)]).sum() for head, logits in _heads(output).items()}


def _heads(output: Output) -> dict[str, Tensor]:
    own = {f"{side}_{level}": logits for side, heads in output.own.items() for level, logits in heads.items()}
    return {**output.logits, **own}


def _level(head: str) -> str:
    return head.rpartition("_")[2]


def named_metrics(split: str, loss_by_level: dict[str, float], accuracy_by_level: dict[str, float]) -> dict[str, float]:
    """Name metrics as the original code does.

    One head: {split}_loss, {split}_acc. Two heads: the same of each with _fine and _coarse, and their sums
    (accuracy up to 2). Those of hemispheres' own heads ("left_fine") stand beside these and count in no sum.
    """
    joined = [head for head in loss_by_level if _level(head) == head]
    metrics = {
        f"{split}_loss": sum(loss_by_level[level] for level in joined),
        f"{split}_acc": sum(accuracy_by_level[level] for level in joined),
    }
    if len(loss_by_level) > 1:
        for level in loss_by_level:
            metrics[f"{split}_loss_{level}"] = loss_by_level[level]
            metrics[f"{split}_acc_{level}"] = accuracy_by_level[level]
    return metrics
