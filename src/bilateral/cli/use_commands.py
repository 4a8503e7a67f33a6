"""The commands that use what was trained, or prepare and describe things."""

import logging
import platform
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from .. import __version__
from ..base.errors import ConfigError, DataError
from ..base.files import to_json
from ..base.own_code import is_own
from ..base.run_folders import named_run
from ..base.yaml_files import to_yaml
from ..data import sources
from ..data.cifar100.prepare import prepare_cifar100
from ..models.backbones import BACKBONES
from ..models.lesions.base import Lesion
from ..models.network import Network
from ..runs.answers import images_in, predictions, read_pixels, side_length
from ..runs.checks import check_labels
from ..runs.config import PRESETS, Config, dump_config, read_config
from ..runs.execution import resolve
from ..runs.export import CONFIG
from ..runs.export import export as export_run
from ..runs.plan import Run
from ..runs.predictions import save_arrays
from ..runs.stored import StoredRun, read_stored_config
from ..training import checkpoint
from ..training.checkpoint import Checkpoint
from ..training.device import choose_device, describe_machine, resolve_precision
from ..training.evaluation import evaluate as run_over
from ..training.run_record import CHECKPOINTS, read_record
from .terminal import echo, echo_metrics

log = logging.getLogger(__name__)
LESIONS = ("model.lesions.", "model.lesions=")
PREDICTION_BATCH = 250
PREDICTION_PIXELS = 2**23  # of a batch; fewer images of a large network's size are in one


def export(folder: Path, output: Path, *, own_code: list[str] | None) -> None:
    """Do `bilateral export`."""
    card = export_run(StoredRun.open(named_run(folder), own_code or []), output)
    size = sum(path.stat().st_size for path in output.iterdir() if path.is_file())
    echo(f"{output} ({size / 1e6:.2f} MB); its card is {card}")


def evaluate(
    path: Path, *arguments: str, features: Path | None, row: str | None, own_code: list[str] | None, json: bool
) -> None:
    """Do `bilateral evaluate`."""
    path = named_run(path, row)
    read = read_and_tell(path)
    lesions = read_config(None, [text for text in arguments if text.startswith(LESIONS)]).model.lesions
    overrides = [text for text in arguments if not text.startswith(LESIONS)]
    file = checkpoint.find(path)
    folder = file.parent.parent if file.parent.name == CHECKPOINTS else file.parent  # of the run, or the export
    config = _data_config(path, folder, overrides, own_code or [])
    network = checkpoint.build(read, path, own_code=own_code or [], lesions=lesions or None)
    network.to(choose_device(config.training.device))
    dataset = sources.load(config.data)
    check_labels(read.description, dataset, str(path))
    record = read_record(folder)
    if record and record.data.fingerprint != dataset.fingerprint:
        what = f"the data set {dataset.name} is not the one that {folder} was trained and tested on"
        if not any(text.startswith("data.") for text in overrides):
            raise DataError(
                f"{what}: its images have changed; give those by data.KEY=VALUE, or test on these by data.name="
            )
        warnings.warn(what, stacklevel=1)
    evaluation = run_over(network, dataset.test, read.description.normalise)
    metrics = evaluation.metrics("test", dataset.hierarchy)
    if features is not None:
        groups = {"logits": evaluation.logits, "features": evaluation.features}
        groups |= {"weights": evaluation.weights, "labels": evaluation.labels}
        arrays = {f"{kind}_{of}": each.numpy() for kind, group in groups.items() for of, each in group.items()}
        save_arrays(features, arrays)
    acting = _acting(network)
    if json:
        about = {"checkpoint": str(path), "data": dataset.name, "images": len(dataset.test), "lesions": acting}
        echo(to_json({**about, **metrics}))
    else:
        if acting:
            echo(_told(acting))
        echo_metrics(metrics)


