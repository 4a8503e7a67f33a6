"""What the machine does without training: products of matrices at its best rate, and opening the data set."""

import time
from collections.abc import Sequence

import torch

from ..data import sources
from ..data.config import DataConfig

SIZES = {"cpu": (1024, 2048), "mps": (2048, 4096), "cuda": (8192, 16384)}


def measure_peak(device: torch.device, seconds: float = 1.0, sizes: Sequence[int] | None = None) -> dict[str, float]:
    """Measure the best rate of products of two square matrices, in float32 and in bfloat16.

    seconds: spent on each precision, in equal parts on each of `sizes` (rows of a matrix; None: by device).
    Keys: `peak_float32_flops_per_s`, `peak_bfloat16_flops_per_s`. A product of n x n matrices counts 2 n^3.
    """
    sizes = sizes or SIZES[device.type]
    return {
        f"peak_{name}_flops_per_s": max(_best_rate(device, dtype, size, seconds / len(sizes)) for size in sizes)
        for name, dtype in (("float32", torch.float32), ("bfloat16", torch.bfloat16))
    }


def _best_rate(device: torch.device, dtype: torch.dtype, size: int, seconds: float) -> float:
    left, right = (torch.randn(size, size, device=device).to(dtype) for _ in range(2))
    product = torch.mm(left, right)
    _wait(device)
    best, ends = float("inf"), time.perf_counter() + seconds
    while best == float("inf") or time.perf_counter() < ends:
        started = time.perf_counter()
        torch.mm(left, right, out=product)
        _wait(device)
        best = min(best, time.perf_counter() - started)
    return 2 * size**3 / best


def _wait(device: torch.device) -> None:
    if device.type != "cpu":
        torch.accelerator.synchronize()


def measure_loading(config: DataConfig) -> dict[str, float]:
    """Load the config's data set once.

    Keys: `loading_s`, `loading_images_per_s`, `loading_bytes` (of its tensors in memory).
    Raises ConfigError or DataError where it cannot be loaded.
    """
    source = sources.SOURCES.get(config.name)
    if source is not None and "num_workers" not in source.reads:
        # The plain baseline reads it, so it may well be set; the source would refuse it.
        config = config.model_copy(update={"num_workers": DataConfig().num_workers})
    started = time.perf_counter()
    splits = sources.load(config).splits().values()
    seconds = time.perf_counter() - started
    tensors = [tensor for split in splits for tensor in (split.images, split.fine, split.coarse)]
    return {
        "loading_s": seconds,
        "loading_images_per_s": sum(len(split) for split in splits) / seconds,
        "loading_bytes": sum(tensor.nbytes for tensor in tensors),
    }
