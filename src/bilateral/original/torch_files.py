"""Files of torch.save, read as data.

Nothing that a file names is called, and a tensor is read only when it is asked for. None is larger than what the file
holds of it, nothing is unpacked: torch.load takes as much memory as a file says.
"""

import mmap
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import torch
from torch import Tensor

from ..base.errors import CheckpointError
from ..base.files import open_plain, reading
from ..base.pickles import ForeignObjectError
from ..base.text import shown
from .torch_pickle import StoredTensor, TensorPickle

_ZIP_START = b"PK\x03\x04"
_LEGACY_NUMBER = b"\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19"
_MOST_DIRECTORY, _MOST_PICKLE = 2**22, 2**23
"""Bytes of the longest zip directory, and of all that is no tensor, that are read."""
_MOST_DIMENSIONS = 8


class _Span(NamedTuple):
    """Where bytes lie in a file, and their CRC-32, which torch.save may be told to leave at 0."""

    start: int
    length: int
    checksum: int = 0


class TorchFile:
    """An open file. content: what was saved, with `StoredTensor` for tensors. size: in bytes."""

    def __init__(self, path: Path, file: BinaryIO) -> None:
        self.path = path
        # Written to memory of its own where it is written to; which nothing does, but torch wants to be able to.
        self._map = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY)
        self.size = len(self._map)
        zipped = self._map[:4] == _ZIP_START
        self.content, self._spans = self._read_zip(file) if zipped else self._read_legacy()

    def tensor(self, stored: StoredTensor) -> Tensor:
        """Read a tensor, independent of the file. Raises CheckpointError if the file does not hold all of it."""
        storage = stored.storage
        if storage.dtype is None or storage.key not in self._spans:
            raise self._damaged()
        span = self._spans[storage.key]
        held: memoryview | bytearray = self._bytes(span)
        self._spans[storage.key] = span._replace(checksum=0)  # one comparison is enough
        if not len(stored.shape) == len(stored.stride) <= _MOST_DIMENSIONS or stored.numel == 0:
            raise self._damaged()
        last = stored.offset + sum((n - 1) * stride for n, stride in zip(stored.shape, stored.stride))
        if len(held) != storage.count * storage.itemsize or max(last + 1, stored.numel) > storage.count:
            raise self._damaged()
        if span.start % storage.itemsize:
            held = bytearray(held)
        return (
            torch.frombuffer(held, dtype=storage.dtype).as_strided(stored.shape, stored.stride, stored.offset).clone()
        )

    def _read_zip(self, file: BinaryIO) -> tuple[Any, dict[str, _Span]]:
        end = zipfile._EndRecData(file)  # type: ignore[attr-defined]
        if end is None or end[zipfile._ECD_SIZE] > _MOST_DIRECTORY:  # type: ignore[attr-defined]
            raise self._damaged()
        with zipfile.ZipFile(file) as archive:
            members = archive.infolist()
            if any(
                each.compress_type != zipfile.ZIP_STORED or each.file_size != each.compress_size for each in members
            ):
                raise CheckpointError(f"{self.path} is packed, which no checkpoint of torch.save is")
            if sum(each.file_size for each in members) > self.size:
                raise self._damaged()
            (folder,) = (
                name for name, _, rest in (each.filename.partition("/") for each in members) if rest == "data.pkl"
            )
            spans = {}
            for each in members:
                archive.open(each).close()
                # That has read the member's own header, and nothing beyond.
                spans[each.filename.removeprefix(f"{folder}/")] = _Span(file.tell(), each.file_size, each.CRC)
        pickled = spans["data.pkl"]
        if pickled.length > _MOST_PICKLE or ("byteorder" in spans and self._bytes(spans["byteorder"]) != b"little"):
            raise self._damaged()
        content = TensorPickle(bytes(self._bytes(pickled))).load()
        return content, {name.removeprefix("data/"): span for name, span in spans.items() if name.startswith("data/")}

    def _read_legacy(self) -> tuple[Any, dict[str, _Span]]:
        """Read the format without zip: pickles of its number, its version, the machine, content, and storages' keys."""
        pickled = TensorPickle(self._map[: 2 * _MOST_PICKLE])
        _number, _version, machine, content, keys = (pickled.load() for _ in range(5))
        position = pickled.position
        if not machine["little_endian"] or position > _MOST_PICKLE:
            raise self._damaged()
        spans: dict[str, _Span] = {}
        for key in keys:
            storage = pickled.storages[key]
            length = storage.itemsize * int.from_bytes(self._map[position : position + 8], "little")
            spans[key] = _Span(position + 8, length)
            position += 8 + length
            if position > self.size or not storage.itemsize:
                raise self._damaged()
        return content, spans

    def _bytes(self, span: _Span) -> memoryview:
        held = memoryview(self._map)[span.start : span.start + span.length]
        if len(held) != span.length or (span.checksum and zlib.crc32(held) != span.checksum):
            raise self._damaged()
        return held

    def _damaged(self) -> CheckpointError:
        return CheckpointError(f"{self.path} is damaged, cut off, or no checkpoint of torch.save")


@contextmanager
def open_torch_file(path: Path) -> Iterator[TorchFile]:
    """Open a file for the time of a block. Raises CheckpointError if it cannot be read or holds more than data."""
    with reading(path, CheckpointError):
        file = open_plain(path)
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
