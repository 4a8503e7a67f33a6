"""A real Dask scheduler and real workers, one of which is killed while it trains."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import dask
import dask_jobqueue
import pytest
from distributed import Client

from bilateral.base.errors import ConfigError
from bilateral.data import sources
from bilateral.runs import cluster, cluster_tasks
from bilateral.runs.plan import Run
from bilateral.runs.runner import Runner, RunResult
from bilateral.runs.scheduling import ExecutorLostError, Failure, run_plan, with_parents
from bilateral.runs.workers import local
from conftest import QUICK, TINY_EXPERIMENT, system_runs

from .dask_clusters import config, dask_cluster, epochs_done, lines_of, open_at, plan_of, when_training

pytestmark = pytest.mark.slow


def test_a_worker_that_is_killed_loses_nothing_and_the_results_are_those_of_one_process(tmp_path):
    dataset = sources.load(config(tmp_path).data)
    results = {}
    for name in ("here", "cluster"):
        chosen = config(tmp_path / name, epochs=40)
        runner, runs = Runner(dataset), list(system_runs(chosen, 0).values())
        plan = with_parents(runner, runs)
        runner.check(runs)
        if name == "here":
            done = run_plan(runner, plan, local(runner, runs, 1))
        else:
            with dask_cluster(tmp_path) as found:
                executor = cluster.dask(found.address, [])
                done = run_plan(runner, plan, killing(executor, tmp_path / name, found.workers))
                assert [worker.poll() is None for worker in found.workers] == [False, True]
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
        pytest.raises(ConfigError, match=r"no Dask scheduler at 'tcp://127\.0\.0\.1:1': "),
        executor.open({}),
    ):
        pass


def test_a_demand_that_no_worker_meets_is_an_error_and_one_that_is_met_gives_threads(tmp_path):
    chosen = config(tmp_path, epochs=1)
    runner, run = Runner(sources.load(chosen.data)), system_runs(chosen, 0)["left"]
    with dask_cluster(tmp_path, 1, "--resources", "CPU=2") as found:
        address = found.address
        with pytest.raises(ConfigError, match=r"no worker at .* has GPU=1"), cluster.dask(address, ["GPU=1"]).open({}):
            pass
        done = run_plan(runner, with_parents(runner, [run]), cluster.dask(address, ["CPU=2"]))
    (result,) = done.values()
    assert isinstance(result, RunResult)
    assert "threads: 2" in (result.folder / "run.yaml").read_text()


def test_what_stops_the_command_does_not_wait_for_the_cluster(tmp_path):
    chosen = config(tmp_path, epochs=100_000)
    runner, run = Runner(sources.load(chosen.data)), system_runs(chosen, 0)["left"]
    with (
        dask_cluster(tmp_path, 1) as found,
        pytest.raises(KeyboardInterrupt),
        cluster.dask(found.address, []).open({}) as submit,
    ):
        outcome = submit(run)
        while epochs_done(tmp_path) < 2:
            assert not outcome.done(), outcome.exception()
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
    runner, runs = Runner(sources.load(chosen.data)), list(system_runs(chosen, 0).values())
    settings = {"cores": 2, "memory": "2GB", "interface": None, "walltime": "00:10:00"}
    with dask.config.set({f"jobqueue.slurm.{key}": value for key, value in settings.items()}):
        done = run_plan(runner, with_parents(runner, runs), cluster.batch_system("slurm", 1))
    assert all(isinstance(each, RunResult) for each in done.values()) and len(done) == 3
    assert "threads: 2" in (next(tmp_path.rglob("run.yaml"))).read_text()


@pytest.mark.skipif(sys.platform == "win32", reason="a batch system of one shell script")
def test_a_job_that_is_not_accepted_is_told(tmp_path, monkeypatch):
    (tmp_path / "sbatch").write_text("#!/bin/sh\necho no such partition >&2\nexit 1\n")
    (tmp_path / "sbatch").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    _, plan = plan_of(tmp_path)
    settings = {"cores": 2, "memory": "2GB", "interface": None, "walltime": "00:10:00"}
    with dask.config.set({f"jobqueue.slurm.{key}": value for key, value in settings.items()}):
        told = pytest.raises(ConfigError, match=r"--executor slurm: no job could be submitted .*no such partition")
        with told, cluster.batch_system("slurm", 1).open(plan):
            pass


def test_jobs_in_a_queue_are_waited_for_and_spoken_of(tmp_path, monkeypatch, caplog):
    caplog.set_level("INFO")
    monkeypatch.setattr(cluster_tasks, "FIRST_WORKER_S", 0.0)
    monkeypatch.setattr(cluster_tasks, "QUEUE_S", 1.0)
    with dask_cluster(tmp_path, 0) as found, Client(found.address, set_as_default=False) as client:
        tasks = cluster_tasks.Tasks(client, "slurm", {}, queued=True)
        threading.Timer(4, found.add).start()
        tasks.wait_for_worker()
        tasks.close()
    assert "the jobs still wait in the queue of slurm" in caplog.text


@pytest.mark.manual
def test_a_first_worker_is_not_waited_for_for_ever(tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(cluster_tasks, "FIRST_WORKER_S", 2.0)
    told = pytest.raises(ConfigError, match=r"no worker has come to the scheduler at .* in 2 s")
    with dask_cluster(tmp_path, 0) as found, told, open_at(found.address):
        pass
    assert "has no worker yet" in caplog.text


@pytest.mark.manual
def test_workers_that_have_all_gone_are_not_waited_for_for_ever(tmp_path, monkeypatch):
    monkeypatch.setattr(cluster_tasks, "ANOTHER_WORKER_S", 2.0)
    runner, plan = plan_of(tmp_path, epochs=100_000)
    with dask_cluster(tmp_path, 1) as found:
        when_training(tmp_path, found.workers[0].kill)
        with pytest.raises(ExecutorLostError, match=r"no worker has been at .* for 2 s; what is finished stays"):
            run_plan(runner, plan, cluster.dask(found.address, []), keep_going=True)


@pytest.mark.manual
def test_a_worker_that_is_killed_again_and_again(tmp_path, monkeypatch):
    chosen = config(tmp_path, epochs=1)
    (tmp_path / "own_killing.py").write_text(KILLING)
    left = chosen.model.left.model_copy(update={"arch": "own_killing:Killing", "width": 1.0})
    alone = chosen.model.model_copy(update={"left": left, "right": None, "mode_hemis": "unilateral"})
    chosen = chosen.model_copy(update={"model": alone})
    monkeypatch.syspath_prepend(tmp_path)
    runner, run = Runner(sources.load(chosen.data)), Run(chosen, 0)
    plan = with_parents(runner, [run])
    with dask_cluster(tmp_path, 4) as found:
        (failure,) = run_plan(runner, plan, cluster.dask(found.address, []), keep_going=True).values()
    assert isinstance(failure, Failure) and "every worker that tried it was killed" in str(failure)


KILLING = """
import os, signal, torch
from bilateral.models.backbones.base import Backbone

