"""Trainings of several seeds at the same time, each in a worker process."""

import statistics
import tempfile
from pathlib import Path

import torch

from ..experiment.config import Config
from ..experiment.plan import Run
from ..experiment.runner import Runner
from ..experiment.workers import run_all
from .subject import epoch_seconds, random_dataset

EPOCHS, MOST_WORKERS = 3, 4


def measure_at_once(config: Config, count: int, workers: int | None = None) -> dict[str, float]:
    """Train the network of a `measured_config` with as many seeds at once as there are `workers`.

    workers: None for one a thread, 2 to 4. Keys: `at_once_images_per_s`, of all workers together: the sum of the
    speeds in their median epochs; `at_once_trainings_count`. Raises what a training raises.
    """
    workers = workers or min(MOST_WORKERS, max(2, torch.get_num_threads()))
    with tempfile.TemporaryDirectory() as name:
        training = config.training.model_copy(update={"epochs": EPOCHS, "warmup_epochs": 0, "compile": False})
        update = {"save_dir": Path(name), "training": training, "evaluate": False, "protocol": "original"}
        seeds = [Run(config.model_copy(update=update), seed) for seed in range(workers)]
        results = run_all(Runner(random_dataset(count)), seeds, workers)
        seconds = [statistics.median(epoch_seconds(result.folder)) for result in results]
    return {
        "at_once_images_per_s": sum(count / median for median in seconds),
        "at_once_trainings_count": workers,
    }
