"""Every setting of training does what it says: none is silently ignored."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from bilateral.data.images import HierarchicalDataset, HierarchicalImages
from bilateral.data.splits import hold_out
from bilateral.models.build import build_network
from bilateral.models.parts.dropout import Dropout
from bilateral.runs.config import check_config
from bilateral.runs.execution import describe
from bilateral.training import checkpoint
from bilateral.training.config import CheckpointConfig
from bilateral.training.loop import TrainingJob, train

TRAINING = {"epochs": 2, "batch_size": 48, "lr": 0.05, "warmup_epochs": 0, "precision": "float32", "device": "cpu"}
NARROW = {"width": 0.0625}
PLAIN = {"crop_padding": 0, "flip": False}
STILL = {"lr": 1e-12, "muon_lr": 1e-12}


def job_with(
    dataset: HierarchicalDataset, folder: Path, model: dict | None = None, side: dict | None = None, **training: object
) -> TrainingJob:
    sides = {name: NARROW | (side or {}) for name in ("left", "right")}
    config = check_config({"model": sides | (model or {}), "training": TRAINING | training}, "test")
    network = build_network(config.model, dataset.hierarchy.fine_count, dataset.hierarchy.coarse_count, seed=1)
    kept, held_out = hold_out(dataset.train, dataset.hierarchy, 0.2)
    settings = config.training.with_rates(batch_norm=True)
    return TrainingJob(network, describe(config, dataset), kept, held_out, settings, CheckpointConfig(), 1, folder)


def trained(job: TrainingJob) -> list[dict[str, float]]:
    """Train, and give the metrics of each epoch."""
    train(job)
    return [json.loads(line) for line in (job.folder / "metrics.jsonl").read_text().splitlines()]


def loss_and_accuracy(network: nn.Module, images: HierarchicalImages, job: TrainingJob) -> tuple[float, float]:
    """Both summed over the levels, in evaluation mode, per image."""
    network.eval()
    with torch.no_grad():
        logits = network(job.description.normalise(images.images)).logits
    labels = {"fine": images.fine, "coarse": images.coarse}
    loss = sum(F.cross_entropy(logits[level], labels[level]).item() for level in logits)
    return loss, sum((logits[level].argmax(1) == labels[level]).float().mean().item() for level in logits)


CHANGES = {
    "label_smoothing": {"label_smoothing": 0.2},
    "crop_padding": {"crop_padding": 1},
    "flip": {"flip": False},
    "accumulate_batches": {"accumulate_batches": 2},
    "warmup_epochs": {"warmup_epochs": 1},
    "schedule": {"schedule": "constant"},
    "batch_size": {"batch_size": 32},
    "weight_decay": {"weight_decay": 0.05},
    "lr": {"lr": 0.04},
    "muon_lr": {"muon_lr": 0.04},
    "optimizer": {"optimizer": "sgd"},
    "dropout": {"model": {"dropout": 0}},
    "batch_norm_momentum": {"side": {"batch_norm_momentum": 0.3}},
}
INDIFFERENT = {"validate_every_epochs": {"validate_every_epochs": 2}, "log_every_steps": {"log_every_steps": 1}}


@pytest.mark.parametrize("what", [*CHANGES, *INDIFFERENT])
def test_a_setting_changes_what_is_trained_if_it_should(tiny, tmp_path, what):
    jobs = job_with(tiny, tmp_path / "a"), job_with(tiny, tmp_path / "b", **(CHANGES | INDIFFERENT)[what])
    for job in jobs:
        train(job)
    first, second = (job.network.state_dict() for job in jobs)
    same = all(torch.equal(first[name], second[name]) for name in first)
    assert same == (what in INDIFFERENT)


def test_smoothing_is_in_the_loss_of_training_but_not_of_validation(tiny, tmp_path):
    plain, smoothed = (
        trained(job_with(tiny, tmp_path / str(smoothing), epochs=1, label_smoothing=smoothing, **STILL))[0]
        for smoothing in (0, 0.9)
    )
    assert smoothed["train_loss"] != pytest.approx(plain["train_loss"], rel=1e-3)
    assert smoothed["val_loss"] == pytest.approx(plain["val_loss"], rel=1e-5)


def test_validation_is_done_in_evaluation_mode(tiny, tmp_path):
    job = job_with(tiny, tmp_path, model={"dropout": 0.5})
    metrics = trained(job)[-1]
    expected = loss_and_accuracy(job.network, job.validation, job)
    assert (metrics["val_loss"], metrics["val_acc"]) == pytest.approx(expected, rel=1e-4)


def test_every_image_weighs_the_same_in_the_mean_loss_whatever_its_batch(tiny, tmp_path):
    # No batch norm, dropout, augmentation or learning, so a batch in training gives what one in evaluation gives.
    larger = {
        name: replace(images, images=F.interpolate(images.images, size=32))
        for name, images in (("train", tiny.train), ("test", tiny.test))
    }
    still = {"optimizer": "sgd", "lr": 1e-12} | PLAIN
    job = job_with(
        replace(tiny, **larger),
        tmp_path,
        {"dropout": 0},
        {"arch": "vgg11_pool"},
        epochs=1,
        batch_size=90,
        **still,
    )
    with torch.no_grad():
        job.network.heads["fine"][-1].weight *= 100
    metrics = trained(job)[0]
    expected = loss_and_accuracy(job.network, job.train, job)
    assert (metrics["train_loss"], metrics["train_acc"]) == pytest.approx(expected, rel=1e-5)


def test_dropout_drops_other_units_in_every_step(tiny, tmp_path):
    job = job_with(tiny, tmp_path, model={"dropout": 0.5}, batch_size=16)
    layer = next(module for module in job.network.modules() if isinstance(module, Dropout))
    masks = []
    layer.register_forward_pre_hook(lambda _, inputs: (torch.ones_like(inputs[0]),))
    layer.register_forward_hook(lambda module, _, output: masks.append(output == 0) if module.training else None)
    train(job)
    assert len(masks) == 12
    assert not any(torch.equal(a, b) for i, a in enumerate(masks) for b in masks[:i])


def test_the_best_checkpoint_is_that_of_the_best_validation(tiny, tmp_path):
    job = job_with(tiny, tmp_path, epochs=6, lr=0.05, schedule="constant")
    best = max(line["val_acc"] for line in trained(job))
    path = tmp_path / "checkpoints" / "best.safetensors"
    network = checkpoint.build(checkpoint.read(path), path)
    assert loss_and_accuracy(network, job.validation, job)[1] == pytest.approx(best)
