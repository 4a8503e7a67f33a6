"""Heads: what turns features into logits of one label level."""

import torch
from torch import nn

from .parts.dropout import Dropout


def build_head(num_features: int, num_classes: int, dropout: float) -> nn.Sequential:
    """Dropout, then one linear layer: (B, num_features) -> (B, num_classes)."""
    options = Dropout.Options(p=dropout)
    return nn.Sequential(Dropout(options, torch.Size([num_features])), nn.Linear(num_features, num_classes))
