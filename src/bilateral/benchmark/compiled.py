"""Training as in `training`, compiled by torch.compile."""

import os
import statistics
import time

from ..base.errors import ConfigError
from ..base.temporary import temporary_folder
from ..runs.config import Config
from ..training.loop import train
from .child import in_child
from .flops import training_flops
from .subject import epoch_seconds, training_job

EPOCHS = 3
KEYS = ("compiled_images_per_s", "compiled_flops_per_s", "compiled_warm_up_s", "compiled_outside_epochs_s")


def measure_compiled(config: Config, count: int, epochs: int = EPOCHS) -> dict[str, float | str | None]:
    """Train the compiled network of a `measured_config` on `count` random images, with nothing compiled before.

    epochs: 2 or more. All of it is in a process of its own.
    Keys: `compiled_images_per_s` and `compiled_flops_per_s` (useful ones) of the median epoch after the first;
    `compiled_warm_up_s`, by how much the first epoch takes longer than that one; `compiled_outside_epochs_s`, all
    that is in no epoch, where validation compiles once more. Where the network does not compile on this machine,
    these are None and `compiled_failure` says why.
    """
    try:
        return {**in_child(_measure, config, count, epochs)}
    except ConfigError as error:
        return {**dict.fromkeys(KEYS), "compiled_failure": str(error)}


def _measure(config: Config, count: int, epochs: int) -> dict[str, float]:
    with temporary_folder() as folder:
        os.environ["TORCHINDUCTOR_CACHE_DIR"] = str(folder / "cache")
        job = training_job(config, count, folder / "run", epochs=epochs, compile=True)
        started = time.perf_counter()
        train(job)
        whole = time.perf_counter() - started
        first, *others = epoch_seconds(folder / "run")
    steady = statistics.median(others)
    return {
        "compiled_images_per_s": count / steady,
        "compiled_flops_per_s": count / steady * training_flops(config.model),
        "compiled_warm_up_s": first - steady,
        "compiled_outside_epochs_s": whole - first - sum(others),
    }
