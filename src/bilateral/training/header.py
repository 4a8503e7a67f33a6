"""What a checkpoint file says beside its tensors, as JSON, and the digest by which damage shows."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Annotated, Literal

import torch
from pydantic import ConfigDict, Field, StringConstraints, TypeAdapter, ValidationError
from torch import Tensor

from ..base.errors import CheckpointError, DataError
from ..base.text import shown
from ..data.augment import Normalisation
from ..data.hierarchy import LabelHierarchy
from ..models.config import ModelConfig

FORMAT: Literal[1] = 1
KEPT_NAME = r"^epoch=[0-9]{3,9}-[A-Za-z0-9_]{1,40}=-?[0-9]{1,40}\.[0-9]{3}\.safetensors$"
"""How the file of an epoch that is kept beside the best one is called (see `keeping`)."""

Count = Annotated[int, Field(strict=True, ge=1, le=2**20)]
MOST_PIXELS = 2**11
"""Of a side of the images that a network may be trained on."""
Pixels = Annotated[int, Field(strict=True, ge=1, le=MOST_PIXELS)]
Number = Annotated[int, Field(strict=True, ge=0, le=2**31)]
Digest = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
Score = Annotated[float, Field(strict=True, allow_inf_nan=False)]
_STRICT = ConfigDict(extra="forbid")


@dataclass(frozen=True)
class Description:
    """What a checkpoint's network is, and what its inputs and labels mean.

    hierarchy: None where the file does not name its labels (the original's format).
    image_size: (H, W) that the network was trained on. notes: what was changed on reading.
    own_code: digests of the own code that it was trained with, by name; None in what is not from a file of ours.
    """

    __pydantic_config__ = _STRICT

    model: ModelConfig
    fine_count: Count
    coarse_count: Count
    hierarchy: LabelHierarchy | None
    normalise: Normalisation
    image_size: tuple[Pixels, Pixels]
    notes: tuple[str, ...] = ()
    own_code: dict[str, Digest] | None = None


@dataclass(frozen=True)
class TrainingState:
    """What resuming needs beside the network: finished epochs, the kept checkpoints' scores, the threads used."""

    __pydantic_config__ = _STRICT

    epochs_done: Number
    kept: dict[Annotated[str, StringConstraints(pattern=KEPT_NAME)], Score] = field(default_factory=dict)
    threads: Number = 0


@dataclass(frozen=True)
class Header:
    """The JSON in a checkpoint file. sha256: of the rest of it and of the tensors; None in files of older versions."""

    __pydantic_config__ = _STRICT

    format: Literal[1]
    description: Description
    training: TrainingState | None = None
    sha256: str | None = None


_HEADER = TypeAdapter(Header)


def write(description: Description, training: TrainingState | None, tensors: Mapping[str, Tensor]) -> str:
    """Give the JSON for a file with these tensors, which are contiguous and on the CPU, its digest last."""
    unsaid: dict[str, bool | set[str]] = {"sha256": True}
    if not description.own_code:
        unsaid["description"] = {"own_code"}
    text = _HEADER.dump_json(Header(FORMAT, description, training), exclude=unsaid).decode()
    return _with_digest(text, _digest(text, tensors))


def read(text: str, source: str) -> Header:
    """Read such JSON. Raises CheckpointError that names the value which no header of ours can have."""
    refused = f"{source} is damaged, or not a checkpoint of ours in format {FORMAT}: its header"
    try:
        header = _HEADER.validate_json(text)
    except ValidationError as error:
        problem = error.errors(include_url=False, include_context=False)[0]
        where = ".".join(str(part) for part in problem["loc"])
        raise CheckpointError(f"{refused}'s {shown(where)[:100] or 'JSON'}: {problem['msg']:.200}") from error
    except DataError as error:
        raise CheckpointError(f"{refused} contradicts itself: {shown(str(error)):.300}") from error
    contradiction = _contradiction(header.description)
    if contradiction:
        raise CheckpointError(f"{refused} contradicts itself: {contradiction}")
    model = header.description.model.without_pretrained()  # the weights are in the file
    return replace(header, description=replace(header.description, model=model))


def check_digest(header: Header, text: str, tensors: Mapping[str, Tensor], source: str) -> None:
    """Raise CheckpointError if the file is not as it was written. Files of older versions have no digest to tell."""
    if header.sha256 is None:
        return
    rest = text.removesuffix(_with_digest("}", header.sha256)) + "}"
    if text != _with_digest(rest, header.sha256) or header.sha256 != _digest(rest, tensors):
        raise CheckpointError(f"{source} is damaged: its content is not what was written (its digest differs)")


def _with_digest(text: str, digest: str) -> str:
    return f'{text[:-1]},"sha256":"{digest}"}}'


def _digest(text: str, tensors: Mapping[str, Tensor]) -> str:
    digest = hashlib.sha256(text.encode())
    for name in sorted(tensors):
        tensor = tensors[name]
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def _contradiction(description: Description) -> str | None:
    """Say in what a description cannot be true of any network that we train."""
    model, hierarchy = description.model, description.hierarchy
    if model.mode_hemis == "ensemble" or not model.hemispheres:
        return "model.mode_hemis: an ensemble has no checkpoint of its own"
    if model.mode_out != "pred":
        return "model.mode_out: a network that gives features is not trained"
    counts = (description.fine_count, description.coarse_count)
    if hierarchy is not None and (hierarchy.fine_count, hierarchy.coarse_count) != counts:
        return (
            f"it counts {counts[0]} fine and {counts[1]} coarse labels, "
            f"and names {hierarchy.fine_count} and {hierarchy.coarse_count}"
        )
    return None
