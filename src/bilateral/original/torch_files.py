"""Files of torch.save, read as data.

Nothing that a file names is called, and a tensor is read only when it is asked for. None is larger than what the file
holds of it, nothing is unpacked: torch.load takes as much memory as a file says.
"""

import io
import mmap
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import torch
from torch import Tensor

from ..base.errors import CheckpointError
from ..base.files import open_plain
from ..base.text import shown
from .torch_pickle import ForeignObjectError, StoredTensor, TensorPickle

_ZIP_START = b"PK\x03\x04"
_LEGACY_NUMBER = b"\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19"
_MOST_DIRECTORY, _MOST_PICKLE = 2**22, 2**23
"""Bytes of the longest zip directory, and of all that is no tensor, that are read."""
_MOST_DIMENSIONS = 8
_Span = tuple[int, int]
"""Where bytes lie in a file: the first, and their number."""


class TorchFile:
    """An open file. content: what was saved, with `StoredTensor` for tensors. size: in bytes."""

    def __init__(self, path: Path, file: BinaryIO) -> None:
        self.path = path
        # Written to memory of its own where it is written to; which nothing does, but torch wants to be able to.
        self._map = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY)
        self.size = len(self._map)
        zipped = self._map[:4] == _ZIP_START
        self.content, self._spans, self._checksums = self._read_zip(file) if zipped else self._read_legacy()

    def tensor(self, stored: StoredTensor) -> Tensor:
        """Read a tensor, independent of the file. Raises CheckpointError if the file does not hold all of it."""
        storage = stored.storage
        if storage.dtype is None or storage.key not in self._spans:
            raise self._damaged()
        start, length = self._spans[storage.key]
        self._check(self._spans[storage.key], self._checksums.pop(storage.key, 0))
        if not len(stored.shape) == len(stored.stride) <= _MOST_DIMENSIONS or stored.numel == 0:
            raise self._damaged()
        last = stored.offset + sum((n - 1) * stride for n, stride in zip(stored.shape, stored.stride))
        held = length // storage.itemsize
        if not (length == storage.count * storage.itemsize and last < held and stored.numel <= held):
            raise self._damaged()
        if start % storage.itemsize:
            numbers = torch.frombuffer(bytearray(self._map[start : start + length]), dtype=storage.dtype)
        else:
            numbers = torch.frombuffer(self._map, dtype=storage.dtype, count=held, offset=start)
        return numbers.as_strided(stored.shape, stored.stride, stored.offset).clone()

    def _read_zip(self, file: BinaryIO) -> tuple[Any, dict[str, _Span], dict[str, int]]:
        file.seek(0)
        with zipfile.ZipFile(_CarefulFile(file)) as archive:
            members = archive.infolist()
        if any(each.compress_type != zipfile.ZIP_STORED or each.file_size != each.compress_size for each in members):
            raise CheckpointError(f"{self.path} is packed, which no checkpoint of torch.save is")
        if sum(each.file_size for each in members) > self.size:
            raise self._damaged()
        spans = {each.filename: self._span(each) for each in members}
        checksums = {each.filename: each.CRC for each in members}
        (pickled,) = (name for name in spans if name.partition("/")[2] == "data.pkl")
        self._check(spans[pickled], checksums[pickled])
        folder = pickled.removesuffix("data.pkl")
        start, length = spans[pickled]
        order = spans.get(f"{folder}byteorder")
        if length > _MOST_PICKLE or (order is not None and self._map[order[0] : sum(order)] != b"little"):
            raise self._damaged()
        content = TensorPickle(io.BytesIO(self._map[start : start + length])).load()
        stored = f"{folder}data/"
        keys = {name.removeprefix(stored): name for name in spans if name.startswith(stored)}
        return (
            content,
            {key: spans[name] for key, name in keys.items()},
            {key: checksums[name] for key, name in keys.items()},
        )

    def _span(self, member: zipfile.ZipInfo) -> _Span:
        """Where a member's bytes lie: behind a header of its own, whose lengths are not those in the directory."""
        header = member.header_offset
        if header < 0 or self._map[header : header + 4] != _ZIP_START:
            raise self._damaged()
        name, extra = (int.from_bytes(self._map[header + at : header + at + 2], "little") for at in (26, 28))
        start = header + 30 + name + extra
        if start + member.file_size > self.size:
            raise self._damaged()
        return start, member.file_size

    def _read_legacy(self) -> tuple[Any, dict[str, _Span], dict[str, int]]:
        """Read the format without zip: pickles of its number, its version, the machine, content, and storages' keys."""
        stream = io.BytesIO(self._map[: 2 * _MOST_PICKLE])
        _number, _version, machine = (TensorPickle(stream).load() for _ in range(3))
        pickled = TensorPickle(stream)
        content, keys = pickled.load(), TensorPickle(stream).load()
        if not machine["little_endian"] or stream.tell() > _MOST_PICKLE:
            raise self._damaged()
        spans: dict[str, _Span] = {}
        position = stream.tell()
        for key in keys:
            storage = pickled.storages[key]
            length = storage.itemsize * int.from_bytes(self._map[position : position + 8], "little")
            spans[key] = (position + 8, length)
            position += 8 + length
            if position > self.size or not storage.itemsize:
                raise self._damaged()
        return content, spans, {}

    def _check(self, span: _Span, checksum: int) -> None:
        """Compare bytes with their CRC-32, which torch.save may be told to leave at 0."""
        start, length = span
        if checksum and zlib.crc32(memoryview(self._map)[start : start + length]) != checksum:
            raise self._damaged()

    def _damaged(self) -> CheckpointError:
        return CheckpointError(f"{self.path} is damaged, cut off, or no checkpoint of torch.save")


@contextmanager
def open_torch_file(path: Path) -> Iterator[TorchFile]:
    """Open a file for the time of a block. Raises CheckpointError if it cannot be read or holds more than data."""
    try:
        file = open_plain(path)
    except OSError as error:
        raise CheckpointError(f"cannot read {path}: {error.strerror or error}") from error
    with file:
        try:
            opened = TorchFile(path, file)
        except CheckpointError:
            raise
        except ForeignObjectError as error:
            raise CheckpointError(
                f"{path} holds a Python object, {shown(str(error)):.80}, which is not loaded; "
                "a checkpoint may hold tensors, numbers, strings and containers only"
            ) from error
        except Exception as error:
            # A damaged pickle can raise nearly any error.
            raise CheckpointError(f"{path} is damaged, cut off, or no checkpoint of torch.save") from error
        yield opened


def is_torch_file(path: Path) -> bool:
    """Tell by its first bytes whether a file is one of torch.save's. Raises OSError where it cannot be read."""
    with open_plain(path) as file:
        start = file.read(32)
    return start.startswith(_ZIP_START) or _LEGACY_NUMBER in start


class _CarefulFile:
    """A file of which no more is read at once than the longest directory that we read."""

    def __init__(self, file: BinaryIO) -> None:
        self.seek, self.tell, self._file = file.seek, file.tell, file

    def read(self, size: int = -1) -> bytes:
        """Read `size` bytes, or all to the end."""
        content = self._file.read(_MOST_DIRECTORY + 1 if size < 0 else min(size, _MOST_DIRECTORY + 1))
        if len(content) > _MOST_DIRECTORY:
            raise zipfile.BadZipFile("its directory is too long")
        return content
