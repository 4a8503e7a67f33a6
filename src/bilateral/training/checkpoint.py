"""Checkpoint files: tensors as safetensors, everything else as JSON in the header. Nothing in them is executed."""

from collections.abc import Collection
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import torch
from pydantic import PositiveInt, TypeAdapter, ValidationError
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from ..base.errors import CheckpointError, DataError, OutputError
from ..base.files import whole_file
from ..data import cifar100
from ..data.augment import Normalisation
from ..data.hierarchy import LabelHierarchy
from ..models.backbones import BACKBONES
from ..models.build import State, build_network, hemisphere_state, load_state
from ..models.config import ModelConfig
from ..models.macro import Ensemble, HemisphericNetwork
from ..models.original_checkpoints import is_original, read_original
from .optimisation import OptimizerState

FORMAT: Literal[1] = 1
_NETWORK, _OPTIMIZER = "network.", "optimizer."


@dataclass(frozen=True)
class Description:
    """What a checkpoint's network is, and what its inputs and labels mean.

    hierarchy: None where the file does not name its labels (the original's format).
    image_size: (H, W) that the network was trained on. notes: what was changed on reading.
    """

    model: ModelConfig
    fine_count: PositiveInt
    coarse_count: PositiveInt
    hierarchy: LabelHierarchy | None
    normalise: Normalisation
    image_size: tuple[PositiveInt, PositiveInt]
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
    optimizer_state: OptimizerState | None = None
    training: TrainingState | None = None


@dataclass(frozen=True)
class _Header:
    """The JSON in a checkpoint file."""

    format: Literal[1]
    description: Description
    training: TrainingState | None = None


_HEADER = TypeAdapter(_Header)


def save(
    path: Path,
    network: HemisphericNetwork,
    description: Description,
    optimizer_state: OptimizerState | None = None,
    training: TrainingState | None = None,
) -> None:
    """Write a whole checkpoint file; with the optimizer's and training's state, training can go on from it."""
    tensors = {_NETWORK + name: tensor for name, tensor in network.state_dict().items()}
    for index, state in (optimizer_state or {}).items():
        tensors |= {f"{_OPTIMIZER}{index}.{name}": value for name, value in state.items() if value is not None}
    header = _HEADER.dump_json(_Header(FORMAT, description, training)).decode()
    contiguous = {name: tensor.detach().contiguous() for name, tensor in tensors.items()}
    with whole_file(path) as temporary:
        try:
            save_file(contiguous, temporary, {"bilateral": header})
        except SafetensorError as error:
            # safetensors wraps the system's refusal (a full disk) in an error of its own.
            raise OutputError(
                f"cannot write {path}: {error}; free some space, then run the same command again"
            ) from error


def read(path: Path) -> Checkpoint:
    """Read a checkpoint of ours or of the original's format, onto the CPU.

    path: the file, or a run's folder (see `find`).
    Raises CheckpointError where there is none or it cannot be read.
    """
    path = find(path)
    if is_original(path):
        return _read_original(path)
    try:
        with safe_open(path, "pt") as file:
            header = _HEADER.validate_json((file.metadata() or {}).get("bilateral", ""))
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118, not a dict
    except ValidationError as error:
        problem = error.errors()[0]
        where = ".".join(str(part) for part in problem["loc"])
        raise CheckpointError(
            f"{path} is not a checkpoint of ours in format {FORMAT}: its header's {where or 'JSON'}: {problem['msg']}"
        ) from error
    except (SafetensorError, DataError, OSError) as error:
        raise CheckpointError(f"{path} is not a checkpoint of ours, or not whole: {error}") from error
    network_state = {name.removeprefix(_NETWORK): value for name, value in tensors.items() if name.startswith(_NETWORK)}
    return Checkpoint(header.description, network_state, _optimizer_state(tensors), header.training)


def find(path: Path) -> Path:
    """Give the checkpoint file that `path` stands for: itself, or in a run's folder the one that was tested.

    A run that is not finished gives its best so far. Raises CheckpointError where there is none.
    """
    try:
        if not path.is_dir():
            if path.is_file():
                return path
            raise CheckpointError(f"there is no checkpoint {path}")
        # The run's record names it, for under protocol: original it is not the best one.
        names = [
            line.removeprefix("checkpoint: ") for line in _lines(path / "run.yaml") if line.startswith("checkpoint: ")
        ]
        candidates = [path / "checkpoints" / f"{name}.safetensors" for name in (*names, "best", "last")]
        found = next((candidate for candidate in candidates if candidate.is_file()), None)
    except (OSError, ValueError) as error:
        raise CheckpointError(f"cannot look for a checkpoint in {path}: {error}") from error
    if found is None and (path / "run.yaml").exists():
        raise CheckpointError(
            f"the run in {path} has no weights of its own: it is an ensemble; give one of its members"
        )
    if found is None:
        raise CheckpointError(f"the folder {path} holds no checkpoints/best.safetensors or last.safetensors")
    return found


