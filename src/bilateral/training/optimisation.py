"""Optimizer and learning rate."""

import math

import torch
from torch import nn

from .config import TrainingConfig


def build_optimizer(network: nn.Module, config: TrainingConfig) -> torch.optim.Optimizer:
    """Build the optimizer of the network's trainable parameters."""
    parameters = [parameter for parameter in network.parameters() if parameter.requires_grad]
    if config.optimizer == "adam":
        return torch.optim.Adam(parameters, config.lr, weight_decay=config.weight_decay)
    return torch.optim.SGD(
        parameters, config.lr, momentum=0.9, nesterov=True, weight_decay=config.weight_decay, foreach=True
    )


def learning_rate(config: TrainingConfig, step: int, steps_per_epoch: int) -> float:
    """Give the learning rate of optimizer step `step` (from 0): a linear rise, then the schedule's fall to zero."""
    warmup = config.warmup_epochs * steps_per_epoch
    if step + 1 < warmup:
        return config.lr * (step + 1) / warmup
    progress = (step - warmup) / max(1.0, config.epochs * steps_per_epoch - warmup)
    if config.schedule == "linear":
        return config.lr * (1 - max(0.0, progress))
    if config.schedule == "cosine":
        return config.lr * (1 + math.cos(math.pi * max(0.0, progress))) / 2
    return config.lr
