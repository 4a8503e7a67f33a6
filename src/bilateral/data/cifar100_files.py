"""CIFAR-100's raw files, found and brought into memory with their sums: from a folder or from the tar.gz."""

import gzip
import hashlib
import tarfile
import zlib
from collections.abc import Iterator
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import IO, NamedTuple

from ..base.errors import DataError

FOLDER, ARCHIVE = "cifar-100-python", "cifar-100-python.tar.gz"
_PIECE = 2**20
_MAX_BYTES = 2**30  # of a file, and of all that an archive unpacks to; the official one has 187 MB


class Official(NamedTuple):
    """Size and sum of a file as published."""

    size: int
    md5: str


OFFICIAL_FILES = {
    "train": Official(155_249_918, "16019d7e3df5f24257cddd939b257f8d"),
    "test": Official(31_049_707, "f0ef6b0ae62326f3e7ffdfab6717acfc"),
    "meta": Official(1_473, "7973b15100ade9c7d40fb424638fde48"),
}
OFFICIAL_ARCHIVE = Official(169_001_437, "eb9058c3a382ffc7106e4002c42a8d85")


class RawFile(NamedTuple):
    """One raw file in memory: its path, or its archive and name there, and its sum, once that is computed."""

    name: str
    where: str
    content: bytearray
    md5: Future[str]


def find(root: Path) -> Path | None:
    """Give the folder that has all three files, else the archive, else None.

    root: either of the two, or the folder that holds one. Raises DataError where it cannot be looked into.
    """
    with _reading(root):
        if root.is_file():
            return root
        for folder in (root, root / FOLDER):
            if not _absent(folder):
                return folder
        return root / ARCHIVE if (root / ARCHIVE).is_file() else None


def missing(root: Path) -> DataError:
    """Say what was looked for where `find` found nothing."""
    remedy = "name the place that holds it, or let data.name=cifar100 data.download=true fetch it there"
    for folder in (root, root / FOLDER):
        if len(absent := _absent(folder)) < len(OFFICIAL_FILES):
            return DataError(f"{folder} holds only a part of CIFAR-100: {', '.join(absent)} missing; {remedy}")
    return DataError(
        f"no CIFAR-100 at {root}: looked there for the files {', '.join(OFFICIAL_FILES)}, for a folder {FOLDER} "
        f"that holds them, and for {ARCHIVE}; {remedy}"
    )


def read_files(place: Path) -> dict[str, RawFile]:
    """Read train, test and meta from their folder or from the archive, which is never unpacked to disk.

    Raises DataError for what cannot be read, is truncated or corrupt, or is an archive with unsafe members.
    """
    with _reading(place), ThreadPoolExecutor() as pool:
        return _read_archive(place, pool) if place.is_file() else _read_folder(place, pool)


def unpublished(files: dict[str, RawFile]) -> list[str]:
    """Describe each file whose sum is not the published one.

    Raises DataError where such a file has the published size: it is the published one gone wrong.
    """
    descriptions = []
    for file in files.values():
        md5, official = file.md5.result(), OFFICIAL_FILES[file.name]
        if md5 == official.md5:
            continue
        if len(file.content) == official.size:
            raise _wrong_checksum(file.where, md5, official)
        descriptions.append(f"{file.where} has MD5 {md5}, not {official.md5}")
    return descriptions


def _absent(folder: Path) -> list[str]:
    return [name for name in OFFICIAL_FILES if not (folder / name).is_file()]


def _read_folder(folder: Path, pool: Executor) -> dict[str, RawFile]:
    files = {}
    for name in OFFICIAL_FILES:
        path = folder / name
        with path.open("rb") as stream:
            content = _read_exactly(stream, path.stat().st_size, str(path))
        files[name] = RawFile(name, str(path), content, pool.submit(_md5, content))
    return files


