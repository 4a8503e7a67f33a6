"""Checkpoints in the original code's format, read as networks of this package.

Its specialised bilateral networks hold each trained hemisphere in the other one's place, and its networks of
one head number the labels in another order. Both are put right here, with unchanged outputs, and noted.
"""

import pickle
import re
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from pydantic import ValidationError
from torch import Tensor

from ..base.errors import CheckpointError
from .build import State, build_network, load_state
from .config import LEVEL_OF_SIDE, ModelConfig
from .original_names import FIRST_CONVOLUTION, MODULES, find_arch, own_state

_ZIP_START = b"PK\x03\x04"
_LEGACY_NUMBER = b"\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19"
_DTYPES = {torch.float16, torch.bfloat16, torch.float32, torch.float64, torch.int64}
_COUNTS = {"fine": 100, "coarse": 20}

# On which side a hemisphere of the file belongs.
_SINGLE = {"hemisphere": "left"}
_AS_NAMED = {"fine_hemi": "left", "coarse_hemi": "right"}
_SWAPPED = {"fine_hemi": "right", "coarse_hemi": "left"}
# The original gives each flag to the other hemisphere, and never freezes a single one.
_FREEZE_FLAGS = {"fine_hemi": "cfreeze", "coarse_hemi": "ffreeze"}


@dataclass(frozen=True)
class OriginalNetwork:
    """A network of a file in the original's format, ready for `build_network` and `load_state`."""

    config: ModelConfig
    state: State
    """Tensors by this package's names, independent of the file."""
    fine_count: int
    coarse_count: int
    notes: tuple[str, ...]
    """What was changed or assumed in reading, a sentence each."""


def is_original(path: Path) -> bool:
    """Tell by its first bytes whether a file is one of torch.save's, rather than safetensors or anything else."""
    with path.open("rb") as file:
        start = file.read(32)
    return start.startswith(_ZIP_START) or _LEGACY_NUMBER in start


def read_original(path: Path) -> OriginalNetwork:
    """Read a checkpoint of the original code; nothing in it is executed.

    Raises CheckpointError for a file that cannot be read, holds more than data, or does not fit one of the
    original's networks tensor by tensor.
    """
    content = _load(path)
    settings = _settings(content)
    tensors = _tensors(content, path)
    parts = _names_by_part(tensors)
    sides = _sides(parts, settings, path)
    archs = {part: _arch(settings, parts.get(part, []), path) for part in sides}
    state = own_state(tensors, archs, sides, str(path))
    config = _config(state, archs, sides, settings, path)

    counts = {level: _head_count(state, level) for level in _COUNTS}
    with torch.device("meta"):
        network = build_network(config, counts["fine"], counts["coarse"])
    load_state(network, {name: tensor.to("meta") for name, tensor in state.items()}, str(path))
    if _has_text_order(config):
        _order_labels(state, config.levels[0])
    if sides == _SWAPPED:
        _swap_head_inputs(state, int(network.hemispheres["right"].num_features))  # type: ignore[arg-type]
    notes = _notes(config, sides, settings)
    return OriginalNetwork(config, state, counts["fine"], counts["coarse"], notes)


def _load(path: Path) -> Any:
    try:
        with path.open("rb") as file:
            mappable = file.read(4) == _ZIP_START
        with warnings.catch_warnings(action="ignore"):
            # Mapped, the optimizer's state and second spellings in the file cost no memory.
            return torch.load(path, map_location="cpu", weights_only=True, mmap=mappable)
    except OSError as error:
        raise CheckpointError(f"cannot read {path}: {error.strerror or error}") from error
    except Exception as error:
        refused = re.search(r"GLOBAL (\S+)", str(error)) if isinstance(error, pickle.UnpicklingError) else None
        if refused:
            raise CheckpointError(
                f"{path} holds a Python object, {refused[1]}, which is not loaded; "
                "a checkpoint may hold tensors, numbers, strings and containers only"
            ) from error
        # A damaged pickle can raise nearly any error.
        raise CheckpointError(f"{path} is damaged, cut off, or no checkpoint of torch.save") from error


def _tensors(content: Any, path: Path) -> State:
    state = content.get("state_dict") if isinstance(content, Mapping) else None
    if not isinstance(state, Mapping):
        raise CheckpointError(f"{path} holds no state_dict, so it is no checkpoint of the original's format")
    for name, tensor in state.items():
        dense = isinstance(tensor, Tensor) and tensor.layout == torch.strided and tensor.device.type == "cpu"
        if not isinstance(name, str) or not dense or tensor.dtype not in _DTYPES:
            raise CheckpointError(f"{path}: {name!r} in its state_dict is not an ordinary tensor of numbers")
    tensors = {name.removeprefix("model."): tensor.detach() for name, tensor in state.items()}
    if len(tensors) < len(state):
        raise CheckpointError(f"{path} names the same tensors with and without `model.` before them")
    return tensors


def _settings(content: Mapping[str, Any]) -> dict[str, Any]:
    """Give the `hparams` section of the config that the file carries; empty where it carries none."""
    section: Any = content
    for key in ("hyper_parameters", "config", "hparams"):
        section = section.get(key) if isinstance(section, Mapping) else None
    return dict(section) if isinstance(section, Mapping) else {}


