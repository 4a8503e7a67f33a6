"""Checkpoint files: tensors as safetensors, everything else as JSON in the header. Nothing in them is executed."""

import os
import re
import warnings
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from .. import networks
from ..base.errors import CheckpointError, ConfigError, DataError, OutputError
from ..base.files import nearest, open_plain, whole_file
from ..base.memory import check_memory
from ..base.own_code import is_own, refuse_strange
from ..base.run_folders import FAILURE, named_run, runs_in
from ..base.section import user_path
from ..base.text import shown
from ..base.used_code import own_digest
from ..data.augment import Normalisation
from ..data.cifar100 import source as cifar100
from ..models.build import State, build_network, check_state, hemisphere_state, load_state, not_finite, try_out
from ..models.config import LesionConfig, ModelConfig
from ..models.ensemble import Ensemble
from ..models.network import Network, Trained
from ..original.checkpoints import read_original
from ..original.torch_files import is_torch_file
from . import header as headers
from .header import Description, TrainingState
from .optimisation import OptimizerState
from .run_record import CHECKPOINTS, REMEDY, checkpoint_damage, read_record

__all__ = ["Checkpoint", "Description", "TrainingState", "build", "find", "load", "read", "save"]

_NETWORK, _OPTIMIZER = "network.", "optimizer."
_LESIONS = "lesions."
_NAME = re.compile(r"network\..+|optimizer\.[0-9]{1,6}\.[a-z_]+", re.DOTALL)
_DTYPES = {
    "F64": torch.float64,
    "F32": torch.float32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "I64": torch.int64,
    "I32": torch.int32,
    "U8": torch.uint8,
    "BOOL": torch.bool,
}
_MEANING = ("fine_count", "coarse_count", "hierarchy", "normalise")
"""Of a description, what a network's inputs and outputs mean."""
_MOST_HEADER = 2**24
"""Bytes of the longest header that is read."""


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint read from a file."""

    description: Description
    network_state: State
    optimizer_state: OptimizerState | None = None
    training: TrainingState | None = None


def save(
    path: Path,
    network: Network,
    description: Description,
    optimizer_state: OptimizerState | None = None,
    training: TrainingState | None = None,
) -> None:
    """Write a whole checkpoint file; with the optimizer's and training's state, training can go on from it."""
    tensors = {_NETWORK + name: tensor for name, tensor in network.state_dict().items()}
    for index, state in (optimizer_state or {}).items():
        tensors |= {f"{_OPTIMIZER}{index}.{name}": value for name, value in state.items() if value is not None}
    contiguous = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    if description.own_code is None:
        named = {kind: own_digest(kind) for kind in description.model.kinds if is_own(kind)}
        description = replace(description, own_code={kind: digest for kind, digest in named.items() if digest})
    header = headers.write(description, training, contiguous)
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
    Raises CheckpointError where there is none, it cannot be read, or is not as the run that made it left it.
    """
    path = find(path)
    wrong = checkpoint_damage(path)
    if wrong is not None:
        raise CheckpointError(f"{wrong}; {REMEDY}")
    try:
        with open_plain(path) as file:
            size, first = os.fstat(file.fileno()).st_size, file.read(8)
        check_memory(size, f"the checkpoint {path}", "use a machine that has more")
        checkpoint = _read_original(path) if is_torch_file(path) else _read_own(path, int.from_bytes(first, "little"))
    except OSError as error:
        raise CheckpointError(f"cannot read the checkpoint {path}: {error.strerror or error}") from error
    odd = not_finite(checkpoint.network_state)
    if odd is not None:
        raise CheckpointError(f"{path} holds NaN or infinity in {odd}: it is of a training that diverged, or damaged")
    return checkpoint


def find(path: Path) -> Path:
    """Give the checkpoint file that `path` stands for: itself, the exported one in its folder, or the one a run tested.

    A name such as `shapes-small` stands for a network that comes with the package, unless there is a file of that name.
    A run that is not finished gives its best so far. Raises CheckpointError where there is none; OutputError where the
    run's record is damaged.
    """
    try:
        if (exported := networks.find(path)) is not None:
            return exported / networks.WEIGHTS
        if not path.is_dir():
            if path.exists():
                return path
            there = networks.names()
            near = get_close_matches(path.as_posix(), there, n=1)
            hint = f"; did you mean {near[0]}?" if near else nearest(path)
            listed = f"; networks that come with the package: {', '.join(there)}"
            raise CheckpointError(f"there is no checkpoint {path}{hint or listed}")
        record = read_record(path)
        # Under protocol: original the tested one is not the best.
        names = ("best", "last") if record is None else (record.checkpoint,)
        candidates = [path / CHECKPOINTS / f"{name}.safetensors" for name in names if name]
        found = next((candidate for candidate in candidates if candidate.is_file()), None)
    except (OSError, ValueError) as error:
        raise CheckpointError(f"cannot look for a checkpoint in {path}: {error}") from error
    if found is not None:
        return found
    if record is None:
        below = next((run for folder in sorted(path.iterdir()) if folder.is_dir() for run in runs_in(folder)), None)
        failed = f"; its training failed, {path / FAILURE} says why" if (path / FAILURE).is_file() else ""
        hint = f"; give a run below it, such as {below}" if below else failed
        raise CheckpointError(f"the folder {path} holds no {CHECKPOINTS}/best.safetensors or last.safetensors{hint}")
    if record.checkpoint is None:
        raise CheckpointError(
            f"the run in {path} has no weights of its own: it tested given ones, such as an ensemble's; give these"
        )
    raise CheckpointError(f"the checkpoint of the run in {path} is gone: {candidates[0]}; {REMEDY}")


