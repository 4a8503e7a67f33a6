"""The processor that a network runs on, and the precision that it computes in."""

import ctypes
import platform
from contextlib import AbstractContextManager, nullcontext

import torch

from ..base.errors import ConfigError
from ..base.memory import available_bytes


def choose_device(name: str) -> torch.device:
    """Give the device of a name; `auto` takes CUDA, then MPS, then the CPU. Raises ConfigError if it is not there."""
    there = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if name == "auto":
        name = next(kind for kind in there if there[kind])
    if not there[name]:
        usable = ", ".join(kind for kind in there if there[kind])
        raise ConfigError(f"training.device: this machine has no {name}; usable here: auto, {usable}")
    return torch.device(name)


def resolve_precision(precision: str, device: torch.device) -> str:
    """Give float32 or bfloat16; `auto` takes bfloat16 where `device` computes it natively."""
    if precision != "auto":
        return precision
    native = {
        "cuda": lambda: torch.cuda.get_device_capability(device)[0] >= 8,
        "cpu": lambda: torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported(),
    }
    return "bfloat16" if native.get(device.type, lambda: False)() else "float32"


def autocast(precision: str, device: torch.device) -> AbstractContextManager[object]:
    """Give the context in which a network's forward pass computes in `precision`."""
    return torch.autocast(device.type, torch.bfloat16) if precision == "bfloat16" else nullcontext()


def prepare(device: torch.device, precision: str) -> None:
    """Set this process up for training: quick in bfloat16, repeatable and really of 32 bits in float32."""
    keep_freed_memory()
    if device.type == "cuda":
        torch.backends.cudnn.benchmark = precision == "bfloat16"
        torch.backends.cudnn.deterministic = precision == "float32"
        torch.backends.cudnn.allow_tf32 = precision != "float32"


def free_bytes(device: torch.device) -> float:
    """Give the bytes that this process may still take on a device; infinity where the system does not say."""
    free = torch.cuda.mem_get_info(device)[0] if device.type == "cuda" else available_bytes()
    return float("inf") if free is None else free


def seed_everything(device: torch.device, seed: int) -> None:
    """Seed what draws numbers on `device` and on the CPU.

    `torch.manual_seed` seeds every kind of device, and for those that are not there notes where it was called from,
    which takes as long as a step of the heads.
    """
    torch.default_generator.manual_seed(seed)
    if device.type == "cuda":
        torch.cuda.manual_seed(seed)
    elif device.type == "mps":
        torch.mps.manual_seed(seed)


def keep_freed_memory() -> None:
    """Have the C library keep what PyTorch frees on the CPU, to be used again, where that library is glibc.

    By default it hands every large block back to the system and gets it anew, page by page, in every step: a fifth of
    a training step's time (docs/performance.md). The process then holds its peak until it ends.
    """
    if platform.libc_ver()[0] != "glibc":
        return
    library = ctypes.CDLL(None)
    library.mallopt(_M_MMAP_MAX, 0)
    library.mallopt(_M_TRIM_THRESHOLD, 2**31 - 1)


# Of glibc's malloc.h.
_M_MMAP_MAX, _M_TRIM_THRESHOLD = -4, -1


def describe_machine(device: torch.device) -> dict[str, str | int]:
    """Say what computed a result, for its record."""
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else platform.processor() or platform.machine()
    return {
        "device": f"{device.type} ({name})",
        "threads": torch.get_num_threads(),
        "torch": str(torch.__version__),
        "python": platform.python_version(),
        "system": platform.system(),
    }
