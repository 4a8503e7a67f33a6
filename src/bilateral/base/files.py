"""Files that are whole or not there, read where they are plain files, in folders that one process writes at a time."""

import errno
import hashlib
import json
import logging
import math
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from difflib import get_close_matches
from io import BufferedReader
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout
from pydantic import FiniteFloat, TypeAdapter, ValidationError

from .errors import BilateralError, OutputError

log = logging.getLogger(__name__)
MOST_TEXT = 2**26
"""Bytes of the largest text file that is read."""
_LEAST_PIECE = 2**16
_NUMBERS = TypeAdapter(dict[str, int | FiniteFloat])


@contextmanager
def writing(place: Path) -> Iterator[None]:
    """Turn the system's refusal to write `place` (full disk, no permission) into an OutputError."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise OutputError(f"no space left to write {place}; free some, then run the same command again") from error
        reason = error.strerror or str(error)
        raise OutputError(f"cannot write {place}: {reason}; choose a folder that can be written") from error


def nearest(path: Path) -> str:
    """Give the end of a sentence on a path that is not there, "; did you mean NAME?"; "" where no name is near.

    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     (Path(folder) / "labels.csv").touch()
    ...     nearest(Path(folder) / "label.csv").endswith("labels.csv?")
    True
    """
    try:
        missing = [each for each in (path, *path.parents) if not os.path.lexists(each)]
        if not missing:
            return ""
        there = [each.name for each in missing[-1].parent.iterdir()]
        near = [each for each in get_close_matches(missing[-1].name, there, n=5) if _are_near(missing[-1].name, each)]
    except (OSError, ValueError):  # a folder that cannot be listed, a name that no file can have
        return ""
    if not near:
        return ""
    folder = missing[-1].with_name(near[0])
    whole = folder / path.relative_to(missing[-1])
    return f"; did you mean {whole if whole.exists() else folder}?"


def _are_near(name: str, other: str) -> bool:
    """Whether two names are so without their suffixes, of which many are alike."""
    return bool(get_close_matches(Path(name).stem, [Path(other).stem]))


@contextmanager
def reading(place: Path, kind: type[BilateralError]) -> Iterator[None]:
    """Turn the system's refusal to read `place` into an error of this kind."""
    try:
        yield
    except OSError as error:
        hint = nearest(place)
        raise kind(f"cannot read {error.filename or place}: {error.strerror or error}{hint}") from error


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """Give a temporary path to write; on success it replaces `path` at once, on failure it is removed.

    Raises OutputError where the disk is full or the folder cannot be written.
    """
    temporary = _temporary(path)
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            yield temporary
            with temporary.open("rb+") as file:
                os.fsync(file.fileno())
            # Some libraries write for the owner alone.
            mask = os.umask(0)
            os.umask(mask)
            temporary.chmod(0o666 & ~mask)
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)


def open_plain(path: Path) -> BufferedReader:
    """Open a plain file to read its bytes.

    Raises OSError, as `open` does, and for what is no plain file: a pipe or a device, which may never end.
    """
    # Without O_NONBLOCK a pipe is waited for until somebody writes into it.
    no_plain_file = OSError(errno.EINVAL, "it is a pipe, a device or a socket, and no plain file", str(path))
    try:
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    except OSError as error:
        if error.errno == errno.ENXIO:  # a socket
            raise no_plain_file from None
        raise
    kind = os.fstat(descriptor).st_mode
    if not stat.S_ISREG(kind):
        os.close(descriptor)
        raise OSError(errno.EISDIR, "it is a folder", str(path)) if stat.S_ISDIR(kind) else no_plain_file
    return os.fdopen(descriptor, "rb")


def read_bytes(path: Path, most: int) -> bytes:
    """Read a plain file of at most `most` bytes. Raises OSError as `open_plain` does, and for a larger file."""
    too_large = OSError(
        errno.EFBIG, f"it has more than {most:,} bytes, the most that are read of such a file", str(path)
    )
    with open_plain(path) as file:
        size = os.fstat(file.fileno()).st_size
        if size > most:
            raise too_large
        # Some files of the system say that they are empty, and are not.
        pieces = [_next_piece(file, max(size, _LEAST_PIECE) + 1, path)]
        while pieces[-1]:
            if sum(map(len, pieces)) > most:
                raise too_large
            pieces.append(_next_piece(file, _LEAST_PIECE, path))
    return b"".join(pieces)


def read_text(path: Path, most: int = MOST_TEXT) -> str:
    """Read a plain file of UTF-8. Raises OSError as `read_bytes` does, UnicodeDecodeError for other bytes."""
    return read_bytes(path, most).decode("utf-8")


def read_json(path: Path, kind: Any, remedy: str, most: int = MOST_TEXT) -> Any:
    """Read a JSON file of at most `most` bytes as a value of `kind`, a type that pydantic knows, strictly.

    Raises OutputError, which says where it is not one, and what to do about it (`remedy`).
    """
    try:
        return TypeAdapter(kind).validate_json(read_bytes(path, most), strict=True)
    except ValidationError as error:
        problem = error.errors(include_input=False, include_url=False)[0]
        reason = ": ".join(filter(None, [".".join(map(str, problem["loc"])), problem["msg"]]))
    except OSError as error:
        reason = error.strerror or str(error)
    raise OutputError(f"cannot read {path}: {reason}; {remedy}")


def read_json_lines(path: Path) -> list[dict[str, float]]:
    """Read a file with a JSON object of numbers in every line; none where there is no such file.

    A last line that was cut off is left out. Raises OutputError for anything else.
    """
    found = []
    try:
        for number, line in enumerate(lines := read_text(path).splitlines(), start=1):
            try:
                found.append(_NUMBERS.validate_json(line, strict=True))
            except ValidationError:
                if number == len(lines):
                    break
                raise OutputError(f"{path} is damaged in line {number}: it holds no numbers by name") from None
    except FileNotFoundError:
        return []
    except (OSError, UnicodeDecodeError) as error:
        raise OutputError(f"cannot read {path}: {getattr(error, 'strerror', None) or error}") from error
    return found


def file_digest(path: Path, kind: str = "sha256") -> str:
    """Digest a plain file's bytes, hexadecimal. Raises OSError as `open_plain` does."""
    with open_plain(path) as file:
        return hashlib.file_digest(file, lambda: hashlib.new(kind, usedforsecurity=False)).hexdigest()


def to_json(values: Any, indent: int | None = None) -> str:
    """Give plain values as JSON, which has no NaN and no infinity: these become null."""
    return json.dumps(_finite(values), indent=indent, allow_nan=False)


def check_place(path: Path) -> None:
    """Raise OutputError unless a file could be written at `path`, in folders that are yet to be made."""
    with writing(path):
        if path.exists() and not path.is_file():
            raise OSError(errno.EINVAL, "it is there, and is no plain file", str(path))
        above = next(folder for folder in path.absolute().parents if folder.exists())
        probe = above / _temporary(path).name
        probe.open("xb").close()
        probe.unlink()


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


def _temporary(path: Path) -> Path:
    return path.with_name(f".{path.name}.{os.getpid()}.partial")


def _next_piece(file: BufferedReader, size: int, path: Path) -> bytes:
    piece: bytes | None = file.read(size)
    if piece is None:
        raise OSError(errno.EINVAL, "it gives its content only as that comes, and is no plain file", str(path))
    return piece


def _finite(values: Any) -> Any:
    if isinstance(values, dict):
        return {key: _finite(value) for key, value in values.items()}
    if isinstance(values, list | tuple):
        return [_finite(value) for value in values]
    return None if isinstance(values, float) and not math.isfinite(values) else values
