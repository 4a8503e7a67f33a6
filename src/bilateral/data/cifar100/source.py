"""CIFAR-100 in its official Python form: from a folder, from the tar.gz, or downloaded."""

import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ...base.errors import ConfigError, DataError
from ..config import DataConfig
from ..hierarchy import LabelHierarchy
from ..images import HierarchicalDataset, HierarchicalImages
from . import raw_files, restricted_pickle
from .download import download
from .raw_files import RawFile

URL = "https://www.cs.toronto.edu/~kriz/cifar-100-python.tar.gz"
FINE_COUNT, COARSE_COUNT = 100, 20
MEAN, STD = (0.5071, 0.4867, 0.4408), (0.2675, 0.2565, 0.2761)


class UnofficialDataWarning(UserWarning):
    """A set that has CIFAR-100's form but not its content."""


@dataclass(frozen=True)
class RawSplit:
    """N images in the raw file's order.

    images: uint8 (N, 3, 32, 32); fine, coarse: int64 (N,); filenames: N, not all different in the published set.
    """

    images: Tensor
    fine: Tensor
    coarse: Tensor
    filenames: list[str]


@dataclass(frozen=True)
class RawCifar100:
    """The content of the three raw files. hierarchy: as the labels of all training and test images agree."""

    hierarchy: LabelHierarchy
    train: RawSplit
    test: RawSplit


def load(config: DataConfig) -> HierarchicalDataset:
    """Open CIFAR-100 at `config.root`, after fetching it if it is not there and `config.download` is set.

    Raises ConfigError without a root; DataError for a class with no image, and as `read_raw`.
    """
    if config.root is None:
        raise ConfigError(
            "data.root: the source 'cifar100' needs the folder that holds CIFAR-100, or its tar.gz; "
            "with data.download=true, the folder to fetch it to"
        )
    raw = read_raw(config.root, download_missing=config.download)
    train, test = (HierarchicalImages(split.images, split.fine, split.coarse) for split in (raw.train, raw.test))
    return HierarchicalDataset("cifar100", raw.hierarchy, train, test, MEAN, STD)


def read_raw(root: Path, download_missing: bool = False) -> RawCifar100:
    """Read train, test and meta at `root`: their folder, the tar.gz, or the folder that holds either.

    Warns once (UnofficialDataWarning) where files are well formed but not those published.
    Raises DataError for files that are missing, corrupt, or hold more than data, or cannot be fetched;
    OutputError where a download cannot be written.
    """
    place = raw_files.find(root)
    if place is None and download_missing:
        place = root if root.name.endswith(".tar.gz") else root / raw_files.ARCHIVE
        official = raw_files.OFFICIAL_ARCHIVE
        download(URL, place, official.md5, max_bytes=official.size)
    if place is None:
        raise raw_files.missing(root)
    files = raw_files.read_files(place)
    unpublished = raw_files.unpublished(files)
    raw = _assemble(files)
    if unpublished:
        warnings.warn(
            f"this has the form of CIFAR-100, but is not the published set: {'; '.join(unpublished)}",
            UnofficialDataWarning,
            stacklevel=2,
        )
    return raw


def _assemble(files: dict[str, RawFile]) -> RawCifar100:
    fine_names, coarse_names = _names(files["meta"])
    train, test = _split(files["train"]), _split(files["test"])
    coarse_of_fine = train.coarse.new_full((FINE_COUNT,), -1)
    coarse_of_fine[train.fine] = train.coarse
    if (coarse_of_fine < 0).any():
        absent = int((coarse_of_fine < 0).nonzero()[0])
        raise DataError(f"{files['train'].where} has no image of fine label {fine_names[absent]!r}")
    for split, file in ((train, files["train"]), (test, files["test"])):
        contradicting = (coarse_of_fine[split.fine] != split.coarse).nonzero()
        if len(contradicting):
            index = int(contradicting[0])
            fine, coarse = int(split.fine[index]), int(split.coarse[index])
            raise DataError(
                f"{file.where} gives the fine label {fine_names[fine]!r} the coarse label {coarse_names[coarse]!r} at "
                f"image {index}, but a training image gives it {coarse_names[int(coarse_of_fine[fine])]!r}"
            )
    return RawCifar100(LabelHierarchy(fine_names, coarse_names, tuple(coarse_of_fine.tolist())), train, test)


def _names(file: RawFile) -> tuple[tuple[str, ...], tuple[str, ...]]:
    content = restricted_pickle.load(file.content, file.where)
    fine = _strings(content, "fine_label_names", FINE_COUNT, file.where)
    coarse = _strings(content, "coarse_label_names", COARSE_COUNT, file.where)
    for names in (fine, coarse):
        if len(set(names)) < len(names):
            raise DataError(f"{file.where} gives one name to two labels")
    return tuple(fine), tuple(coarse)


def _split(file: RawFile) -> RawSplit:
    content = restricted_pickle.load(file.content, file.where)
    pixels = _value(content, "data", file.where)
    if not isinstance(pixels, np.ndarray) or pixels.dtype != np.uint8 or pixels.shape[1:] != (3 * 32 * 32,):
        form = f"{pixels.dtype} {pixels.shape}" if isinstance(pixels, np.ndarray) else type(pixels).__name__
        raise DataError(f"{file.where}: data is {form}, not uint8 (N, 3072)")
    images = pixels.reshape(-1, 3, 32, 32)
    return RawSplit(
        torch.from_numpy(images if images.flags.writeable else images.copy()),
        _labels(content, "fine_labels", len(images), FINE_COUNT, file.where),
        _labels(content, "coarse_labels", len(images), COARSE_COUNT, file.where),
        _strings(content, "filenames", len(images), file.where),
    )


def _value(content: dict[str, Any], key: str, where: str) -> Any:
    if key not in content:
        raise DataError(f"{where} has no {key!r}; it has: {', '.join(sorted(content)[:10])[:200] or 'nothing'}")
    return content[key]


def _labels(content: dict[str, Any], key: str, count: int, classes: int, where: str) -> Tensor:
    values = _value(content, key, where)
    whole = isinstance(values, list) and all(type(value) is int for value in values)
    if not whole or len(values) != count:
        raise DataError(f"{where}: {key} is not a list of {count} whole numbers, one for each image")
    outside = [value for value in values if not 0 <= value < classes]
    if outside:
        raise DataError(f"{where}: {key} holds {outside[0]}, which is outside 0 to {classes - 1}")
    return torch.tensor(values, dtype=torch.int64)


def _strings(content: dict[str, Any], key: str, count: int, where: str) -> list[str]:
    values = _value(content, key, where)
    if not isinstance(values, list) or len(values) != count:
        raise DataError(f"{where}: {key} is not a list of {count} names")
    try:
        names = [value.decode() if isinstance(value, bytes) else value for value in values]
    except UnicodeDecodeError:
        raise DataError(f"{where}: {key} holds a name that is not UTF-8") from None
    for name in names:
        if not isinstance(name, str):  # never shown: it may be a list that holds itself
            raise DataError(f"{where}: {key} holds a value of type {type(name).__name__}, and no name")
        # Folders and files are named after these, so none may lead elsewhere.
        plain = name.isprintable() and not set(name) & set("/\\")
        if not plain or name in ("", ".", ".."):
            raise DataError(f"{where}: {key} holds {name!r:.80}, which cannot name a file")
    return names
