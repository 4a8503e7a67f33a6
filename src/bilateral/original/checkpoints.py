"""Checkpoints in the original code's format, read as networks of this package.

Its specialised bilateral networks hold each trained hemisphere in the other one's place, and its networks of
one head number the labels in another order. Both are put right here, with unchanged outputs, and noted.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from pydantic import ValidationError
from torch import Tensor

from ..base.errors import CheckpointError
from ..models.build import State, build_network, check_state
from ..models.config import LEVEL_OF_SIDE, ModelConfig
from .names import FIRST_CONVOLUTION, MODULES, find_arch, own_names
from .torch_files import TorchFile, open_torch_file
from .torch_pickle import StoredTensor

_Shapes = Mapping[str, tuple[int, ...]]
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


def read_original(path: Path) -> OriginalNetwork:
    """Read a checkpoint of the original code; nothing in it is executed.

    Raises CheckpointError for a file that cannot be read, holds more than data, or does not fit one of the
    original's networks tensor by tensor.
    """
    with open_torch_file(path) as file:
        settings = _settings(file.content)
        stored = _stored_tensors(file.content, path)
        sides = _sides({name.partition(".")[0] for name in stored}, settings, path)
        archs = {part: _arch(settings, part, stored, path) for part in sides}
        spellings = own_names(stored, archs, sides, str(path))
        shapes = {own: stored[names[0]].shape for own, names in spellings.items()}
        config = _config(shapes, archs, sides, settings, path)
        counts = {level: _outputs(shapes, f"heads.{level}.1", 2, usual) for level, usual in _COUNTS.items()}
        # What does not fit is refused before it takes memory.
        with torch.device("meta"):
            network = build_network(config, counts["fine"], counts["coarse"])
        kinds = {own: (shapes[own], stored[names[0]].storage.dtype or torch.uint8) for own, names in spellings.items()}
        check_state(network, kinds, str(path))
        whole = sum(stored[names[0]].numel * stored[names[0]].storage.itemsize for names in spellings.values())
        if whole > file.size:
            raise CheckpointError(f"{path} is damaged: its tensors have {whole:,} bytes, and it {file.size:,}")
        state = {own: _read_tensor(file, stored, names) for own, names in spellings.items()}
    if config.mode_heads != "both":
        _order_labels(state, config.levels[0])
    if sides == _SWAPPED:
        _swap_head_inputs(state, int(network.hemispheres["right"].num_features))  # type: ignore[arg-type]
    notes = _notes(config, sides, settings)
    return OriginalNetwork(config, state, counts["fine"], counts["coarse"], notes)


def _read_tensor(file: TorchFile, stored: dict[str, StoredTensor], names: list[str]) -> Tensor:
    """Read the tensor that stands under all of `names`. Raises CheckpointError where its values differ."""
    first = file.tensor(stored[names[0]])
    for name in names[1:]:
        if stored[name] == stored[names[0]]:
            continue
        other = file.tensor(stored[name])
        alike = other.shape == first.shape and other.dtype == first.dtype
        if not (alike and torch.allclose(first, other, rtol=0, atol=0, equal_nan=True)):
            raise CheckpointError(
                f"{file.path} contradicts itself: {names[0]} and {name} are one tensor under two names, "
                "but their values differ"
            )
    return first


def _stored_tensors(content: Any, path: Path) -> dict[str, StoredTensor]:
    """Give the file's tensors by their names without the words that wrappers of networks put before or between them.

    The state is under `state_dict`, or it is all that there is.
    """
    state = content.get("state_dict", content) if isinstance(content, dict) else None
    tensors: dict[str, StoredTensor] = {}
    if not isinstance(state, dict) or (
        state is content and not any(isinstance(v, StoredTensor) for v in state.values())
    ):
        raise CheckpointError(f"{path} holds no state_dict, so it is no checkpoint of the original's format")
    for name, tensor in state.items():
        if not isinstance(name, str) or not isinstance(tensor, StoredTensor) or tensor.storage.dtype is None:
            raise CheckpointError(f"{path}: {name!r:.80} in its state_dict is not an ordinary tensor of numbers")
        words = [word for word in name.split(".") if word not in ("module", "_orig_mod")]
        own = ".".join(words[1:] if words[:1] == ["model"] else words)
        if own in tensors:
            raise CheckpointError(f"{path} names the same tensors with and without `model.` or `module.`: {own!r:.80}")
        tensors[own] = tensor
    return tensors


def _settings(content: Any) -> dict[str, Any]:
    """Give the `hparams` section of the config that the file carries, its plain values; empty where it carries none."""
    section: Any = content
    for key in ("hyper_parameters", "config", "hparams"):
        section = section.get(key) if isinstance(section, dict) else None
    if not isinstance(section, dict):
        return {}
    # Of others the kind alone: they may be nested, and refer to each other, without end.
    plain = (str, int, float, type(None))
    return {
        key: value if isinstance(value, plain) else f"a {type(value).__name__}" if value else None
        for key, value in section.items()
        if isinstance(key, str)
    }


def _sides(parts: set[str], settings: dict[str, Any], path: Path) -> dict[str, str]:
    """Say on which side each of the file's hemispheres belongs."""
    if "hemisphere" in parts:
        return _SINGLE
    if not parts & _AS_NAMED.keys():
        raise CheckpointError(
            f"{path} holds no hemisphere: no tensor's name starts with hemisphere., fine_hemi. or coarse_hemi., "
            "alone or after model."
        )
    trained_before = settings.get("model_path_fine") or settings.get("model_path_coarse")
    return _SWAPPED if trained_before else _AS_NAMED


