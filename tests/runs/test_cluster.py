"""A real Dask scheduler and real workers, one of which is killed while it trains."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import dask
import dask_jobqueue
import pytest
from distributed import Client

from bilateral import __version__
from bilateral.base.errors import ConfigError, WorkerError
from bilateral.data import sources
from bilateral.runs import cluster, cluster_tasks
from bilateral.runs.config import Config, check_config
from bilateral.runs.plan import Run
from bilateral.runs.runner import Runner, RunResult
from bilateral.runs.scheduling import ExecutorLostError, Failure, run_plan, with_parents
from bilateral.runs.workers import local
from conftest import QUICK, TINY_EXPERIMENT, system_runs

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


PACKAGE = Path(__file__).parents[2] / "src" / "bilateral"


def other_code(folder: Path) -> dict[str, str]:
    """The environment of a worker with a copy of the package in which one line that computes differs."""
    shutil.copytree(PACKAGE, folder / "other" / "bilateral", ignore=shutil.ignore_patterns("__pycache__"))
    file = folder / "other" / "bilateral" / "models" / "heads.py"
    file.write_text(file.read_text().replace("dropout)", "dropout / 2)"))
    return {"PYTHONPATH": str(folder / "other")}


def no_code(folder: Path) -> dict[str, str]:
    """The environment of a worker whose `bilateral` is no package of ours, however ours is installed."""
    (folder / "none").mkdir()
    (folder / "none" / "bilateral.py").write_text("raise ImportError('no bilateral here')\n")
    return {"PYTHONPATH": str(folder / "none")}


STRANGE = {
    "other code": (
        other_code,
        rf"has other code: bilateral {__version__} \(\w+ .*there, bilateral {__version__} \(\w+",
    ),
    "no code": (no_code, r"cannot import this version of bilateral .*; install it"),
}
strangers = pytest.mark.parametrize(("environment", "told"), STRANGE.values(), ids=STRANGE)


def plan_of(folder: Path, epochs: int = 1):
    chosen = config(folder / "runs", epochs)
    runner, run = Runner(sources.load(chosen.data)), system_runs(chosen, 0)["left"]
    return runner, with_parents(runner, [run])


@strangers
def test_a_worker_that_is_a_stranger_is_refused_at_the_start(tmp_path, environment, told):
    runner, plan = plan_of(tmp_path)
    with dask_cluster(tmp_path, 1) as found:
        found.add(**environment(tmp_path))
        found.wait(2)
        with pytest.raises(ConfigError, match=rf"the worker at tcp://127\.0\.0\.1:\d+ {told}"):
            run_plan(runner, plan, cluster.dask(found.address, []), keep_going=True)
    assert not list(tmp_path.rglob("run.yaml"))


@pytest.mark.slow
@strangers
def test_a_stranger_that_comes_later_does_nothing_and_others_do_its_runs(tmp_path, caplog, environment, told):
    _, plan = plan_of(tmp_path)
    (run,) = plan.values()
    with dask_cluster(tmp_path, 1) as found, cluster.dask(found.address, []).open(plan) as submit:
        found.add(**environment(tmp_path))
        found.wait(2)
        # The good one is gone: the run comes to the stranger, and there is nobody else.
        found.workers[0].terminate()
        found.workers[0].wait()
        with pytest.raises(WorkerError, match=told):
            submit(run).result(timeout=60)
        found.add()
        found.wait(2)
        assert isinstance(submit(run).result(timeout=60), RunResult)
    assert "it is not used" in caplog.text


@pytest.mark.slow
def test_a_worker_that_sees_other_data_is_refused(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "own_data.py").write_text(
        "import os\nfrom bilateral.data import shapes\nfrom bilateral.data.config import ShapesConfig\n"
        "def load(config):\n    shapes_config = ShapesConfig(train_per_class=int(os.environ.get('PER_CLASS', 6)), "
        "test_per_class=2)\n    return shapes.load(config.model_copy(update={'shapes': shapes_config}))\n"
    )
    chosen = config(tmp_path / "runs", epochs=1)
    data = chosen.data.model_copy(update={"name": "own_data:load"})
    chosen = chosen.model_copy(update={"data": data})
    runner, run = Runner(sources.load(data)), system_runs(chosen, 0)["left"]
    plan = with_parents(runner, [run])
    with dask_cluster(tmp_path, 0) as found:
        other = found.add(PER_CLASS="7")
        found.wait(1)
        with pytest.raises(
            ConfigError, match=r"the worker at .* sees other data for own_data:load: the run is \w+ there"
        ):
            run_plan(runner, plan, cluster.dask(found.address, []))
        other.terminate()
        other.wait()
        found.add()
        found.wait(1)
        (done,) = run_plan(runner, plan, cluster.dask(found.address, [])).values()
        assert isinstance(done, RunResult)


def server(act) -> str:
    """Listen on a port, and do something with whoever comes."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        while True:
            connection, _ = listener.accept()
            threading.Thread(target=act, args=(connection,), daemon=True).start()

    threading.Thread(target=serve, daemon=True).start()
    return f"tcp://127.0.0.1:{listener.getsockname()[1]}"


