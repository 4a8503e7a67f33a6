"""CIFAR-100's raw files, found and brought into memory with their sums: from a folder or from the tar.gz."""

import hashlib
import os
import tarfile
import zlib
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from pathlib import Path, PurePosixPath
from typing import IO, Any, BinaryIO, NamedTuple

from ...base.errors import DataError
from ...base.files import file_digest, open_plain, reading

FOLDER, ARCHIVE = "cifar-100-python", "cifar-100-python.tar.gz"
_PIECE = 2**20
_MAX_BYTES = 2**30  # of a file, and of all that an archive unpacks to; the official one has 187 MB
_MOST_HEADERS = 4 * _PIECE  # bytes of an archive beyond its members' content
_MOST_GZIP_MEMBERS = 10_000


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
    with reading(root, DataError):
        if root.exists() and not root.is_dir():
            return root
        for folder in (root, root / FOLDER):
            if not _absent(folder):
                return folder
        return root / ARCHIVE if _stands(root / ARCHIVE) else None


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
    with reading(place, DataError), ThreadPoolExecutor() as pool:
        return _read_folder(place, pool) if place.is_dir() else _read_archive(place, pool)


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
    return [name for name in OFFICIAL_FILES if not _stands(folder / name)]


def _stands(path: Path) -> bool:
    """Whether there is something to be read; that it is no pipe or device is seen when it is opened."""
    return path.exists() and not path.is_dir()


def _read_folder(folder: Path, pool: Executor) -> dict[str, RawFile]:
    files = {}
    left = _MAX_BYTES
    for name in OFFICIAL_FILES:
        path = folder / name
        with open_plain(path) as stream:
            size = os.fstat(stream.fileno()).st_size
            left -= size
            if left < 0:
                raise DataError(f"{path} is too large: CIFAR-100's files never have more than {_MAX_BYTES:,} bytes")
            content = _read_exactly(stream, size, str(path))
        files[name] = RawFile(name, str(path), content, pool.submit(_md5, content))
    return files


def _read_archive(archive: Path, pool: Executor) -> dict[str, RawFile]:
    with open_plain(archive) as file:
        size = os.fstat(file.fileno()).st_size
        if size > _MAX_BYTES:
            raise DataError(f"{archive} has {size:,} bytes, which CIFAR-100's archive never has; fetch it again")
        md5 = pool.submit(file_digest, archive, "md5") if size == OFFICIAL_ARCHIVE.size else None
        try:
            return _unpack(archive, file, pool)
        finally:
            # A wrong sum says more than whatever went wrong while unpacking.
            if md5 is not None and md5.result() != OFFICIAL_ARCHIVE.md5:
                raise _wrong_checksum(str(archive), md5.result(), OFFICIAL_ARCHIVE)


def _unpack(archive: Path, file: BinaryIO, pool: Executor) -> dict[str, RawFile]:
    """Read the archive to its very end, so that gzip's own sum is checked too."""
    files: dict[str, RawFile] = {}
    unpacked = _Unpacked(file, archive)
    try:
        with tarfile.open(fileobj=unpacked, mode="r|", bufsize=_PIECE) as tar:  # type: ignore[call-overload]
            for member in tar:
                name = _raw_name(archive, member)
                if name in files:
                    raise DataError(f"{archive} holds {name} twice")
                unpacked.allow(member.size)
                if name is not None:
                    where = f"{archive}: {member.name}"
                    content = _read_exactly(tar.extractfile(member), member.size, where)
                    files[name] = RawFile(name, where, content, pool.submit(_md5, content))
        unpacked.allowed = _MOST_HEADERS + _MAX_BYTES
        while unpacked.read(_PIECE):
            pass
    except (EOFError, zlib.error, tarfile.TarError, ValueError, ArithmeticError, LookupError) as error:
        reason = " ".join(str(error).split())
        raise DataError(f"{archive} is no tar.gz, or is truncated or corrupt: {reason:.200}") from error
    for name in OFFICIAL_FILES:
        if name not in files:
            raise DataError(f"{archive} holds no {FOLDER}/{name}")
    return files