def build(
    checkpoint: Checkpoint,
    source: Path,
    mode_out: str | None = None,
    own_code: Collection[str] = (),
    lesions: Mapping[str, LesionConfig] | None = None,
) -> Network:
    """Build a checkpoint's network in evaluation mode.

    own_code: the `package.module:Class` kinds that a file may name; a file alone never decides what code is run.
    lesions: in place of those that it was made with, but not of those that it was trained with; the training has ended,
    so their `from_epoch` does not count. Raises ConfigError for a lesion of what there is not; CheckpointError if the
    file names another kind, describes a network that cannot be, or its tensors do not fit.
    """
    if mode_out not in (None, "pred", "feature"):
        raise ConfigError(f"mode_out: {mode_out!r} is not allowed; allowed: pred, feature")
    description = checkpoint.description
    refuse_strange(description.model.kinds, own_code, f"the checkpoint {source}", CheckpointError)
    recorded = description.own_code or {}
    changed = [kind for kind, digest in recorded.items() if own_digest(kind) not in (digest, None)]
    if changed:
        warnings.warn(
            f"the code of {' and '.join(changed)} has changed since {source} was trained with it: "
            "what the network says now may be something else",
            stacklevel=2,
        )
    if lesions is not None:
        trained_with = description.model.lesions_in_training
        begins = {name: each.from_epoch for name, each in trained_with.items()}
        own = {name: each.model_copy(update={"from_epoch": begins.get(name)}) for name, each in lesions.items()}
        lesions = trained_with | own
    given = {"mode_out": mode_out, "lesions": lesions}
    model = description.model.model_copy(update={key: value for key, value in given.items() if value is not None})
    try:
        network = _sketch(description, model)
        try_out(network, model, description.image_size, len(description.normalise.mean))
        # A state has nearly all tensors of our kinds, so that no memory and no initial weights are needed before.
        computed = any(module._non_persistent_buffers_set for module in network.modules())
        if computed or any(is_own(kind) for kind in model.kinds):
            network = build_network(
                model, description.fine_count, description.coarse_count, image_size=description.image_size
            )
    except (ConfigError, DataError) as error:
        if str(error).startswith("model.lesions"):
            raise
        raise CheckpointError(f"{source} describes a network that cannot be: {shown(str(error))}") from error
    network.outputs_features = model.mode_out == "feature"
    load_state(network, checkpoint.network_state, str(source), replace=True)
    network.trained = Trained(description.normalise, description.image_size, description.hierarchy)
    network.eval()
    return network


def load(path: str | Path, mode_out: str | None = None, own_code: Collection[str] = ()) -> Network:
    """Give the trained network of any checkpoint, of ours or of the original's format, in evaluation mode.

    path: the file, a run's folder (or one of runs, whose newest is taken), an exported folder, or the name of a network
    that comes with the package; `~` and `$NAME` count. mode_out: `feature` makes it give features alone.
    own_code: `package.module:Class` kinds (backbones, parts, ...) that the file may name. Calling the network on
    normalised images (B, 3, H, W), as `network.normalise` makes them of uint8 ones, gives an `Output` of `fine`,
    `coarse` and `features`; `network.predict(images)` takes uint8 images and gives names of classes.
    Raises CheckpointError where there is none, or where tensors do not fit (they are named).

    >>> from bilateral import train
    >>> tiny = {"shapes": {"train_per_class": 2, "test_per_class": 1}}
    >>> model = {side: {"arch": "resnet9", "width": 0.0625} for side in ("left", "right")}
    >>> (run,) = train({"data": tiny, "model": model, "training": {"epochs": 1}, "workers": 1})
    >>> network = load(run.folder)
    >>> images = torch.zeros(2, 3, 32, 32, dtype=torch.uint8)
    >>> {level: tuple(logits.shape) for level, logits in network(network.normalise(images)).logits.items()}
    {'fine': (2, 40), 'coarse': (2, 8)}
    >>> len(network.predict(images).fine.names)
    2
    """
    path = Path(path)
    try:
        path = path if path.exists() else user_path(path)
    except (OSError, ValueError) as error:
        raise CheckpointError(f"cannot look for the checkpoint {path}: {error}") from error
    path = named_run(path)
    return build(read(path), path, mode_out, own_code)


