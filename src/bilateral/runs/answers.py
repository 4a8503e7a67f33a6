"""What a trained network says of pictures of any kind: labels by name, with their probabilities."""

import os
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ..base.errors import CheckpointError, ConfigError, DataError
from ..base.files import nearest
from ..data.folders.class_folders import is_image, list_folder
from ..data.image_files import decode_image, read_image
from ..training.checkpoint import Description

Answer = dict[str, Any]
"""By level: the most probable labels, best first, each with `label`, `id` and `probability`.

`weights`: by side, how much the heads heard of it, where the join weighs the sides.
"""


def images_in(places: Sequence[Path]) -> list[Path]:
    """The image files that are meant: files as they stand, for a folder those in it and in folders below, by name.

    Hidden ones are passed over; a folder that links lead to again is read once. Warns of files that are no images.
    Raises ConfigError where there is no such file, DataError for a folder without an image.
    """
    found: list[Path] = []
    strange: list[Path] = []
    for place in places:
        if not os.path.lexists(place):
            raise ConfigError(f"there is no image {place}{nearest(place)}")
        if not place.is_dir():
            found.append(place)
            continue
        before = len(found)
        _walk(place, found, strange)
        if len(found) == before:
            raise DataError(f"{place}: there is no image in this folder, nor in those below")
    if strange:
        warnings.warn(
            f"not read: {len(strange):,} files whose suffixes are none of images, for example {strange[0]}",
            stacklevel=2,
        )
    return found


def _walk(top: Path, found: list[Path], strange: list[Path]) -> None:
    seen: set[str] = set()
    waiting = [top]
    while waiting:
        place = waiting.pop()
        real = os.path.realpath(place)
        if place is not top and is_image(place):
            found.append(place)
        elif real not in seen:
            seen.add(real)
            entries = list_folder(place)
            strange.extend(entries.others)
            waiting += sorted(entries.folders + entries.images, key=lambda entry: entry.name, reverse=True)


def read_pixels(file: Path, description: Description) -> Tensor:
    """The picture in a file as the network was trained to see it: uint8 (3, H, W).

    Raises ConfigError where there is no such file, DataError for no image, CheckpointError as `side_length` does.
    """
    if not os.path.lexists(file):
        raise ConfigError(f"there is no image {file}{nearest(file)}")
    return _as_pixels(read_image(file, side_length(description)))


def decode_pixels(content: bytes, what: str, description: Description) -> Tensor:
    """The picture in the bytes of an image file, as `read_pixels` gives it. Raises DataError, naming it by `what`."""
    return _as_pixels(decode_image(content, what, side_length(description)))


def side_length(description: Description) -> int:
    """H = W of the images that a network was trained on. Raises CheckpointError if they were not square."""
    height, width = description.image_size
    if height != width:
        raise CheckpointError(f"the network was trained on {height}x{width} images; predict needs square ones")
    return height


@torch.inference_mode()
def predictions(network: nn.Module, pixels: Tensor, description: Description, top: int) -> list[Answer]:
    """What a network says of uint8 pictures (B, 3, H, W): an answer for each, of `top` labels a level."""
    output = network(description.normalise(pixels))
    # A network whose output is features has nothing to say.
    answers = named(output.logits, description, top) or [{} for _ in pixels]
    for number, answer in enumerate(answers if output.weights else ()):
        answer["weights"] = shares(output.weights, number)
    return answers


def shares(weights: Mapping[str, Tensor], number: int = 0) -> dict[str, float]:
    """The weights, (B,) by side, of one picture."""
    return {side: round(values[number].item(), 6) for side, values in weights.items()}


def named(logits: Mapping[str, Tensor], description: Description, top: int) -> list[Answer]:
    """Turn logits by level, (B, classes), into an answer for each of the B >= 1 pictures."""
    answers: list[Answer] = [{} for _ in next(iter(logits.values()), ())]
    for level, values in logits.items():
        names = label_names(description, level)
        probabilities, labels = values.softmax(1).topk(min(top, values.shape[1]))
        for answer, likely, which in zip(answers, probabilities.tolist(), labels.tolist()):
            answer[level] = [entry(names, label, probability) for label, probability in zip(which, likely)]
    return answers


def entry(names: Sequence[str], label: int, probability: float) -> dict[str, Any]:
    """One label of an answer."""
    return {"label": names[label], "id": label, "probability": round(probability, 6)}


def label_names(description: Description, level: str) -> Sequence[str]:
    """The names of a level's labels, or their numbers where the checkpoint does not name them."""
    if description.hierarchy is None:
        count = description.fine_count if level == "fine" else description.coarse_count
        return [str(label) for label in range(count)]
    return description.hierarchy.fine_names if level == "fine" else description.hierarchy.coarse_names


def _as_pixels(image: np.ndarray) -> Tensor:
    return torch.from_numpy(image.transpose(2, 0, 1).copy())