class Killing(Backbone):
    stages, num_features = ("only",), 3

    def __init__(self, config):
        super().__init__()
        self.only = Deadly()

class Deadly(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Linear(3, 3)

    def forward(self, images):
        if images.device.type != "meta" and self.training:
            os.kill(os.getpid(), signal.SIGKILL)
        return self.layer(images.float().mean((2, 3)))
"""


@pytest.mark.manual
def test_a_scheduler_that_dies_in_the_middle_is_told_in_one_sentence(tmp_path):
    with dask_cluster(tmp_path, 1) as found:
        command = [sys.executable, "-m", "bilateral", "experiment", str(QUICK), *TINY_EXPERIMENT, "--executor", "dask"]
        command += ["--address", found.address, "training.epochs=1000", "pretraining.left.epochs=1000"]
        when_training(tmp_path, found.scheduler.kill)
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith(
        f"bilateral: the scheduler at {found.address} has gone, or was restarted; what is"
    )
    assert "Traceback" not in done.stderr and "distributed" not in done.stderr, done.stderr


@pytest.mark.manual
def test_a_scheduler_that_is_silent_in_the_middle_is_given_up(tmp_path, monkeypatch):
    monkeypatch.setattr(cluster_tasks, "SILENCE_S", 3.0)
    runner, plan = plan_of(tmp_path, epochs=100_000)
    with dask_cluster(tmp_path, 1) as found:
        when_training(tmp_path, lambda: os.kill(found.scheduler.pid, signal.SIGSTOP))
        with pytest.raises(ExecutorLostError, match="has not answered for 3 s"):
            run_plan(runner, plan, cluster.dask(found.address, []), keep_going=True)
