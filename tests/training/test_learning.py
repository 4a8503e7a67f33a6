"""Learning really happens: on the embedded data set, far above chance and above what a linear classifier can do."""

import json

import pytest
import torch

from bilateral.data.config import DataConfig, ShapesConfig
from bilateral.data.shapes import load
from bilateral.data.splits import hold_out
from bilateral.models.build import build_network
from bilateral.runs.config import check_config
from bilateral.runs.execution import describe, resolve
from bilateral.runs.plan import Run
from bilateral.training.config import CheckpointConfig
from bilateral.training.loop import TrainingJob, train

pytestmark = pytest.mark.slow


def linear_accuracy(train_images, labels, test_images, test_labels, classes: int) -> float:
    """Ridge regression on pixels to one-hot labels."""
    x, y = train_images.flatten(1).double() / 255, torch.nn.functional.one_hot(labels, classes).double()
    mean = x.mean(0)
    kernel = (x - mean) @ (x - mean).T
    weights = (x - mean).T @ torch.linalg.solve(kernel + 100 * torch.eye(len(x)), y)
    scores = (test_images.flatten(1).double() / 255 - mean) @ weights
    return (scores.argmax(1) == test_labels).double().mean().item()


def test_a_narrow_resnet9_learns_shapes(tmp_path):
    dataset = load(DataConfig(shapes=ShapesConfig(train_per_class=120, test_per_class=5)))
    values = {
        "model": {"mode_hemis": "unilateral", "mode_heads": "coarse", "dropout": 0, "left": {"width": 0.125}},
        "training": {"epochs": 8, "batch_size": 64, "lr": 0.1, "validate_every_epochs": 8, "device": "cpu"},
    }
    config = resolve(Run(check_config(values, "test"), 0)).config
    network = build_network(config.model, dataset.hierarchy.fine_count, dataset.hierarchy.coarse_count, 0)
    kept, held_out = hold_out(dataset.train, dataset.hierarchy, 0.1)
    job = TrainingJob(
        network, describe(config, dataset), kept, held_out, config.training, CheckpointConfig(), 0, tmp_path
    )
    train(job)
    reached = json.loads((tmp_path / "metrics.jsonl").read_text().splitlines()[-1])["val_acc"]
    linear = linear_accuracy(kept.images, kept.coarse, held_out.images, held_out.coarse, 8)
    assert linear < 0.35
    assert reached > 0.45, f"chance is 0.125, a linear classifier gets {linear:.2f}"
