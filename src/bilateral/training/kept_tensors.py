"""Tensors that are filled once and read in any order: in memory, or past a budget in a file."""

import mmap
import os
import tempfile
from pathlib import Path

import torch
from torch import Tensor

from ..base.files import writing


class KeptTensors:
    """A table of `count` rows, filled in order, with columns by name; `append` of the first rows says which.

    Up to `budget_bytes` it lies on the device of what is appended, else in a nameless file in `folder`, mapped into
    memory: the system pages it in and out, and frees it when the process ends, however it ends. `size`: in bytes.
    """

    def __init__(self, count: int, budget_bytes: float, folder: Path) -> None:
        self.count, self.budget_bytes, self.folder = count, budget_bytes, folder
        self.columns: dict[str, Tensor] = {}
        self.in_memory, self.size = True, 0
        self._filled = 0

    def append(self, rows: dict[str, Tensor]) -> None:
        """Fill the next rows: by name, (n, D). Raises OutputError where the file does not fit on the disk."""
        if not self.columns:
            self.size = sum(self.count * values[0].numel() * values.element_size() for values in rows.values())
            self.in_memory = self.size <= self.budget_bytes
            for name, values in rows.items():
                shape = (self.count, *values.shape[1:])
                self.columns[name] = values.new_empty(shape) if self.in_memory else self._map(shape, values.dtype)
        start, self._filled = self._filled, self._filled + len(next(iter(rows.values())))
        for name, values in rows.items():
            self.columns[name][start : self._filled] = values

    def rows(self, indices: Tensor) -> dict[str, Tensor]:
        """Rows at `indices` (B,) by column, float32 (B, D), on the device of the indices."""
        chosen = indices.to(next(iter(self.columns.values())).device)
        return {name: values[chosen].to(indices.device).float() for name, values in self.columns.items()}

    def _map(self, shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
        numel = torch.Size(shape).numel()
        size = numel * dtype.itemsize
        with writing(self.folder), tempfile.TemporaryFile(dir=self.folder) as file:
            if hasattr(os, "posix_fallocate"):  # a full disk shows here, not as a crash when a page is written
                os.posix_fallocate(file.fileno(), 0, size)
            else:
                file.truncate(size)
            return torch.frombuffer(mmap.mmap(file.fileno(), size), dtype=dtype, count=numel).view(shape)