def _names_by_part(tensors: State) -> dict[str, list[str]]:
    """Sort the tensors' names, without their first word, under that word: hemispheres and heads."""
    parts: dict[str, list[str]] = {}
    for name in tensors:
        part, _, rest = name.partition(".")
        parts.setdefault(part, []).append(rest)
    return parts


def _sides(parts: Mapping[str, list[str]], settings: dict[str, Any], path: Path) -> dict[str, str]:
    """Say on which side each of the file's hemispheres belongs."""
    if "hemisphere" in parts:
        return _SINGLE
    if not parts.keys() & _AS_NAMED.keys():
        raise CheckpointError(
            f"{path} holds no hemisphere: no tensor's name starts with hemisphere., fine_hemi. or coarse_hemi., "
            "alone or after model."
        )
    trained_before = settings.get("model_path_fine") or settings.get("model_path_coarse")
    return _SWAPPED if trained_before else _AS_NAMED


def _arch(settings: dict[str, Any], names: list[str], path: Path) -> str:
    # The original builds both hemispheres from farch.
    arch = settings.get("farch") or find_arch(names)
    if not isinstance(arch, str) or arch not in MODULES:
        raise CheckpointError(f"{path}: files of farch {arch!r} cannot be read; those of {', '.join(MODULES)} can")
    return arch


def _width(state: State, side: str, arch: str) -> float:
    weight = state.get(f"hemispheres.{side}.{FIRST_CONVOLUTION[arch]}.weight")
    return 1.0 if weight is None or weight.ndim != 4 else len(weight) / 64


def _sparsity(settings: dict[str, Any], part: str) -> dict[str, Any] | None:
    prefix = "coarse" if part == "coarse_hemi" else "fine"
    k, per_k = settings.get(f"{prefix}_k"), settings.get(f"{prefix}_per_k")
    return {"k": k, "per_k": per_k, "variant": "original"} if k and per_k else None


def _config(
    state: State, archs: dict[str, str], sides: dict[str, str], settings: dict[str, Any], path: Path
) -> ModelConfig:
    levels = [level for level in _COUNTS if f"heads.{level}.1.weight" in state]
    mode_heads = levels[0] if sides == _SINGLE and len(levels) == 1 else "both"
    values: dict[str, Any] = {
        "mode_hemis": "unilateral" if sides == _SINGLE else "bilateral",
        "mode_heads": mode_heads,
        # As in the original: none where a config leaves it out; all of its own configs have 0.6.
        "dropout": settings.get("dropout", 0.0) if settings else 0.6,
    }
    for part, side in sides.items():
        arch = archs[part]
        values[side] = {
            "arch": arch,
            "level": mode_heads if sides == _SINGLE else LEVEL_OF_SIDE[side],
            "width": _width(state, side, arch),
            "batch_norm_momentum": None if arch == "vgg11" else "original",
            "sparsity": _sparsity(settings, part) if arch == "sparse_resnet9" else None,
            "freeze": part in _FREEZE_FLAGS and bool(settings.get(_FREEZE_FLAGS[part])),
        }
    try:
        return ModelConfig.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(word) for word in first["loc"])
        raise CheckpointError(f"{path}: {place} of the network is {first['input']!r}: {first['msg']}") from error


def _head_count(state: State, level: str) -> int:
    weight = state.get(f"heads.{level}.1.weight")
    return _COUNTS[level] if weight is None or weight.ndim != 2 else len(weight)


def _has_text_order(config: ModelConfig) -> bool:
    """Whether the labels were numbered by folder names in text order: in networks of one head they were."""
    return config.mode_heads != "both"


def _order_labels(state: State, level: str) -> None:
    for leaf in ("weight", "bias"):
        rows = state[f"heads.{level}.1.{leaf}"]
        label_of_row = [int(folder) for folder in sorted(str(label) for label in range(len(rows)))]
        state[f"heads.{level}.1.{leaf}"] = rows[torch.tensor(label_of_row).argsort()]


def _swap_head_inputs(state: State, first_count: int) -> None:
    """Move the columns for the file's first hemisphere, `first_count` of them, behind those for its second."""
    for level in _COUNTS:
        weight = state[f"heads.{level}.1.weight"]
        state[f"heads.{level}.1.weight"] = torch.cat([weight[:, first_count:], weight[:, :first_count]], dim=1)


def _notes(config: ModelConfig, sides: dict[str, str], settings: dict[str, Any]) -> tuple[str, ...]:
    notes = []
    if sides == _SWAPPED:
        notes.append(
            "the hemispheres are swapped in the file: left is its coarse_hemi, which holds the weights trained "
            "on fine labels, and right its fine_hemi; the heads are adapted, so the outputs are the same"
        )
    if sides == _AS_NAMED and not settings:
        notes.append(
            "the file does not say whether its hemispheres were trained before they were joined, and are "
            "therefore swapped; left is its fine_hemi, right its coarse_hemi"
        )
    if sides == _AS_NAMED and len({hemisphere.freeze for hemisphere in config.hemispheres.values()}) == 2:
        notes.append("ffreeze and cfreeze are swapped in the original; what was frozen there is frozen here")
    if _has_text_order(config):
        notes.append(
            f"the {config.mode_heads} head counts labels in the file as folder names sorted as text "
            '("0", "1", "10", ...); its outputs are put in the order of label ids'
        )
    if not settings and any(hemisphere.arch == "sparse_resnet9" for hemisphere in config.hemispheres.values()):
        notes.append("the file does not say whether it had k-winners-take-all; none is assumed")
    return tuple(notes)
