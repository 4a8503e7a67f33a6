"""Checkpoint files: tensors as safetensors, everything else as JSON in the header. Nothing in them is executed."""

import dataclasses
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from pydantic import ValidationError
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from ..base.errors import CheckpointError, OutputError
from ..base.files import whole_file
from ..data import cifar100
from ..data.augment import Normalisation
from ..data.hierarchy import LabelHierarchy
from ..models.build import State, build_network, hemisphere_state, load_state
from ..models.config import ModelConfig
from ..models.macro import Ensemble, HemisphericNetwork
from ..models.original_checkpoints import is_original, read_original

FORMAT = 1
_NETWORK, _OPTIMIZER = "network.", "optimizer."


@dataclass(frozen=True)
class Description:
    """What a checkpoint's network is, and what its inputs and labels mean.

    hierarchy: None where the file does not name its labels (the original's format).
    image_size: (H, W) that the network was trained on. notes: what was changed on reading.
    """

    model: ModelConfig
    fine_count: int
    coarse_count: int
    hierarchy: LabelHierarchy | None
    normalise: Normalisation
    image_size: tuple[int, int]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class TrainingState:
    """What resuming needs beside the network: finished epochs, the kept checkpoints' scores, the threads used."""

    epochs_done: int
    kept: dict[str, float] = field(default_factory=dict)
    threads: int = 0


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint read from a file."""

    description: Description
    network_state: State
    optimizer_state: dict[int, dict[str, Tensor]] | None = None
    training: TrainingState | None = None


def save(
    path: Path,
    network: HemisphericNetwork,
    description: Description,
    optimizer: torch.optim.Optimizer | None = None,
    training: TrainingState | None = None,
) -> None:
    """Write a whole checkpoint file; with the optimizer's and training's state, training can go on from it."""
    tensors = {_NETWORK + name: tensor for name, tensor in network.state_dict().items()}
    header: dict[str, Any] = {"format": FORMAT, "description": _encode(description)}
    if optimizer is not None and training is not None:
        for index, state in optimizer.state_dict()["state"].items():
            tensors |= {f"{_OPTIMIZER}{index}.{name}": value for name, value in state.items() if value is not None}
        header["training"] = dataclasses.asdict(training)
    contiguous = {name: tensor.detach().contiguous() for name, tensor in tensors.items()}
    with whole_file(path) as temporary:
        try:
            save_file(contiguous, temporary, {"bilateral": json.dumps(header)})
        except SafetensorError as error:
            # safetensors wraps the system's refusal (a full disk) in an error of its own.
            raise OutputError(
                f"cannot write {path}: {error}; free some space, then run the same command again"
            ) from error


def read(path: Path) -> Checkpoint:
    """Read a checkpoint of ours or of the original's format, onto the CPU.

    path: the file, or a run's folder, whose best checkpoint is taken (its last one where no best was kept).
    Raises CheckpointError where there is none or it cannot be read.
    """
    path = find(path)
    if is_original(path):
        return _read_original(path)
    try:
        with safe_open(path, "pt") as file:
            header = json.loads((file.metadata() or {})["bilateral"])
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118, not a dict
        if header["format"] != FORMAT:
            raise CheckpointError(f"{path} has format {header['format']}; this version reads {FORMAT}")
        return Checkpoint(
            _decode(header["description"]),
            {name.removeprefix(_NETWORK): value for name, value in tensors.items() if name.startswith(_NETWORK)},
            _optimizer_state(tensors),
            TrainingState(**header["training"]) if "training" in header else None,
        )
    except (SafetensorError, KeyError, TypeError, ValueError, ValidationError) as error:
        raise CheckpointError(f"{path} is not a checkpoint of ours, or not whole: {error}") from error


def find(path: Path) -> Path:
    """Give the checkpoint file that `path`, a file or a run's folder, stands for. Raises CheckpointError."""
    if path.is_dir():
        candidates = [path / "checkpoints" / f"{name}.safetensors" for name in ("best", "last")]
        found = next((candidate for candidate in candidates if candidate.is_file()), None)
        if found is None:
            raise CheckpointError(f"the folder {path} holds no checkpoints/best.safetensors or last.safetensors")
        return found
    if not path.is_file():
        raise CheckpointError(f"there is no checkpoint {path}")
    return path


