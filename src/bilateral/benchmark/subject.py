"""What is measured: a config's network with fresh weights, on random images shaped and labelled like CIFAR-100's."""

from pathlib import Path
from typing import Any

import torch

from ..base.errors import ConfigError
from ..base.files import read_json_lines
from ..data.cifar100 import source as cifar100
from ..data.hierarchy import LabelHierarchy
from ..data.images import HierarchicalDataset, HierarchicalImages
from ..experiments.cost import FORWARD_AND_BACKWARD
from ..models.build import build_network
from ..models.config import ModelConfig
from ..models.cost import network_cost
from ..runs.checks import check_network
from ..runs.config import Config
from ..runs.execution import describe, resolve
from ..runs.plan import Run
from ..training.config import CheckpointConfig
from ..training.loop import TrainingJob
from ..training.progress import TerminalProgress

IMAGE_SIZE = (32, 32)
HIERARCHY = LabelHierarchy(
    tuple(f"fine {label}" for label in range(100)),
    tuple(f"coarse {label}" for label in range(20)),
    tuple(label // 5 for label in range(100)),
)


def measured_config(config: Config, count: int) -> Config:
    """Give the config with its network wholly trainable, from fresh weights, in the precision that `auto` stands for.

    Raises ConfigError for an ensemble, which is not trained, for too few images (`count`), and for what the network
    or this machine cannot take.
    """
    if config.model.mode_hemis == "ensemble":
        raise ConfigError("model.mode_hemis: bench measures networks that are trained; an ensemble is not")
    fresh = {"checkpoint": None, "freeze": False}
    hemispheres = {side: hemisphere.model_copy(update=fresh) for side, hemisphere in config.model.hemispheres.items()}
    model = config.model.model_copy(update={"checkpoint": None, **hemispheres})
    run = resolve(Run(config.model_copy(update={"model": model, "checkpoints": CheckpointConfig()}), seed=0))
    check_network(run, random_dataset(count))
    return run.config


def random_dataset(count: int) -> HierarchicalDataset:
    """Draw `count` training images, uint8 (count, 3, 32, 32), and one test image of each of the 100 fine labels.

    Raises ConfigError for fewer than one training image a fine label.
    """
    if count < HIERARCHY.fine_count:
        raise ConfigError(f"--images: must be {HIERARCHY.fine_count} or more, one of every fine label, not {count}")
    train, test = _random_images(count, 0), _random_images(HIERARCHY.fine_count, 1)
    return HierarchicalDataset("random", HIERARCHY, train, test, cifar100.MEAN, cifar100.STD)


def training_job(config: Config, count: int, folder: Path, **settings: Any) -> TrainingJob:
    """Give the training of the config's network on `count` random images, with `settings` in place of the config's."""
    dataset = random_dataset(count)
    return TrainingJob(
        network=build_network(config.model, HIERARCHY.fine_count, HIERARCHY.coarse_count),
        description=describe(config, dataset),
        train=dataset.train,
        validation=dataset.test,
        config=config.training.model_copy(update=settings),
        checkpoints=config.checkpoints,
        seed=0,
        folder=folder,
        progress=TerminalProgress(watched=False),  # the measurements print a report of their own
    )


def epoch_seconds(folder: Path) -> list[float]:
    """Give how long each epoch of a training took, validation and checkpoints left out."""
    return [line["train_s"] for line in timings(folder)]


def timings(folder: Path) -> list[dict[str, float]]:
    """Give what a training timed, epoch by epoch."""
    return read_json_lines(folder / "timing.jsonl")


def training_flops(model: ModelConfig) -> int:
    """Give the useful FLOPs of training the whole network on one image: a pass forward, and two back."""
    cost = network_cost(model, HIERARCHY.fine_count, HIERARCHY.coarse_count, IMAGE_SIZE)
    return FORWARD_AND_BACKWARD * cost.forward_flops


def _random_images(count: int, seed: int) -> HierarchicalImages:
    generator = torch.Generator().manual_seed(seed)
    images = torch.randint(0, 256, (count, 3, *IMAGE_SIZE), generator=generator, dtype=torch.uint8)
    fine = torch.arange(count) % HIERARCHY.fine_count
    return HierarchicalImages(images, fine, HIERARCHY.roll_up(fine))
