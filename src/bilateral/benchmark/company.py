"""Training in company: several seeds at the same time, and one beside another busy process."""

import os
import statistics
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext

import numpy as np
import torch

from ..base.errors import WorkerError
from ..base.openmp import DEFAULT_SPINS
from ..base.temporary import temporary_folder
from ..runs.config import Config
from ..runs.plan import Run
from ..runs.runner import Runner
from ..runs.workers import run_all
from .child import in_child
from .subject import random_dataset, timings
from .training import timed_epochs

AT_ONCE_EPOCHS, MOST_WORKERS = 6, 4
EPOCHS = 3
# Works until we end it, or have ended.
_BUSY = """
import os, sys, threading
threading.Thread(target=lambda: (sys.stdin.read(), os._exit(0)), daemon=True).start()
while True:
    pass
"""


def measure_at_once(
    config: Config, count: int, workers: int | None = None, epochs: int = AT_ONCE_EPOCHS
) -> dict[str, float]:
    """Train the network of a `measured_config` with as many seeds at once as there are `workers`.

    workers: None for one a thread, 2 to 4. Keys: `at_once_images_per_s`, of all workers together, while all of them
    trained; `at_once_trainings_count`. Raises what a training raises; WorkerError where they never trained together.
    """
    workers = workers or min(MOST_WORKERS, max(2, torch.get_num_threads()))
    with temporary_folder() as folder:
        training = config.training.model_copy(update={"epochs": epochs, "warmup_epochs": 0, "compile": False})
        update = {"save_dir": folder, "training": training, "evaluate": False, "protocol": "original"}
        seeds = [Run(config.model_copy(update=update), seed) for seed in range(workers)]
        results = run_all(Runner(random_dataset(count)), seeds, workers)
        ends = [[line["ended_unix_s"] for line in timings(result.folder)] for result in results]
    return {"at_once_images_per_s": count * epochs_per_s(ends), "at_once_trainings_count": workers}


def epochs_per_s(ends: list[list[float]]) -> float:
    """Give the epochs a second of all trainings together, from the times at which each one's epochs ended.

    Only the time counts in which all of them trained, from the end of their first epochs on. Raises WorkerError where
    there is none.
    """
    first, last = max(times[0] for times in ends), min(times[-1] for times in ends)
    if first >= last:
        raise WorkerError("the trainings did not go on at the same time; measure with more --images")
    done = [np.interp([first, last], times, np.arange(len(times))) for times in ends]
    return float(sum(end - start for start, end in done) / (last - first))


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
                timed = in_child(timed_epochs, config, count, epochs=epochs, compile=False)
                seconds[name, setting] = statistics.median(timed)
    return {
        "beside_images_per_s": count / seconds["beside", "set"],
        "beside_slower_ratio": seconds["beside", "set"] / seconds["alone", "set"],
        "beside_unset_slower_ratio": seconds["beside", "unset"] / seconds["alone", "unset"],
        "beside_over_unset_ratio": seconds["beside", "unset"] / seconds["beside", "set"],
        "beside_alone_over_unset_ratio": seconds["alone", "unset"] / seconds["alone", "set"],
    }


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
