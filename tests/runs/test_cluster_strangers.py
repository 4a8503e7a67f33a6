"""Workers with other code or other data, and what is no scheduler."""

import shutil
import socket
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path

import pytest
from distributed import Client

from bilateral import __version__
from bilateral.base.errors import ConfigError, WorkerError
from bilateral.data import sources
from bilateral.runs import cluster
from bilateral.runs.runner import Runner, RunResult
from bilateral.runs.scheduling import run_plan, with_parents
from conftest import QUICK, TINY_EXPERIMENT, system_runs

from .dask_clusters import config, dask_cluster, open_at, plan_of

PACKAGE = Path(__file__).parents[2] / "src" / "bilateral"


def other_code(folder: Path) -> dict[str, str]:
    """The environment of a worker with a copy of the package in which one line that computes differs."""
    shutil.copytree(PACKAGE, folder / "other" / "bilateral", ignore=shutil.ignore_patterns("__pycache__"))
    file = folder / "other" / "bilateral" / "models" / "build.py"
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


@pytest.mark.slow
@strangers
def test_a_worker_that_is_a_stranger_is_refused_at_the_start(tmp_path, environment, told):
    runner, plan = plan_of(tmp_path)
    with dask_cluster(tmp_path, 1) as found:
        found.add(**environment(tmp_path))
        found.wait(2)
        with pytest.raises(ConfigError, match=rf"the worker at tcp://127\.0\.0\.1:\d+ {told}"):
            run_plan(runner, plan, cluster.dask(found.address, []), keep_going=True)
    assert not list(tmp_path.rglob("run.yaml"))


@pytest.mark.manual
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


@pytest.mark.manual
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


@pytest.mark.manual
def test_a_command_ends_with_its_sentence(tmp_path):
    command = [sys.executable, "-m", "bilateral", "experiment", str(QUICK), *TINY_EXPERIMENT, "--executor", "dask"]
    command += ["--address", server(SERVERS["silent"])]
    begun = time.monotonic()
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2 and "no Dask scheduler" in done.stderr and "Traceback" not in done.stderr
    assert time.monotonic() - begun < 40  # of which 20 for the server
