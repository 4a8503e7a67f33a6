"""A data set in a file that worker processes map, so that all share one copy in memory, and of which nothing stays.

The workers map one file: shared memory is small in many containers, and a pipe would hold up their start.
"""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import torch

from ..base.files import writing
from ..base.temporary import temporary_folder
from ..data.images import HierarchicalDataset

_DESCRIPTORS = Path(f"/proc/{os.getpid()}/fd")
_NAME = "dataset.pt"


@contextmanager
def mapped(dataset: HierarchicalDataset) -> Iterator[Path]:
    """Give the path of a file with the data set, for `load_mapped` in this machine's processes while the block lasts.

    On Linux the file has no name, so it ends with this process, however that ends; elsewhere it is in a
    `temporary_folder`. Raises OutputError where the temporary folder has no room for it.
    """
    place = Path(tempfile.gettempdir())
    if _DESCRIPTORS.exists():
        with _nameless_file(place) as file:
            _save(dataset, file, place)
            yield _DESCRIPTORS / str(file.fileno())
    else:
        with temporary_folder() as folder:
            with (folder / _NAME).open("wb") as named:
                _save(dataset, named, place)
            yield folder / _NAME


def load_mapped(path: Path) -> HierarchicalDataset:
    """Give the data set in a file of `mapped`, its images shared with all who load it. The file must be our own."""
    return torch.load(path, mmap=True, weights_only=False)


def _nameless_file(place: Path) -> BinaryIO:
    with writing(place):
        return tempfile.TemporaryFile(dir=place)


def _save(dataset: HierarchicalDataset, file: BinaryIO, place: Path) -> None:
    with writing(place):
        try:
            torch.save(dataset, file)
        except RuntimeError as error:  # which PyTorch raises on top of a full disk
            raise error.__context__ or error from None
        file.flush()