def drip(connection: socket.socket) -> None:
    with connection, suppress(OSError):
        while True:
            connection.send(b"\1")
            time.sleep(0.2)


def web(connection: socket.socket) -> None:
    with connection:
        connection.recv(1)
        connection.sendall(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")


SERVERS = {"silent": lambda _: time.sleep(600), "drip": drip, "web": web, "closing": socket.socket.close}


@pytest.mark.parametrize("kind", SERVERS)
def test_what_is_no_scheduler_is_told_in_time(monkeypatch, kind):
    monkeypatch.setattr(cluster, "PATIENCE_S", 1.0)
    begun = time.monotonic()
    with pytest.raises(ConfigError, match="there is no Dask scheduler at 'tcp:"), open_at(server(SERVERS[kind])):
        pass
    assert time.monotonic() - begun < 10


@pytest.mark.parametrize(
    "address",
    ["", "nonsense", "127.0.0.1", "tcp://", "ftp://127.0.0.1:1", "inproc://1/2", "tls://127.0.0.1:1", "a\nb:1"],
)
def test_what_is_no_address(monkeypatch, address):
    monkeypatch.setattr(cluster, "PATIENCE_S", 1.0)
    with pytest.raises(ConfigError, match="there is no Dask scheduler at"), open_at(address):
        pass


def test_the_address_of_a_worker_is_not_that_of_a_scheduler(tmp_path):
    with dask_cluster(tmp_path, 1) as found, Client(found.address, set_as_default=False) as client:
        (worker,) = client.scheduler_info()["workers"]
        with pytest.raises(ConfigError, match="it is a Worker"), open_at(worker):
            pass


def open_at(address: str):
    return cluster.dask(address, []).open({})


@pytest.mark.slow
def test_a_command_ends_with_its_sentence(tmp_path):
    command = [sys.executable, "-m", "bilateral", "experiment", str(QUICK), *TINY_EXPERIMENT, "--executor", "dask"]
    command += ["--address", server(SERVERS["silent"])]
    begun = time.monotonic()
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2 and "no Dask scheduler" in done.stderr and "Traceback" not in done.stderr
    assert time.monotonic() - begun < 40  # of which 20 for the server


@pytest.mark.slow
def test_a_first_worker_is_not_waited_for_for_ever(tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(cluster_tasks, "FIRST_WORKER_S", 2.0)
    told = pytest.raises(ConfigError, match=r"no worker has come to the scheduler at .* in 2 s")
    with dask_cluster(tmp_path, 0) as found, told, open_at(found.address):
        pass
    assert "has no worker yet" in caplog.text


@pytest.mark.slow
def test_workers_that_have_all_gone_are_not_waited_for_for_ever(tmp_path, monkeypatch):
    monkeypatch.setattr(cluster_tasks, "ANOTHER_WORKER_S", 2.0)
    runner, plan = plan_of(tmp_path, epochs=100_000)
    with dask_cluster(tmp_path, 1) as found:
        when_training(tmp_path, found.workers[0].kill)
        with pytest.raises(ExecutorLostError, match=r"no worker has been at .* for 2 s; what is finished stays"):
            run_plan(runner, plan, cluster.dask(found.address, []), keep_going=True)


@pytest.mark.slow
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

class Killing(torch.nn.Module):
    num_features = 3

    def __init__(self, config):
        super().__init__()
        self.layer = torch.nn.Linear(3, 3)

    def forward(self, images):
        if images.device.type != "meta" and self.training:
            os.kill(os.getpid(), signal.SIGKILL)
        return self.layer(images.float().mean((2, 3)))
"""


@pytest.mark.slow
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


@pytest.mark.slow
def test_a_scheduler_that_is_silent_in_the_middle_is_given_up(tmp_path, monkeypatch):
    monkeypatch.setattr(cluster_tasks, "SILENCE_S", 3.0)
    runner, plan = plan_of(tmp_path, epochs=100_000)
    with dask_cluster(tmp_path, 1) as found:
        when_training(tmp_path, lambda: os.kill(found.scheduler.pid, signal.SIGSTOP))
        with pytest.raises(ExecutorLostError, match="has not answered for 3 s"):
            run_plan(runner, plan, cluster.dask(found.address, []), keep_going=True)


def when_training(folder: Path, act) -> None:
    """Do something as soon as the first run has done an epoch."""

    def watch() -> None:
        while epochs_done(folder) < 1:
            time.sleep(0.05)
        act()

    threading.Thread(target=watch, daemon=True).start()
