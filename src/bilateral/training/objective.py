"""What training minimises: the cross-entropies of the levels that have a head, unweighted."""

import torch.nn.functional as F
from torch import Tensor

from ..models.output import Output


def losses(output: Output, labels: dict[str, Tensor], label_smoothing: float = 0.0) -> dict[str, Tensor]:
    """Give each level's mean cross-entropy (a scalar), for logits (B, classes) and labels (B,) by level."""
    return {
        level: F.cross_entropy(logits.float(), labels[level], label_smoothing=label_smoothing)
        for level, logits in output.logits.items()
    }


def correct(output: Output, labels: dict[str, Tensor]) -> dict[str, Tensor]:
    """Count each level's right predictions in a batch (a scalar)."""
    return {level: (logits.argmax(1) == labels[level]).sum() for level, logits in output.logits.items()}


def named_metrics(split: str, loss_by_level: dict[str, float], accuracy_by_level: dict[str, float]) -> dict[str, float]:
    """Name metrics as the original code does.

    One head: {split}_loss, {split}_acc. Two heads: the same of each with _fine and _coarse, and their sums
    (accuracy up to 2).
    """
    metrics = {f"{split}_loss": sum(loss_by_level.values()), f"{split}_acc": sum(accuracy_by_level.values())}
    if len(loss_by_level) > 1:
        for level in loss_by_level:
            metrics[f"{split}_loss_{level}"] = loss_by_level[level]
            metrics[f"{split}_acc_{level}"] = accuracy_by_level[level]
    return metrics
