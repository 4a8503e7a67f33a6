"""What is found out before anything is trained: whether network, data and checkpoints go together."""

import warnings
from pathlib import Path

import torch

from ..base.errors import CheckpointError, ConfigError, DataError
from ..data.images import HierarchicalDataset
from ..models.build import build_network, check_fits, try_out
from ..models.config import HemisphereConfig, ModelConfig
from ..models.network import Network
from ..training import checkpoint
from ..training.checkpoint import Description
from ..training.device import choose_device
from ..training.header import MOST_PIXELS
from ..training.objective import named_metrics
from ..training.tracker import find_tracker
from .plan import Run, named_weights, prefix_of

SMALL = 32
"""Pixels a side of images that a CPU trains on with ease."""


def check_network(run: Run, dataset: HierarchicalDataset) -> None:
    """Build the network of a (resolved) run without memory and show it the shape of the data set's images.

    Raises ConfigError for a setting that its backbones, heads or the images cannot take, and for a tracker that is not
    installed; DataError for images that are too small for it.
    """
    config = run.config
    if config.model.mode_out == "feature":
        raise ConfigError(
            "model.mode_out: a network that gives features has no output to train; "
            "train with pred, and load it with bilateral.load(path, mode_out='feature')"
        )
    if config.train:
        find_tracker(config.tracker)
    trained = {*run.parents, *named_weights(config.model)}
    for side, hemisphere in config.model.hemispheres.items():
        weights = trained & {"", prefix_of(side)} or hemisphere.pretrained
        if hemisphere.freeze is True and not weights:
            raise ConfigError(
                f"model.{side}: it is frozen but has no trained weights: give model.{side}.checkpoint, "
                "or use `bilateral system`, which trains it first; `freeze: untrained` freezes it as it is"
            )
        if hemisphere.freeze == "untrained" and weights:
            raise ConfigError(f"model.{side}: `freeze: untrained` does not go with trained weights")
    names = [*config.model.levels]
    known = [name for part in ("train", "val") for name in named_metrics(part, *[dict.fromkeys(names, 0.0)] * 2)]
    if config.checkpoints.monitor not in known:
        raise ConfigError(
            f"checkpoints.monitor: a network with mode_heads: {config.model.mode_heads} has no metric "
            f"{config.checkpoints.monitor!r}; it has {', '.join(known)}"
        )
    height, width = dataset.train.images.shape[2:]
    if max(height, width) > MOST_PIXELS:
        raise DataError(
            f"{dataset.name}: its images have {width}x{height} pixels, and {MOST_PIXELS} a side are the most that a "
            "network is trained on; data.image_size=N makes them smaller"
        )
    if config.train and choose_device(config.training.device).type == "cpu" and (hint := cost_of_size(height, width)):
        warnings.warn(f"{hint}; data.image_size=N makes them smaller, where the source reads it", stacklevel=2)
    if config.training.crop_padding >= min(height, width):
        raise ConfigError(f"training.crop_padding: must be smaller than the images, which are {height}x{width}")
    with torch.device("meta"):
        network = build_network(
            config.model, dataset.hierarchy.fine_count, dataset.hierarchy.coarse_count, image_size=(height, width)
        )
    check_fits(network)
    try_out(network, config.model, (height, width), dataset.train.images.shape[1])
    _check_weights(config.model, network, dataset)


def _check_weights(model: ModelConfig, network: Network, dataset: HierarchicalDataset) -> None:
    """See that the checkpoints of a network fit it, and hold what its sides are for; warn of another data set's."""
    for prefix, path in named_weights(model).items():
        if not prefix:
            check_labels(checkpoint.read(path).description, dataset, str(path))
        try:
            checkpoint.load_weights(network, prefix, path, replace=True)
        except CheckpointError:
            if prefix:
                _check_architecture(model, prefix.rpartition(".")[2], path)
            raise
    for side, hemisphere in model.hemispheres.items():
        if hemisphere.checkpoint is None:
            continue
        description = checkpoint.read(hemisphere.checkpoint).description
        if description.hierarchy not in (None, dataset.hierarchy):
            warnings.warn(f"model.{side}.checkpoint was trained on other labels than {dataset.name} has", stacklevel=2)
        else:
            check_level(side, hemisphere, description.model)


def check_level(side: str, hemisphere: HemisphereConfig, given: ModelConfig) -> None:
    """Raise ConfigError for a side that is given another network than one that was trained on its labels."""
    if hemisphere.level != "both" and hemisphere.level not in given.levels:
        raise ConfigError(
            f"model.{side}.checkpoint: {hemisphere.checkpoint} was trained on {given.mode_heads} labels, the {side} "
            f"hemisphere is for {hemisphere.level} ones; swap the two, or set model.{side}.level={given.mode_heads}"
        )


def cost_of_size(height: int, width: int) -> str | None:
    """Say in a clause what large images cost; None for small ones.

    >>> cost_of_size(224, 224)
    'images of 224x224 pixels: training and memory cost about 49 times as much as with 32x32'
    """
    times = height * width / SMALL**2
    if times < 4:
        return None
    return (
        f"images of {width}x{height} pixels: training and memory cost about {times:,.0f} times as much as with "
        f"{SMALL}x{SMALL}"
    )


def _check_architecture(model: ModelConfig, side: str, path: Path) -> None:
    given, own = model.hemispheres[side], checkpoint.read(path).description.model.of_side(side)
    for key in ("arch", "width"):
        if (stated := getattr(given, key)) != (known := getattr(own, key)):
            raise ConfigError(
                f"model.{side}.{key}: {stated} is not that of model.{side}.checkpoint, {known}: leave {key} out, which "
                f"takes it from {path}, or give another checkpoint"
            )


def check_labels(description: Description, dataset: HierarchicalDataset, what: str) -> None:
    """Raise CheckpointError if a network's labels are not the data set's: other counts, names or hierarchy."""
    counts = (description.fine_count, description.coarse_count)
    wanted = (dataset.hierarchy.fine_count, dataset.hierarchy.coarse_count)
    if counts != wanted:
        raise CheckpointError(
            f"{what} tells {counts[0]} fine and {counts[1]} coarse labels apart, "
            f"the data set {dataset.name} has {wanted[0]} and {wanted[1]}"
        )
    if description.hierarchy not in (None, dataset.hierarchy):
        raise CheckpointError(f"{what} was trained on other label names or another hierarchy than {dataset.name} has")
