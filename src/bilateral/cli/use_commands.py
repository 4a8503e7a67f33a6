"""The commands that use what was trained, or prepare and describe things."""

import json
import logging
import platform
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml

from .. import __version__
from ..base.errors import ConfigError
from ..base.files import whole_file
from ..data import sources
from ..data.prepare import prepare_cifar100
from ..models.backbones import BACKBONES
from ..runs.answers import images_in, predictions, read_pixels, side_length
from ..runs.checks import check_labels
from ..runs.config import Config, dump_config, read_config
from ..runs.execution import resolve
from ..runs.plan import Run
from ..training import checkpoint
from ..training.checkpoint import Description
from ..training.device import choose_device, describe_machine, resolve_precision
from ..training.evaluation import Evaluation
from ..training.evaluation import evaluate as run_over

log = logging.getLogger(__name__)
PREDICTION_BATCH = 250
PREDICTION_PIXELS = 2**23  # of a batch; fewer images of a large network's size are in one


def evaluate(path: Path, overrides: list[str], features: Path | None, own_backbones: list[str], as_json: bool) -> None:
    """Do `bilateral evaluate`."""
    read = checkpoint.read(path)
    tell(read.description)
    config = _data_config(path, overrides)
    network = checkpoint.build(read, path, own_backbones=own_backbones).to(choose_device(config.training.device))
    dataset = sources.load(config.data)
    check_labels(read.description, dataset, str(path))
    evaluation = run_over(network, dataset.test, read.description.normalise)
    metrics = evaluation.metrics("test", dataset.hierarchy)
    if features is not None:
        _write_npz(features, evaluation)
    if as_json:
        print(json.dumps({"checkpoint": str(path), "data": dataset.name, "images": len(dataset.test), **metrics}))
    else:
        for name, value in metrics.items():
            print(f"{name:20} {value:.4f}")


def predict(path: Path, images: Sequence[Path], top: int, own_backbones: list[str], as_json: bool) -> None:
    """Do `bilateral predict`."""
    if top < 1:
        raise ConfigError(f"--top: must be 1 or more, not {top}")
    read = checkpoint.read(path)
    tell(read.description)
    network = checkpoint.build(read, path, own_backbones=own_backbones)
    answers: list[dict[str, Any]] = []
    every = images_in(images)
    batch = max(1, min(PREDICTION_BATCH, PREDICTION_PIXELS // side_length(read.description) ** 2))
    for start in range(0, len(every), batch):
        files = every[start : start + batch]
        pixels = torch.stack([read_pixels(file, read.description) for file in files])
        said = predictions(network, pixels, read.description, top)
        answers += [{"image": str(file), **answer} for file, answer in zip(files, said)]
    if as_json:
        print(json.dumps(answers, indent=1))
        return
    for answer in answers:
        print(answer.pop("image"))
        for level, labels in answer.items():
            print(f"  {level:7}" + "  ".join(f"{entry['label']} {100 * entry['probability']:.1f}%" for entry in labels))


def prepare(raw: Path, target: Path, download: bool) -> None:
    """Do `bilateral prepare`."""
    summary = prepare_cifar100(raw, target, download)
    print(summary)


def info(what: Path | None, overrides: list[str], own_backbones: list[str]) -> None:
    """Do `bilateral info`."""
    if what is None:
        device = choose_device("auto")
        precision = resolve_precision("auto", device)
        machine = describe_machine(device)
        print(f"bilateral {__version__}, Python {platform.python_version()}, torch {machine['torch']}")
        print(f"device: {machine['device']}, {machine['threads']} threads, precision auto = {precision}")
        print(f"backbones: {', '.join(BACKBONES)}, or package.module:Backbone")
        print(f"data sources: {', '.join(sources.SOURCES)}, or package.module:function")
    elif what.suffix in (".yaml", ".yml"):
        config = read_config(what, overrides)
        print(dump_config(resolve(Run(config, config.seeds[0])).config), end="")
    else:
        _describe(what, own_backbones)


def _describe(path: Path, own_backbones: list[str]) -> None:
    read = checkpoint.read(path)
    description = read.description
    network = checkpoint.build(read, path, own_backbones=own_backbones)
    parameters = sum(parameter.numel() for parameter in network.parameters())
    trainable = sum(parameter.numel() for parameter in network.parameters() if parameter.requires_grad)
    print(f"checkpoint: {checkpoint.find(path)}")
    print(f"labels: {description.fine_count} fine, {description.coarse_count} coarse")
    print(f"image size: {description.image_size[0]}x{description.image_size[1]}")
    print(f"parameters: {parameters:,}, of which {trainable:,} trainable")
    if read.training is not None:
        print(f"epochs done: {read.training.epochs_done}")
    for note in description.notes:
        print(f"note: {note}")
    model = {"model": description.model.model_dump(mode="json", exclude_none=True)}
    print(yaml.safe_dump(model, sort_keys=False), end="")


def _data_config(path: Path, overrides: list[str]) -> Config:
    """The config of the run that `path` belongs to, with other data where the overrides name some."""
    for text in overrides:
        if not text.startswith(("data.", "training.device=")):
            raise ConfigError(f"{text}: evaluate takes data.KEY=VALUE and training.device=NAME only")
    file = checkpoint.find(path)
    run_config = file.parent.parent / "config.yaml" if file.parent.name == "checkpoints" else None
    if any(text.startswith("data.name=") for text in overrides):
        return read_config(None, overrides)
    if run_config is None or not run_config.exists():
        raise ConfigError(f"{path} has no config.yaml that names its data; add data.name=... data.root=...")
    return read_config(run_config, overrides)


def tell(description: Description) -> None:
    """Say on the log what was changed on reading a checkpoint."""
    for note in description.notes:
        log.info("note: %s", note)


def _write_npz(path: Path, evaluation: Evaluation) -> None:
    arrays: dict[str, Any] = {f"logits_{level}": values.numpy() for level, values in evaluation.logits.items()}
    arrays |= {f"features_{side}": values.numpy() for side, values in evaluation.features.items()}
    arrays |= {f"labels_{level}": values.numpy() for level, values in evaluation.labels.items()}
    with whole_file(path) as temporary, temporary.open("wb") as file:
        np.savez_compressed(file, allow_pickle=False, **arrays)
