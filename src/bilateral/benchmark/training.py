"""Trainings by the loop that every command uses: as it is, compiled, of the last stage's heads alone; its memory."""

import math
import os
import statistics
import time
from pathlib import Path
from typing import Any

import torch
from torch import nn

from ..base.errors import ConfigError
from ..base.temporary import temporary_folder
from ..runs.config import Config
from ..training.device import choose_device
from ..training.loop import train
from .subject import epoch_seconds, training_flops, training_job

EPOCHS = 3
HEAD_EPOCHS, LIVE_EPOCHS = 20, 3
MEMORY_EPOCHS = 4
_STATUS = Path("/proc/self/status")
COMPILED_KEYS = ("compiled_images_per_s", "compiled_flops_per_s", "compiled_warm_up_s", "compiled_outside_epochs_s")


def measure_training(config: Config, count: int, epochs: int = EPOCHS) -> dict[str, float]:
    """Train the network of a `measured_config` on `count` random images.

    Keys: `training_median_images_per_s` and `training_median_flops_per_s` (useful ones) of the median epoch,
    `training_fastest_images_per_s` and `training_fastest_flops_per_s` of the fastest, `training_per_image_flops`.
    Raises what `train` raises.
    """
    # Not compiled, whatever the config says: that is a measurement of its own.
    seconds = timed_epochs(config, count, epochs=epochs, compile=False)
    flops = training_flops(config.model)
    median, fastest = count / statistics.median(seconds), count / min(seconds)
    return {
        "training_median_images_per_s": median,
        "training_fastest_images_per_s": fastest,
        "training_per_image_flops": flops,
        "training_median_flops_per_s": median * flops,
        "training_fastest_flops_per_s": fastest * flops,
    }


def timed_epochs(config: Config, count: int, **settings: Any) -> list[float]:
    """Train on `count` random images, and give how long each epoch took. settings: in place of the config's."""
    with temporary_folder() as folder:
        train(training_job(config, count, folder, **settings))
        return epoch_seconds(folder)


def measure_compiled(config: Config, count: int, epochs: int = EPOCHS) -> dict[str, float | str | None]:
    """Train the compiled network of a `measured_config` on `count` random images, with nothing compiled before.

    epochs: 2 or more. To be called in a process of its own (`in_child`).
    Keys: `compiled_images_per_s` and `compiled_flops_per_s` (useful ones) of the median epoch after the first;
    `compiled_warm_up_s`, by how much the first epoch takes longer than that one; `compiled_outside_epochs_s`, all
    that is in no epoch, where validation compiles once more. Where the network does not compile on this machine,
    these are None and `compiled_failure` says why.
    """
    with temporary_folder() as folder:
        os.environ["TORCHINDUCTOR_CACHE_DIR"] = str(folder / "cache")
        job = training_job(config, count, folder / "run", epochs=epochs, compile=True)
        started = time.perf_counter()
        try:
            train(job)
        except ConfigError as error:
            return {**dict.fromkeys(COMPILED_KEYS), "compiled_failure": str(error)}
        whole = time.perf_counter() - started
        first, *others = epoch_seconds(folder / "run")
    steady = statistics.median(others)
    return {
        "compiled_images_per_s": count / steady,
        "compiled_flops_per_s": count / steady * training_flops(config.model),
        "compiled_warm_up_s": first - steady,
        "compiled_outside_epochs_s": whole - first - sum(others),
    }


def measure_head_stage(
    config: Config, count: int, epochs: int = HEAD_EPOCHS, live_epochs: int = LIVE_EPOCHS
) -> dict[str, float]:
    """Train the heads for `epochs` epochs on `count` random images, on kept features and with live hemispheres.

    The hemispheres are those of a `measured_config`; one of a single hemisphere has it on both sides. Kept: all of
    it is timed, with the features of `feature_views` views (1 where the config says 0), validation and checkpoints.
    Live: the median of `live_epochs` epochs but the first, without validation and checkpoints, is timed, and
    multiplied by `epochs`; so the ratio is a little too low rather than too high.
    Keys: `head_stage_kept_s`, `head_stage_live_epoch_s`, `head_stage_live_s` (of all epochs, extrapolated),
    `head_stage_live_over_kept_ratio`. Raises what `train` raises.
    """
    frozen = with_frozen_hemispheres(config)
    # Live comes first, so that what a process does once (imports, first calls) is in none of the figures.
    live_epoch = statistics.median(timed_epochs(frozen, count, epochs=live_epochs, feature_views=0)[1:])
    with temporary_folder() as folder:
        job = training_job(frozen, count, folder, epochs=epochs, feature_views=config.training.feature_views or 1)
        started = time.perf_counter()
        train(job)
        kept = time.perf_counter() - started
    return {
        "head_stage_kept_s": kept,
        "head_stage_live_epoch_s": live_epoch,
        "head_stage_live_s": live_epoch * epochs,
        "head_stage_live_over_kept_ratio": live_epoch * epochs / kept,
    }


def with_frozen_hemispheres(config: Config) -> Config:
    """Give the config of the bilateral network whose hemispheres are the config's, both frozen."""
    given = config.model.hemispheres
    only = next(iter(given.values()))
    left, right = (given.get(side, only).model_copy(update={"freeze": True}) for side in ("left", "right"))
    update = {"mode_hemis": "bilateral", "mode_heads": "both", "left": left, "right": right}
    return config.model_copy(update={"model": config.model.model_copy(update=update)})


def measure_memory(config: Config, count: int, epochs: int = MEMORY_EPOCHS) -> dict[str, float]:
    """Train the network of a `measured_config` on `count` random images.

    epochs: 3 or more. To be called in a process of its own (`in_child`).
    Keys: `memory_peak_bytes` (resident, of the whole process), `memory_growth_bytes` (from the end of the second epoch
    to the end of the last), on CUDA also `memory_device_peak_bytes` (allocated there).
    Raises ConfigError where the system does not tell them (it is not Linux), and what `train` raises.
    """
    if not _STATUS.exists():
        raise ConfigError("memory can be measured on Linux only: this system has no /proc/self/status")
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