class _Unpacked:
    """What a gzip file unpacks to, as a stream; an error where that is more than its tar archive says of its members.

    So neither a compressed bomb nor endless headers take memory or time.
    """

    def __init__(self, file: BinaryIO, where: Path) -> None:
        self._file, self._where = file, where
        self._total, self.allowed, self._members = 0, _MOST_HEADERS, 0
        self._gzip: Any = zlib.decompressobj(wbits=31)
        self._packed = b""

    def allow(self, count: int) -> None:
        """Let `count` bytes more be read."""
        self.allowed += count
        if self.allowed > _MOST_HEADERS + _MAX_BYTES:
            raise self._too_much()

    def read(self, size: int) -> bytes:
        """Give up to `size` bytes, none at the end. Raises zlib.error, EOFError or DataError for bad ones."""
        while not self._gzip.eof:
            self._packed = self._packed or self._file.read(_PIECE)
            if not self._packed:
                raise EOFError("it ends in the middle")
            piece = self._gzip.decompress(self._packed, size)
            self._packed = self._gzip.unconsumed_tail
            if self._gzip.eof:
                self._next_member(self._gzip.unused_data)
            if piece:
                self._total += len(piece)
                if self._total > self.allowed:
                    raise self._too_much()
                return piece
        return b""

    def _too_much(self) -> DataError:
        return DataError(
            f"{self._where} is refused: it unpacks to more than {_MAX_BYTES:,} bytes, or to more than its members "
            "have, which CIFAR-100 never does"
        )

    def _next_member(self, rest: bytes) -> None:
        """A gzip file may be several, one after the other, and end in zeros."""
        while not (rest := rest.lstrip(b"\0")):
            if not (rest := self._file.read(_PIECE)):
                return
        self._members += 1
        if self._members > _MOST_GZIP_MEMBERS:
            raise DataError(f"{self._where} is refused: it is made of more than {_MOST_GZIP_MEMBERS:,} gzip files")
        self._gzip, self._packed = zlib.decompressobj(wbits=31), rest


def _raw_name(archive: Path, member: tarfile.TarInfo) -> str | None:
    """Name the raw file that a member is; None for any other harmless one."""
    path = PurePosixPath(member.name)
    if path.is_absolute() or ".." in path.parts:
        raise DataError(f"{archive} is refused: its member {member.name!r} points outside the archive")
    if not (member.isreg() or member.isdir()) or member.issparse():
        raise DataError(f"{archive} is refused: its member {member.name!r} is neither a plain file nor a folder")
    if not 0 <= member.size <= _MAX_BYTES:
        raise DataError(
            f"{archive}: {member.name!r} claims a size of {member.size} bytes; allowed are at most {_MAX_BYTES}"
        )
    is_raw = member.isreg() and path.name in OFFICIAL_FILES and path.parts[:-1] in ((), (FOLDER,))
    return path.name if is_raw else None


def _read_exactly(stream: IO[bytes] | None, size: int, where: str) -> bytearray:
    """Read `size` bytes in pieces, so that a stream that copies never copies all of them."""
    content = bytearray(size)
    rest = memoryview(content)
    while rest and stream is not None:
        count = stream.readinto(rest[:_PIECE])  # type: ignore[attr-defined]
        if not count:
            raise DataError(f"{where} is truncated: {len(rest)} of its {size} bytes are missing")
        rest = rest[count:]
    return content


def _md5(content: bytearray) -> str:
    return hashlib.md5(content, usedforsecurity=False).hexdigest()


def _wrong_checksum(where: str, md5: str, official: Official) -> DataError:
    return DataError(
        f"{where} has the published size but the wrong checksum, MD5 {md5} in place of {official.md5}: it is "
        "corrupt, fetch it again"
    )
