"""A real Dask scheduler and real workers, one of which is killed while it trains."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from bilateral.base.errors import ConfigError
from bilateral.data import sources
from bilateral.experiment import cluster
from bilateral.experiment.config import Config, check_config
from bilateral.experiment.runner import Runner, RunResult
from bilateral.experiment.scheduling import run_plan, with_parents
from bilateral.experiment.system import plan_system
from bilateral.experiment.workers import local

DATA = {"name": "shapes", "shapes": {"train_per_class": 6, "test_per_class": 2}}
SMALL = {"left": {"width": 0.0625}, "right": {"width": 0.0625}}


def config(folder: Path, epochs: int = 4) -> Config:
    training = {"epochs": epochs, "batch_size": 64, "precision": "float32", "device": "cpu"}
    values = {"save_dir": str(folder), "data": DATA, "model": SMALL, "training": training}
    return check_config(values, "test")


@contextmanager
def dask_cluster(folder: Path, workers: int = 2, *options: str) -> Iterator[tuple[str, list[subprocess.Popen[bytes]]]]:
    """Start a scheduler and workers as processes, as one would on several machines."""
    file = folder / "scheduler.json"
    log = (folder / "dask.log").open("wb")

    def start(*arguments: str) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "dask", *arguments]
        return subprocess.Popen(command, cwd=folder, stdout=log, stderr=log, start_new_session=True)

    processes = [
        start("scheduler", "--host", "127.0.0.1", "--port", "0", "--no-dashboard", "--scheduler-file", str(file))
    ]
    try:
        while not file.exists():
            assert processes[0].poll() is None, (folder / "dask.log").read_text()
            time.sleep(0.05)
        usual = ("--scheduler-file", str(file), "--nthreads", "1", "--no-nanny", "--no-dashboard")
        processes += [start("worker", *usual, *options) for _ in range(workers)]
        yield address_in(file), processes[1:]
    finally:
        for process in processes:
            process.kill()
            process.wait()


def address_in(file: Path) -> str:
    return json.loads(file.read_text())["address"]


def epochs_done(folder: Path) -> int:
    return sum(len(path.read_text().splitlines()) for path in folder.rglob("metrics.jsonl"))


def test_a_worker_that_is_killed_loses_nothing_and_the_results_are_those_of_one_process(tmp_path):
    dataset = sources.load(config(tmp_path).data)
    results = {}
    for name, epochs in (("here", 12), ("cluster", 12)):
        chosen = config(tmp_path / name, epochs)
        runner, runs = Runner(dataset), list(plan_system(chosen, 0).values())
        plan = with_parents(runner, runs)
        runner.check(runs)
        if name == "here":
            done = run_plan(runner, plan, local(runner, runs, 1))
        else:
            with dask_cluster(tmp_path) as (address, workers):
                executor = cluster.dask(address, None, 0, [])
                done = run_plan(runner, plan, killing(executor, tmp_path / name, workers))
                assert [worker.poll() is None for worker in workers] == [False, True]
        assert all(isinstance(each, RunResult) for each in done.values())
        results[name] = [done[runner.identity(run)].metrics for run in runs]
    assert results["here"] == results["cluster"]
    # Each start of a training notes how long its preparation took: one of the three went on, and not from nothing.
    lines = [json.loads(line) for path in (tmp_path / "cluster").rglob("timing.jsonl") for line in path.open()]
    starts = [line["epoch"] for line in lines if "preparation_s" in line]
    assert len(starts) == 4 and max(starts) > 1


def killing(executor, folder: Path, workers: list[subprocess.Popen[bytes]]):
    """The same executor, but for one worker that dies after some epochs."""

    def kill() -> None:
        while epochs_done(folder) < 4:
            time.sleep(0.01)
        os.kill(workers[0].pid, signal.SIGKILL)

    threading.Thread(target=kill, daemon=True).start()
    return executor


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("tcp://127.0.0.1:1", None, 0, ["GPU"]), "--demand: 'GPU' must have the form NAME=NUMBER"),
        ((None, None, 0, []), "--address"),
    ],
)
def test_settings_that_make_no_sense(arguments, message):
    with pytest.raises(ConfigError, match=message):
        cluster.dask(*arguments)


def test_a_scheduler_that_is_not_there(monkeypatch):
    monkeypatch.setattr(cluster, "PATIENCE", "1s")
    with (
        pytest.raises(ConfigError, match=r"no Dask scheduler at tcp://127\.0\.0\.1:1"),
        cluster.dask("tcp://127.0.0.1:1", None, 0, [])({}),
    ):
        pass


def test_a_batch_system_s_jobs_are_workers_of_ours(monkeypatch):
    import dask
    import dask_jobqueue

    with (
        pytest.raises(ConfigError, match=r"--executor slurm: jobqueue.slurm.cores is not set.*jobqueue\.yaml"),
        cluster.dask(None, "slurm", 2, [])({}),
    ):
        pass
    for name in cluster.QUEUES.values():
        assert hasattr(dask_jobqueue, name), name
    settings = {"cores": 4, "processes": 1, "memory": "8GB", "walltime": "01:00:00", "queue": "gpu"}
    with dask.config.set({f"jobqueue.slurm.{key}": value for key, value in settings.items()}):
        started = []
        monkeypatch.setattr("dask_jobqueue.SLURMCluster.scale", lambda self, jobs: started.append(jobs))
        script = cluster._start("slurm", 3).job_script()
    assert started == [3] and "#SBATCH -p gpu" in script and "distributed.cli.dask_worker" in script