def build(checkpoint: Checkpoint, source: Path, mode_out: str | None = None) -> HemisphericNetwork:
    """Build a checkpoint's network in evaluation mode. Raises CheckpointError if its tensors do not fit."""
    description = checkpoint.description
    model = description.model.model_copy(update={"mode_out": mode_out} if mode_out else {})
    network = build_network(model, description.fine_count, description.coarse_count)
    load_state(network, checkpoint.network_state, str(source))
    network.eval()
    return network


def load(path: str | Path, mode_out: str | None = None) -> HemisphericNetwork:
    """Give the trained network of any checkpoint, of ours or of the original's format, in evaluation mode.

    path: the file, or a run's folder. mode_out: `feature` makes it give features and no logits.
    Calling it on normalised images (B, 3, H, W) gives an `Output` with `.fine`, `.coarse`, `.features`.
    Raises CheckpointError where there is none, or where tensors do not fit (they are named).
    """
    return build(read(Path(path)), Path(path), mode_out)


def load_ensemble(paths: list[Path], average: str = "logits") -> tuple[Ensemble, Description]:
    """Give the ensemble of two or more two-headed networks, and the first one's description.

    Raises CheckpointError where a member lacks a head or the members' label counts differ.
    """
    checkpoints = [read(path) for path in paths]
    first = checkpoints[0].description
    for path, checkpoint in zip(paths, checkpoints):
        description = checkpoint.description
        if description.model.mode_heads != "both":
            raise CheckpointError(
                f"{path} has a {description.model.mode_heads} head only; an ensemble's members need mode_heads: both"
            )
        if (description.fine_count, description.coarse_count) != (first.fine_count, first.coarse_count):
            raise CheckpointError(
                f"{path} tells {description.fine_count} fine and {description.coarse_count} coarse labels apart, "
                f"{paths[0]} {first.fine_count} and {first.coarse_count}; an ensemble needs the same"
            )
    return Ensemble([build(checkpoint, path) for path, checkpoint in zip(paths, checkpoints)], average), first


def load_hemisphere(network: HemisphericNetwork, side: str, path: Path) -> None:
    """Put a trained hemisphere from the checkpoint at `path` in place of the network's one on `side`.

    A file of one hemisphere gives that one; a file of two the one on the same side. Raises CheckpointError.
    """
    state = hemisphere_state(read(path).network_state, side, str(path))
    load_state(network.hemispheres[side], state, f"the hemisphere in {path}")


def _read_original(path: Path) -> Checkpoint:
    original = read_original(path)
    # The published normalisation of CIFAR-100, the only data that files of this format were trained on.
    normalise = Normalisation(cifar100.MEAN, cifar100.STD)
    description = Description(
        original.config, original.fine_count, original.coarse_count, None, normalise, (32, 32), original.notes
    )
    return Checkpoint(description, original.state)


def _encode(description: Description) -> dict[str, Any]:
    return dataclasses.asdict(description) | {"model": description.model.model_dump(mode="json")}


def _decode(data: dict[str, Any]) -> Description:
    hierarchy, normalise = data["hierarchy"], data["normalise"]
    decoded = {
        "model": ModelConfig.model_validate(data["model"]),
        "hierarchy": hierarchy and LabelHierarchy(*(tuple(values) for values in hierarchy.values())),
        "normalise": Normalisation(tuple(normalise["mean"]), tuple(normalise["std"])),
        "image_size": tuple(data["image_size"]),
        "notes": tuple(data["notes"]),
    }
    return Description(**data | decoded)


def _optimizer_state(tensors: dict[str, Tensor]) -> dict[int, dict[str, Tensor]]:
    state: dict[int, dict[str, Tensor]] = {}
    for name, tensor in tensors.items():
        if name.startswith(_OPTIMIZER):
            index, key = name.removeprefix(_OPTIMIZER).split(".", 1)
            state.setdefault(int(index), {})[key] = tensor
    return state
