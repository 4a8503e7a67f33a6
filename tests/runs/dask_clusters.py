"""A Dask scheduler and workers as processes, and runs to give them."""

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from distributed import Client

from bilateral.data import sources
from bilateral.runs import cluster
from bilateral.runs.config import Config, check_config
from bilateral.runs.runner import Runner
from bilateral.runs.scheduling import with_parents
from conftest import system_runs

DATA = {"name": "shapes", "shapes": {"train_per_class": 6, "test_per_class": 2}}
SMALL = {"left": {"width": 0.0625}, "right": {"width": 0.0625}}


def config(folder: Path, epochs: int = 4) -> Config:
    training = {"epochs": epochs, "batch_size": 64, "precision": "float32", "device": "cpu"}
    values = {"save_dir": str(folder), "data": DATA, "model": SMALL, "training": training}
    return check_config(values, "test")


@dataclass
class Cluster:
    """A scheduler and workers as processes, as one would have them on several machines."""

    folder: Path
    scheduler: subprocess.Popen[bytes]
    address: str
    workers: list[subprocess.Popen[bytes]]

    def add(self, *options: str, **environment: str) -> subprocess.Popen[bytes]:
        usual = ("--nthreads", "1", "--no-nanny", "--no-dashboard")
        self.workers.append(start_dask(self.folder, ["worker", self.address, *usual, *options], environment))
        return self.workers[-1]

    def wait(self, workers: int) -> None:
        with Client(self.address, set_as_default=False) as client:
            client.wait_for_workers(workers, timeout=60)


def start_dask(
    folder: Path, arguments: list[str], environment: dict[str, str] | None = None
) -> subprocess.Popen[bytes]:
    with (folder / "dask.log").open("ab") as log:
        return subprocess.Popen(
            [sys.executable, "-m", "dask", *arguments],
            cwd=folder,
            env=os.environ | (environment or {}),
            stdout=log,
            stderr=log,
            start_new_session=True,
        )


@contextmanager
def dask_cluster(folder: Path, workers: int = 2, *options: str) -> Iterator[Cluster]:
    file = folder / "scheduler.json"
    usual = ("--host", "127.0.0.1", "--port", "0", "--no-dashboard", "--scheduler-file", str(file))
    found = Cluster(folder, start_dask(folder, ["scheduler", *usual]), "", [])
    try:
        while not file.exists() or not file.read_text().endswith("}"):
            assert found.scheduler.poll() is None, (folder / "dask.log").read_text()
            time.sleep(0.05)
        found.address = json.loads(file.read_text())["address"]
        for _ in range(workers):
            found.add(*options)
        if workers:
            found.wait(workers)
        yield found
    finally:
        for process in (found.scheduler, *found.workers):
            process.kill()
            process.wait()


def epochs_done(folder: Path) -> int:
    return sum(map(lines_of, folder.rglob("metrics.jsonl")))


def lines_of(path: Path) -> int:
    return len(path.read_text().splitlines())


def plan_of(folder: Path, epochs: int = 1):
    chosen = config(folder / "runs", epochs)
    runner, run = Runner(sources.load(chosen.data)), system_runs(chosen, 0)["left"]
    return runner, with_parents(runner, [run])


def open_at(address: str):
    return cluster.dask(address, []).open({})


def when_training(folder: Path, act) -> None:
    """Do something as soon as the first run has done an epoch."""

    def watch() -> None:
        while epochs_done(folder) < 1:
            time.sleep(0.05)
        act()

    threading.Thread(target=watch, daemon=True).start()
