"""Training beside another busy process, which PyTorch's waiting threads must not hold up."""

import os
import statistics
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext

from ..base.openmp import DEFAULT_SPINS
from ..base.temporary import temporary_folder
from ..runs.config import Config
from ..training.loop import train
from .child import in_child
from .subject import epoch_seconds, training_job

EPOCHS = 3
# Works until we end it, or have ended.
_BUSY = """
import os, sys, threading
threading.Thread(target=lambda: (sys.stdin.read(), os._exit(0)), daemon=True).start()
while True:
    pass
"""


def measure_beside(config: Config, count: int, epochs: int = EPOCHS) -> dict[str, float]:
    """Train the network of a `measured_config` on `count` random images, alone and beside one process that works.

    Both with threads that wait as they are set to, and as PyTorch has them by itself; each training is in a process
    of its own, since PyTorch reads the setting once. Figures are of the median epoch.
    Keys: `beside_images_per_s`; `beside_slower_ratio`, the time of an image there against alone;
    `beside_unset_slower_ratio`, the same where nothing is set; `beside_over_unset_ratio` and
    `beside_alone_over_unset_ratio`, the speeds with the setting against those without. Raises what a training raises.
    """
    seconds = {}
    for name, work in (("alone", nullcontext), ("beside", _busy_process)):
        for setting, environment in (("set", nullcontext), ("unset", _unset)):
            with work(), environment():
                seconds[name, setting] = in_child(_epoch_seconds, config, count, epochs)
    return {
        "beside_images_per_s": count / seconds["beside", "set"],
        "beside_slower_ratio": seconds["beside", "set"] / seconds["alone", "set"],
        "beside_unset_slower_ratio": seconds["beside", "unset"] / seconds["alone", "unset"],
        "beside_over_unset_ratio": seconds["beside", "unset"] / seconds["beside", "set"],
        "beside_alone_over_unset_ratio": seconds["alone", "unset"] / seconds["alone", "set"],
    }


def _epoch_seconds(config: Config, count: int, epochs: int) -> float:
    with temporary_folder() as folder:
        train(training_job(config, count, folder, epochs=epochs, compile=False))
        return statistics.median(epoch_seconds(folder))


@contextmanager
def _busy_process() -> Iterator[None]:
    process = subprocess.Popen([sys.executable, "-c", _BUSY], stdin=subprocess.PIPE)
    try:
        yield
    finally:
        process.kill()
        process.communicate()


@contextmanager
def _unset() -> Iterator[None]:
    """Have processes that are started in the block wait as PyTorch does by itself."""
    before = {name: os.environ.pop(name, None) for name in ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT")}
    os.environ["GOMP_SPINCOUNT"] = str(DEFAULT_SPINS)
    try:
        yield
    finally:
        del os.environ["GOMP_SPINCOUNT"]
        os.environ.update({name: value for name, value in before.items() if value is not None})
