"""Files that are whole or not there, and folders that one process writes at a time."""

import errno
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from .errors import OutputError

log = logging.getLogger(__name__)


@contextmanager
def writing(place: Path) -> Iterator[None]:
    """Turn the system's refusal to write `place` (full disk, no permission) into an OutputError."""
    try:
        yield
    except OSError as error:
        raise _output_error(place, error) from error


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """Give a temporary path to write; on success it replaces `path` at once, on failure it is removed.

    Raises OutputError where the disk is full or the folder cannot be written.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.partial")
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            yield temporary
            with temporary.open("rb+") as file:
                os.fsync(file.fileno())
            # Some libraries write for the owner alone.
            temporary.chmod(0o666 & ~_umask())
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write a whole text file (UTF-8)."""
    with whole_file(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


@contextmanager
def sole_writer(lock_path: Path, of_what: str, wait: bool = False) -> Iterator[None]:
    """Hold a lock that the system frees when the process ends, however it ends.

    If another process holds it: wait until it is free, or raise OutputError at once.
    """
    with writing(lock_path):
        lock_path.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(lock_path)
        try:
            lock.acquire(timeout=0)
        except Timeout:
            if not wait:
                raise OutputError(
                    f"{of_what} is being written by another process (lock {lock_path}); "
                    "wait until it has ended, or choose another save_dir or name"
                ) from None
            log.info("waiting for another process that is at %s", of_what)
            lock.acquire()
    try:
        yield
    finally:
        lock.release()


def remove_partial_files(folder: Path) -> None:
    """Remove what processes that were killed in the middle of `whole_file` left below `folder`."""
    for path in folder.rglob(".*.partial"):
        path.unlink(missing_ok=True)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def _output_error(place: Path, error: OSError) -> OutputError:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return OutputError(f"no space left to write {place}; free some, then run the same command again")
    reason = error.strerror or str(error)
    return OutputError(f"cannot write {place}: {reason}; choose a folder that can be written")
