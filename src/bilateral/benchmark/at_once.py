"""Trainings of several seeds at the same time, each in a worker process."""

import json
from pathlib import Path

import numpy as np
import torch

from ..base.errors import WorkerError
from ..base.temporary import temporary_folder
from ..runs.config import Config
from ..runs.plan import Run
from ..runs.runner import Runner
from ..runs.workers import run_all
from .subject import random_dataset

EPOCHS, MOST_WORKERS = 6, 4


def measure_at_once(config: Config, count: int, workers: int | None = None, epochs: int = EPOCHS) -> dict[str, float]:
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
        ends = [_epoch_ends(result.folder) for result in results]
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


def _epoch_ends(folder: Path) -> list[float]:
    lines = (folder / "timing.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line)["ended_unix_s"] for line in lines]