def load_ensemble(
    paths: list[Path], average: str = "logits", own_code: Collection[str] = ()
) -> tuple[Ensemble, Description]:
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
        if any(getattr(description, name) != getattr(first, name) for name in _MEANING):
            raise CheckpointError(
                f"{path} was trained on other labels or another normalisation than {paths[0]}; "
                "an ensemble needs the same"
            )
    members = [build(checkpoint, path, own_code=own_code) for path, checkpoint in zip(paths, checkpoints)]
    return Ensemble(members, average), first


def load_weights(network: Network, prefix: str, path: Path, replace: bool = False) -> None:
    """Put trained weights from the checkpoint at `path` in place of the network's, under a prefix of its state.

    prefix: "" for the whole network, which keeps its own lesions; or `hemispheres.left`, which a file of one hemisphere
    gives whichever side it was. replace: as in `load_state`. Raises CheckpointError.
    """
    state = read(path).network_state
    if not prefix:
        weights = {name: tensor for name, tensor in state.items() if not name.startswith(_LESIONS)}
        lesions = {name: tensor for name, tensor in network.state_dict().items() if name.startswith(_LESIONS)}
        load_state(network, weights | lesions, str(path), replace)
        return
    own = hemisphere_state(state, prefix.rpartition(".")[2], str(path))
    load_state(network.get_submodule(prefix), own, f"the hemisphere in {path}", replace)


def _read_own(path: Path, header_length: int) -> Checkpoint:
    if header_length > _MOST_HEADER:
        raise CheckpointError(f"{path} is damaged, cut off, or no checkpoint: {header_length:,} bytes of header")
    try:
        with safe_open(path, "pt") as file:
            text = (file.metadata() or {}).get("bilateral")
            if text is None:
                raise CheckpointError(f"{path} is damaged, or not a checkpoint of ours: its header names no network")
            header = headers.read(text, str(path))
            slices = {name: file.get_slice(name) for name in file.keys()}  # noqa: SIM118, not a dict
            given = {name: (each.get_shape(), each.get_dtype()) for name, each in slices.items()}
            _check_tensors(header.description, given, path)
            tensors = {name: file.get_tensor(name) for name in given}
    except SafetensorError as error:
        raise CheckpointError(f"{path} is damaged, cut off, or no checkpoint: {shown(str(error)):.200}") from error
    headers.check_digest(header, text, tensors, str(path))
    network_state = {name.removeprefix(_NETWORK): value for name, value in tensors.items() if name.startswith(_NETWORK)}
    return Checkpoint(header.description, network_state, _optimizer_state(tensors), header.training)


def _check_tensors(description: Description, given: Mapping[str, tuple[Sequence[int], str]], path: Path) -> None:
    """See by names, shapes and kinds, before they are read, that a file's tensors are of the network it describes."""
    damaged = f"{path} is damaged, or contradicts itself: it"
    for name, (_, kind) in given.items():
        if not _NAME.fullmatch(name):
            raise CheckpointError(f"{damaged}s tensor {name!r:.80} has no place in a checkpoint of ours")
        if kind not in _DTYPES:
            raise CheckpointError(f"{damaged}s tensor {name!r:.80} is of the kind {kind}, which networks do not have")
    if not any(is_own(kind) for kind in description.model.kinds):
        try:
            sketch = _sketch(description, description.model)
        except ConfigError as error:
            raise CheckpointError(f"{path} describes a network that cannot be: {shown(str(error))}") from error
        shapes = {
            name.removeprefix(_NETWORK): (shape, _DTYPES[kind])
            for name, (shape, kind) in given.items()
            if name.startswith(_NETWORK)
        }
        check_state(sketch, shapes, damaged)


def _sketch(description: Description, model: ModelConfig) -> Network:
    """The network of a description without memory: its names, shapes and kinds."""
    with torch.device("meta"):
        return build_network(model, description.fine_count, description.coarse_count, image_size=description.image_size)


def _read_original(path: Path) -> Checkpoint:
    original = read_original(path)
    # The published normalisation of CIFAR-100, the only data that files of this format were trained on.
    normalise = Normalisation(cifar100.MEAN, cifar100.STD)
    description = Description(
        original.config, original.fine_count, original.coarse_count, None, normalise, (32, 32), original.notes
    )
    return Checkpoint(description, original.state)


def _optimizer_state(tensors: dict[str, Tensor]) -> OptimizerState:
    state: OptimizerState = {}
    for name, tensor in tensors.items():
        if name.startswith(_OPTIMIZER):
            index, key = name.removeprefix(_OPTIMIZER).split(".", 1)
            state.setdefault(int(index), {})[key] = tensor
    return state
