"""Heads: what turns features into logits of one label level."""

from torch import nn


def build_head(num_features: int, num_classes: int, dropout: float) -> nn.Sequential:
    """Dropout, then one linear layer: (B, num_features) -> (B, num_classes)."""
    return nn.Sequential(nn.Dropout(dropout), nn.Linear(num_features, num_classes))