def predict(path: Path, *images: Path, top: int, row: str | None, own_code: list[str] | None, json: bool) -> None:
    """Do `bilateral predict`."""
    if top < 1:
        raise ConfigError(f"--top: must be 1 or more, not {top}")
    if not images:
        raise ConfigError("give the images, or folders of them")
    path = named_run(path, row)
    read = read_and_tell(path)
    network = checkpoint.build(read, path, own_code=own_code or [])
    if acting := _acting(network):
        log.info(_told(acting))
    answers: list[dict[str, Any]] = []
    every = images_in(images)
    batch = max(1, min(PREDICTION_BATCH, PREDICTION_PIXELS // side_length(read.description) ** 2))
    for start in range(0, len(every), batch):
        files = every[start : start + batch]
        pixels = torch.stack([read_pixels(file, read.description) for file in files])
        said = predictions(network, pixels, read.description, top)
        answers += [{"image": str(file), **answer} for file, answer in zip(files, said)]
    if json:
        echo(to_json(answers, indent=1))
        return
    for answer in answers:
        echo(answer.pop("image"))
        weights = answer.pop("weights", {})
        for level, labels in answer.items():
            echo(f"  {level:7}" + "  ".join(f"{entry['label']} {100 * entry['probability']:.1f}%" for entry in labels))
        if weights:
            echo("  weights " + "  ".join(f"{side} {100 * weight:.1f}%" for side, weight in weights.items()))


def _acting(network: Network) -> dict[str, str]:
    """What the lesions that act are at, by their names."""
    return {name: lesion.at for name, lesion in network.lesions.items() if isinstance(lesion, Lesion) and lesion.acts}


def _told(lesions: Mapping[str, str]) -> str:
    """Say in words what `_acting` gives."""
    return f"with lesions: {', '.join(f'{name} at {at}' for name, at in lesions.items())}"


def prepare(raw: Path, target: Path, *, download: bool) -> None:
    """Do `bilateral prepare`."""
    echo(str(prepare_cifar100(raw, target, download)))


def info(what: Path | None, *overrides: str) -> None:
    """Do `bilateral info`. Nothing that a file names is imported."""
    if what is None:
        device = choose_device("auto")
        precision = resolve_precision("auto", device)
        machine = describe_machine(device)
        echo(f"bilateral {__version__}, Python {platform.python_version()}, torch {machine['torch']}")
        echo(f"device: {machine['device']}, {machine['threads']} threads, precision auto = {precision}")
        echo(f"backbones: {BACKBONES}")
        echo(f"data sources: {sources.REGISTRY}")
        presets = sorted(path.relative_to(PRESETS.parent).as_posix() for path in PRESETS.rglob("*.yaml"))
        echo(f"presets in {PRESETS.parent}: {', '.join(presets)}")
    elif what.suffix in (".yaml", ".yml"):
        config = read_config(what, overrides)
        if not config.named_code:
            config = resolve(Run(config, config.seeds[0])).config
        echo(dump_config(config).rstrip())
    else:
        what = named_run(what)
        read = checkpoint.read(what)
        description = read.description
        echo(f"checkpoint: {checkpoint.find(what)}")
        echo(f"labels: {description.fine_count} fine, {description.coarse_count} coarse")
        echo(f"image size: {description.image_size[0]}x{description.image_size[1]}")
        echo(_parameters(read, what))
        if read.training is not None:
            echo(f"epochs done: {read.training.epochs_done}")
        for note in description.notes:
            echo(f"note: {note}")
        echo(to_yaml({"model": description.model.model_dump(mode="json", exclude_none=True)}).rstrip())


def _parameters(read: Checkpoint, path: Path) -> str:
    strange = [name for name in read.description.model.kinds if is_own(name)]
    if strange:
        count = sum(tensor.numel() for tensor in read.network_state.values())
        return f"numbers in its tensors: {count:,} (of which parameters: the code of {', '.join(strange)} would say)"
    network = checkpoint.build(read, path)
    parameters = sum(parameter.numel() for parameter in network.parameters())
    trainable = sum(parameter.numel() for parameter in network.parameters() if parameter.requires_grad)
    return f"parameters: {parameters:,}, of which {trainable:,} trainable"


def _data_config(path: Path, folder: Path, overrides: list[str], own_code: list[str]) -> Config:
    """The config in the `folder` of `path`, with other data where the overrides name some."""
    for text in overrides:
        if not text.startswith(("data.", "training.device=")):
            raise ConfigError(f"{text}: evaluate takes data.KEY=VALUE, model.lesions and training.device=NAME only")
    if any(text.startswith("data.name=") for text in overrides):
        return read_config(None, overrides)
    if not (folder / CONFIG).exists():
        raise ConfigError(f"{path} has no config.yaml that names its data; add data.name=... data.root=...")
    return read_stored_config(folder / CONFIG, overrides, own_code)


def read_and_tell(path: Path) -> Checkpoint:
    """Read a checkpoint, and say on the log what was changed on reading it."""
    read = checkpoint.read(path)
    for note in read.description.notes:
        log.info("note: %s", note)
    return read
