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

import dask
import dask_jobqueue
import pytest
from distributed import Client

from bilateral.base.errors import ConfigError
from bilateral.data import sources
from bilateral.runs import cluster
from bilateral.runs.config import Config, check_config
from bilateral.runs.runner import Runner, RunResult
from bilateral.runs.scheduling import run_plan, with_parents
from bilateral.runs.system import plan_system
from bilateral.runs.workers import local

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
        with Client(scheduler_file=str(file)) as client:
            client.wait_for_workers(workers, timeout=60)
        yield json.loads(file.read_text())["address"], processes[1:]
    finally:
        for process in processes:
            process.kill()
            process.wait()


def epochs_done(folder: Path) -> int:
    return sum(map(lines_of, folder.rglob("metrics.jsonl")))


def lines_of(path: Path) -> int:
    return len(path.read_text().splitlines())


def test_a_worker_that_is_killed_loses_nothing_and_the_results_are_those_of_one_process(tmp_path):
    dataset = sources.load(config(tmp_path).data)
    results = {}
    for name in ("here", "cluster"):
        chosen = config(tmp_path / name, epochs=40)
        runner, runs = Runner(dataset), list(plan_system(chosen, 0).values())
        plan = with_parents(runner, runs)
        runner.check(runs)
        if name == "here":
            done = run_plan(runner, plan, local(runner, runs, 1))
        else:
            with dask_cluster(tmp_path) as (address, workers):
                executor = cluster.dask(address, [])
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
    """The same executor, but for one of two workers that dies after some epochs, when both are at work."""

    def kill() -> None:
        while len(begun := list(folder.rglob("metrics.jsonl"))) < 2 or min(map(lines_of, begun)) < 2:
            time.sleep(0.01)
        os.kill(workers[0].pid, signal.SIGKILL)

    threading.Thread(target=kill, daemon=True).start()
    return executor


@pytest.mark.parametrize("demand", ["GPU", "=3", "CPU=inf", "CPU=-1", "CPU=0.5", "GPU=many"])
def test_a_demand_that_makes_no_sense(demand):
    with pytest.raises(ConfigError, match=rf"--demand: '{demand}' must have the form NAME=NUMBER"):
        cluster.dask("tcp://127.0.0.1:1", [demand])


def test_a_scheduler_that_is_not_there(monkeypatch):
    monkeypatch.setattr(cluster, "PATIENCE_S", 1.0)
    executor = cluster.dask("tcp://127.0.0.1:1", [])
    with (
        pytest.raises(ConfigError, match=r"no Dask scheduler at 'tcp://127\.0\.0\.1:1': Conn.*refused"),
        executor.open({}),
    ):
        pass


def test_a_demand_that_no_worker_meets_is_an_error_and_one_that_is_met_gives_threads(tmp_path):
    chosen = config(tmp_path, epochs=1)
    runner, run = Runner(sources.load(chosen.data)), plan_system(chosen, 0)["left"]
    with dask_cluster(tmp_path, 1, "--resources", "CPU=2") as (address, _):
        with pytest.raises(ConfigError, match=r"no worker at .* has GPU=1"), cluster.dask(address, ["GPU=1"]).open({}):
            pass
        done = run_plan(runner, with_parents(runner, [run]), cluster.dask(address, ["CPU=2"]))
    (result,) = done.values()
    assert isinstance(result, RunResult)
    assert "threads: 2" in (result.folder / "run.yaml").read_text()


def test_what_stops_the_command_does_not_wait_for_the_cluster(tmp_path):
    chosen = config(tmp_path, epochs=100_000)
    runner, run = Runner(sources.load(chosen.data)), plan_system(chosen, 0)["left"]
    with (
        dask_cluster(tmp_path, 1) as (address, _),
        pytest.raises(KeyboardInterrupt),
        cluster.dask(address, []).open({}) as submit,
    ):
        submit(run)
        while epochs_done(tmp_path) < 2:
            time.sleep(0.05)
        raise KeyboardInterrupt
    assert runner.find(run) is None


def test_a_batch_system_needs_its_settings_and_its_programs(monkeypatch):
    for name in cluster.QUEUES.values():
        assert hasattr(dask_jobqueue, name), name
    with pytest.raises(ConfigError, match=r"--executor slurm: jobqueue\.slurm\.cores is not set.*jobqueue\.yaml"):
        cluster.batch_system("slurm", 2)
    settings = dask.config.set({"jobqueue.slurm.cores": 4, "jobqueue.slurm.memory": "8GB"})
    with settings, pytest.raises(ConfigError, match="this machine has no sbatch"):
        cluster.batch_system("slurm", 2)


@pytest.mark.skipif(sys.platform == "win32", reason="a batch system of one shell script")
def test_jobs_of_a_batch_system_do_the_runs(tmp_path, monkeypatch):
    """SLURM as two shell scripts: sbatch starts the job at once on this machine, scancel ends it."""
    # The script is copied, as SLURM does: who submitted it removes it at once.
    sbatch = '#!/bin/sh\ncp "$1" job.sh\nnohup sh job.sh > job.log 2>&1 &\necho "Submitted batch job $!"\n'
    for name, text in (("sbatch", sbatch), ("scancel", '#!/bin/sh\nkill "$@"\n')):
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.chdir(tmp_path)
    chosen = config(tmp_path / "runs", epochs=1)
    runner, runs = Runner(sources.load(chosen.data)), list(plan_system(chosen, 0).values())
    settings = {"cores": 2, "memory": "2GB", "interface": None, "walltime": "00:10:00"}
    with dask.config.set({f"jobqueue.slurm.{key}": value for key, value in settings.items()}):
        done = run_plan(runner, with_parents(runner, runs), cluster.batch_system("slurm", 1))
    assert all(isinstance(each, RunResult) for each in done.values()) and len(done) == 3
    assert "threads: 2" in (next(tmp_path.rglob("run.yaml"))).read_text()
