"""The memory that a training takes, and whether it grows from epoch to epoch."""

import math
from pathlib import Path

import torch
from torch import nn

from ..base.errors import ConfigError
from ..base.temporary import temporary_folder
from ..runs.config import Config
from ..training.device import choose_device
from ..training.loop import train
from .child import in_child
from .subject import training_job

EPOCHS = 4
_STATUS = Path("/proc/self/status")


def measure_memory(config: Config, count: int, epochs: int = EPOCHS) -> dict[str, float]:
    """Train the network of a `measured_config` on `count` random images in a process of its own.

    epochs: 3 or more. Keys: `memory_peak_bytes` (resident, of the whole process), `memory_growth_bytes` (from the
    end of the second epoch to the end of the last), on CUDA also `memory_device_peak_bytes` (allocated there).
    Raises ConfigError where the system does not tell them (it is not Linux), and what `train` raises.
    """
    if not _STATUS.exists():
        raise ConfigError("memory can be measured on Linux only: this system has no /proc/self/status")
    return in_child(_measure, config, count, epochs)


def _measure(config: Config, count: int, epochs: int) -> dict[str, float]:
    steps_of_two_epochs = 2 * math.ceil(count / config.training.batch_size)
    steps, after_two_epochs = 0, 0

    def watch(network: nn.Module, _: object) -> None:
        nonlocal steps, after_two_epochs
        if network.training:
            if steps == steps_of_two_epochs:
                after_two_epochs = _resident_bytes("VmRSS")
            steps += 1

    with temporary_folder() as folder:
        job = training_job(config, count, folder, epochs=epochs, compile=False)
        job.network.register_forward_pre_hook(watch)
        train(job)
    measured: dict[str, float] = {
        "memory_peak_bytes": _resident_bytes("VmHWM"),
        "memory_growth_bytes": _resident_bytes("VmRSS") - after_two_epochs,
    }
    if choose_device(config.training.device).type == "cuda":
        measured["memory_device_peak_bytes"] = torch.cuda.max_memory_allocated()
    return measured


def _resident_bytes(name: str) -> int:
    """Read a size from the system's status of this process: VmRSS, resident now; VmHWM, the most it ever was."""
    lines = _STATUS.read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{name}:"))
