"""A data set in a file that worker processes map, so that all share one copy in memory, and of which nothing stays.

The workers map one file: shared memory is small in many containers, and a pipe would hold up their start.
"""

import os
import re
import stat
import tempfile
import time
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

import torch

from ..base.files import writing
from ..base.temporary import temporary_folder
from ..data import images
from ..data.images import HierarchicalDataset

_DESCRIPTORS = Path(f"/proc/{os.getpid()}/fd")


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


# Clean-up: folders tmpXXXXXXXX with a dataset.pt, which killed processes of earlier versions did not remove.

_FOLDER, _NAME = re.compile(r"tmp[a-z0-9_]{8}"), "dataset.pt"
_OLD_S = 3600.0
_START_OF_PICKLE = 4096


def sweep() -> None:
    """Remove from the temporary folder what earlier versions left there when they were killed, and nothing else.

    That is a folder of this user with a private mode that holds one plain file, `dataset.pt`, which is older than an
    hour, is in no process's memory, and holds our data set. Links are not followed, and nothing is unpickled.
    """
    if os.open not in os.supports_dir_fd:
        return
    with suppress(OSError):
        for folder in Path(tempfile.gettempdir()).iterdir():
            if _FOLDER.fullmatch(folder.name):
                with suppress(OSError, zipfile.BadZipFile):
                    _remove_if_left(folder)


def _remove_if_left(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        # By the descriptor, so that nobody puts another folder in its place meanwhile.
        status = os.fstat(descriptor)
        is_private = status.st_uid == os.geteuid() and stat.S_IMODE(status.st_mode) == 0o700
        if is_private and os.listdir(descriptor) == [_NAME]:  # noqa: PTH208
            flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK
            with os.fdopen(os.open(_NAME, flags, dir_fd=descriptor), "rb") as file:
                left = _is_left(os.fstat(file.fileno())) and not _is_mapped(folder / _NAME) and _holds_dataset(file)
            if left:
                os.unlink(_NAME, dir_fd=descriptor)
                folder.rmdir()
    finally:
        os.close(descriptor)


def _is_left(status: os.stat_result) -> bool:
    own = stat.S_ISREG(status.st_mode) and status.st_uid == os.geteuid() and status.st_nlink == 1
    return own and time.time() - status.st_mtime > _OLD_S


def _is_mapped(path: Path) -> bool:
    """Whether a process that we may look into has the file in its memory, where the system tells."""
    name = f" {path}\n"
    for process in Path("/proc").glob("[0-9]*/maps"):
        with suppress(OSError):
            if name in process.read_text(encoding="utf-8", errors="replace"):
                return True
    return False


def _holds_dataset(file: BinaryIO) -> bool:
    """Whether the file is a zip as PyTorch writes it, whose pickle begins by naming our class of data sets."""
    with zipfile.ZipFile(file) as archive:
        pickles = [entry for entry in archive.infolist() if entry.filename.endswith("/data.pkl")]
        if len(pickles) != 1:
            return False
        with archive.open(pickles[0]) as entry:
            return images.__name__.encode() in entry.read(_START_OF_PICKLE)