def build(
    checkpoint: Checkpoint, source: Path, mode_out: str | None = None, own_code: Collection[str] = ()
) -> HemisphericNetwork:
    """Build a checkpoint's network in evaluation mode.

    own_code: the `package.module:Class` backbones that a file may name; a file alone never decides what code
    is run. Raises CheckpointError if the file names another one, or its tensors do not fit.
    """
    description = checkpoint.description
    archs = {hemisphere.arch for hemisphere in description.model.hemispheres.values()}
    strange = archs - set(BACKBONES) - set(own_code)
    if strange:
        raise CheckpointError(
            f"{source} needs the backbone {strange.pop()!r}, which is not one of ours: name it yourself "
            "(own_code=[...], or --own-backbone on the command line) if you trust its code"
        )
    model = description.model.model_copy(update={"mode_out": mode_out} if mode_out else {})
    # Without memory or time for initial weights where we know that a state has all tensors of a backbone.
    with torch.device("meta") if archs <= set(BACKBONES) else nullcontext():
        network = build_network(model, description.fine_count, description.coarse_count)
    load_state(network, checkpoint.network_state, str(source), replace=True)
    network.normalise = description.normalise
    network.eval()
    return network


def load(path: str | Path, mode_out: str | None = None, own_code: Collection[str] = ()) -> HemisphericNetwork:
    """Give the trained network of any checkpoint, of ours or of the original's format, in evaluation mode.

    path: the file, or a run's folder. mode_out: `feature` makes it give features and no logits. own_code:
    `package.module:Class` backbones that the file may name. Calling the network on normalised images (B, 3, H, W),
    as `network.normalise` makes them of uint8 ones, gives an `Output` with `.fine`, `.coarse`, `.features`.
    Raises CheckpointError where there is none, or where tensors do not fit (they are named).
    """
    return build(read(Path(path)), Path(path), mode_out, own_code)


def load_ensemble(paths: list[Path], average: str = "logits") -> tuple[Ensemble, Description]:
    """Give the ensemble of two or more two-headed networks, and the first one's description.

    Raises CheckpointError where a member lacks a head or is there twice, or their labels or normalisation differ.
    """
    if len({find(path).resolve() for path in paths}) < len(paths):
        raise CheckpointError("an ensemble's members must differ; one checkpoint is listed twice")
    checkpoints = [read(path) for path in paths]
    first = checkpoints[0].description
    for path, checkpoint in zip(paths, checkpoints):
        description = checkpoint.description
        if description.model.mode_heads != "both":
            raise CheckpointError(
                f"{path} has a {description.model.mode_heads} head only; an ensemble's members need mode_heads: both"
            )
        if _meaning(description) != _meaning(first):
            raise CheckpointError(
                f"{path} was trained on other labels or another normalisation than {paths[0]}; "
                "an ensemble needs the same"
            )
    return Ensemble([build(checkpoint, path) for path, checkpoint in zip(paths, checkpoints)], average), first


def load_hemisphere(network: HemisphericNetwork, side: str, path: Path, replace: bool = False) -> None:
    """Put a trained hemisphere from the checkpoint at `path` in place of the network's one on `side`.

    A file of one hemisphere gives that one; a file of two the one on the same side. replace: as in `load_state`.
    Raises CheckpointError.
    """
    state = hemisphere_state(read(path).network_state, side, str(path))
    load_state(network.hemispheres[side], state, f"the hemisphere in {path}", replace)


def _read_original(path: Path) -> Checkpoint:
    original = read_original(path)
    # The published normalisation of CIFAR-100, the only data that files of this format were trained on.
    normalise = Normalisation(cifar100.MEAN, cifar100.STD)
    description = Description(
        original.config, original.fine_count, original.coarse_count, None, normalise, (32, 32), original.notes
    )
    return Checkpoint(description, original.state)


def _meaning(description: Description) -> tuple[object, ...]:
    return (description.fine_count, description.coarse_count, description.hierarchy, description.normalise)


def _lines(path: Path) -> list[str]:
    return path.read_text(encoding="utf-8", errors="replace").splitlines() if path.is_file() else []


def _optimizer_state(tensors: dict[str, Tensor]) -> OptimizerState:
    state: OptimizerState = {}
    for name, tensor in tensors.items():
        if name.startswith(_OPTIMIZER):
            index, key = name.removeprefix(_OPTIMIZER).split(".", 1)
            state.setdefault(int(index), {})[key] = tensor
    return state