def _arch(settings: dict[str, Any], part: str, names: Iterable[str], path: Path) -> str:
    # The original builds both hemispheres from farch.
    inner = (name.removeprefix(f"{part}.") for name in names if name.startswith(f"{part}."))
    arch = settings.get("farch") or find_arch(inner)
    if not isinstance(arch, str) or arch not in MODULES:
        raise CheckpointError(f"{path}: files of farch {arch!r:.80} cannot be read; those of {', '.join(MODULES)} can")
    return arch


def _sparsity(settings: dict[str, Any], part: str) -> dict[str, Any] | None:
    prefix = "coarse" if part == "coarse_hemi" else "fine"
    k, per_k = settings.get(f"{prefix}_k"), settings.get(f"{prefix}_per_k")
    return {"k": k, "per_k": per_k, "variant": "original"} if k and per_k else None


def _config(
    shapes: _Shapes, archs: dict[str, str], sides: dict[str, str], settings: dict[str, Any], path: Path
) -> ModelConfig:
    levels = [level for level in _COUNTS if f"heads.{level}.1.weight" in shapes]
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
            "width": _outputs(shapes, f"hemispheres.{side}.{FIRST_CONVOLUTION[arch]}", 4, 64) / 64,
            "batch_norm_momentum": None if arch == "vgg11" else "original",
            "sparsity": _sparsity(settings, part) if arch == "sparse_resnet9" else None,
            "freeze": part in _FREEZE_FLAGS and bool(settings.get(_FREEZE_FLAGS[part])),
        }
    try:
        return ModelConfig.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(word) for word in first["loc"])
        raise CheckpointError(
            f"{path}: {place} of the network is {first['input']!r:.80}: {first['msg']:.200}"
        ) from error


def _outputs(shapes: _Shapes, module: str, dimensions: int, usual: int) -> int:
    """Give the number of a layer's outputs; the usual one where its weight is missing or of another layer."""
    shape = shapes.get(f"{module}.weight", ())
    return shape[0] if len(shape) == dimensions else usual


def _order_labels(state: State, level: str) -> None:
    """Order a head's rows by label ids. In networks of one head they stand by folder names in text order."""
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
    if config.mode_heads != "both":
        notes.append(
            f"the {config.mode_heads} head counts labels in the file as folder names sorted as text "
            '("0", "1", "10", ...); its outputs are put in the order of label ids'
        )
    if not settings and any(hemisphere.arch == "sparse_resnet9" for hemisphere in config.hemispheres.values()):
        notes.append("the file does not say whether it had k-winners-take-all; none is assumed")
    return tuple(notes)
