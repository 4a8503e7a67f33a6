"""Temporary folders of which nothing stays, even if their process is killed."""

import os
import re
import shutil
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from .files import writing

try:
    import fcntl
except ImportError:  # Windows, where a killed process leaves its folder
    fcntl = None  # type: ignore[assignment]

_PREFIX = "bilateral-temporary-"
_NAME = re.compile(rf"{_PREFIX}[a-z0-9_]{{8}}")


@contextmanager
def temporary_folder() -> Iterator[Path]:
    """Give a new folder, which is removed at the end of the block; first remove those that killed processes left.

    Raises OutputError where it cannot be made.
    """
    place = Path(tempfile.gettempdir())
    with writing(place):
        _sweep(place)
        folder, lock = _locked_folder()
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        if lock is not None:
            os.close(lock)


def _locked_folder() -> tuple[Path, int | None]:
    """Make a folder that is locked as long as this process lives, so that nobody sweeps it."""
    while True:
        folder = Path(tempfile.mkdtemp(prefix=_PREFIX))
        if fcntl is None:
            return folder, None
        lock = os.open(folder, os.O_RDONLY)
        with suppress(OSError):  # a file system without locks
            fcntl.flock(lock, fcntl.LOCK_EX)
        if os.fstat(lock).st_nlink:
            return folder, lock
        os.close(lock)  # another process has swept it just before


def _sweep(place: Path) -> None:
    """Remove temporary folders of ours whose process has ended. Links, and what others own, are left alone."""
    if fcntl is None:
        return
    for folder in place.iterdir():
        if not _NAME.fullmatch(folder.name):
            continue
        with suppress(OSError):  # another sweeps it too, or its process lives
            lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
            try:
                status = os.fstat(lock)
                if status.st_uid == os.geteuid() and stat.S_IMODE(status.st_mode) == 0o700:
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    shutil.rmtree(folder)
            finally:
                os.close(lock)