def _read_archive(archive: Path, pool: Executor) -> dict[str, RawFile]:
    official_size = archive.stat().st_size == OFFICIAL_ARCHIVE.size
    md5 = pool.submit(_md5_of_file, archive) if official_size else None
    try:
        return _unpack(archive, pool)
    finally:
        # A wrong sum says more than whatever went wrong while unpacking.
        if md5 is not None and md5.result() != OFFICIAL_ARCHIVE.md5:
            raise _wrong_checksum(str(archive), md5.result(), OFFICIAL_ARCHIVE)


def _unpack(archive: Path, pool: Executor) -> dict[str, RawFile]:
    """Read the archive to its very end, so that gzip's own sum is checked too."""
    files: dict[str, RawFile] = {}
    try:
        with gzip.open(archive) as stream:
            limited = _Limited(stream, archive)
            with tarfile.open(fileobj=limited, mode="r|", bufsize=_PIECE) as tar:  # type: ignore[call-overload]
                for member in tar:
                    name = _raw_name(archive, member)
                    if name in files:
                        raise DataError(f"{archive} holds {name} twice")
                    if name is not None:
                        where = f"{archive}: {member.name}"
                        content = _read_exactly(tar.extractfile(member), member.size, where)
                        files[name] = RawFile(name, where, content, pool.submit(_md5, content))
            while limited.read(_PIECE):
                pass
    except (EOFError, zlib.error, gzip.BadGzipFile, tarfile.TarError) as error:
        raise DataError(f"{archive} is no tar.gz, or is truncated or corrupt: {error}") from error
    for name in OFFICIAL_FILES:
        if name not in files:
            raise DataError(f"{archive} holds no {FOLDER}/{name}")
    return files


class _Limited:
    """A stream that ends in an error where it grows beyond all reason, as a compressed bomb does."""

    def __init__(self, stream: gzip.GzipFile, where: Path) -> None:
        self._stream, self._where, self._left = stream, where, _MAX_BYTES

    def read(self, size: int) -> bytes:
        chunk = self._stream.read(size)
        self._left -= len(chunk)
        if self._left < 0:
            raise DataError(f"{self._where} unpacks to more than {_MAX_BYTES} bytes, which CIFAR-100 never does")
        return chunk


def _raw_name(archive: Path, member: tarfile.TarInfo) -> str | None:
    """Name the raw file that a member is; None for any other harmless one."""
    path = PurePosixPath(member.name)
    if path.is_absolute() or ".." in path.parts:
        raise DataError(f"{archive} is refused: its member {member.name!r} points outside the archive")
    if not (member.isreg() or member.isdir()) or member.issparse():
        raise DataError(f"{archive} is refused: its member {member.name!r} is neither a plain file nor a folder")
    _check_size(member.size, f"{archive}: {member.name!r}")
    is_raw = member.isreg() and path.name in OFFICIAL_FILES and path.parts[:-1] in ((), (FOLDER,))
    return path.name if is_raw else None


def _read_exactly(stream: IO[bytes] | None, size: int, where: str) -> bytearray:
    """Read `size` bytes in pieces, so that a stream that copies never copies all of them."""
    _check_size(size, where)
    content = bytearray(size)
    rest = memoryview(content)
    while rest and stream is not None:
        count = stream.readinto(rest[:_PIECE])  # type: ignore[attr-defined]
        if not count:
            raise DataError(f"{where} is truncated: {len(rest)} of its {size} bytes are missing")
        rest = rest[count:]
    return content


def _check_size(size: int, where: str) -> None:
    if not 0 <= size <= _MAX_BYTES:
        raise DataError(f"{where} claims a size of {size} bytes; allowed are at most {_MAX_BYTES}")


def _md5(content: bytearray) -> str:
    return hashlib.md5(content, usedforsecurity=False).hexdigest()


def _md5_of_file(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()


def _wrong_checksum(where: str, md5: str, official: Official) -> DataError:
    return DataError(
        f"{where} has the published size but the wrong checksum, MD5 {md5} in place of {official.md5}: it is "
        "corrupt, fetch it again"
    )


@contextmanager
def _reading(place: Path) -> Iterator[None]:
    """Turn the system's refusal to read `place` into a DataError."""
    try:
        yield
    except OSError as error:
        raise DataError(f"cannot read {place}: {error.strerror or error}") from error
