"""`kill -9` at any moment, the same command again: everything ends as if nothing had happened, to the last bit."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from conftest import TINY_DATA, workers_of

pytestmark = pytest.mark.slow

COMMAND = [
    *(sys.executable, "-m", "bilateral", "system"),
    *TINY_DATA,
    *("model.left.width=0.0625", "model.right.width=0.0625", "training.epochs=6", "training.batch_size=64"),
    *("pretraining.left.epochs=5", "pretraining.right.epochs=3", "training.feature_views=2"),
]


def start(folder: Path, workers: int = 1) -> subprocess.Popen[bytes]:
    log = (folder / "log").open("ab")
    command = [*COMMAND, "save_dir=runs", f"workers={workers}"]
    return subprocess.Popen(command, cwd=folder, stdout=log, stderr=log, start_new_session=True)


def start_two_workers(folder: Path, epochs: int) -> tuple[subprocess.Popen[bytes], list[int]]:
    """Wait until both workers are there and have done `epochs`; give the command and the workers' process numbers."""
    process = start(folder, workers=2)
    while (len(workers_of(process)) < 2 or epochs_done(folder) < epochs) and process.poll() is None:
        time.sleep(0.01)
    workers = workers_of(process)
    assert len(workers) == 2
    return process, workers


def epochs_done(folder: Path) -> int:
    return sum(len(path.read_text().splitlines()) for path in folder.rglob("metrics.jsonl"))


def what_is_the_same_for_ever(folder: Path) -> dict[str, bytes]:
    """Every checkpoint, metric and result by its run's role, without the times in the names of folders."""
    found = {}
    for path in sorted(folder.rglob("*")):
        if path.suffix == ".safetensors" or path.name in ("metrics.jsonl", "result.yaml"):
            parts = path.relative_to(folder).parts
            found["/".join([parts[1], parts[2].partition("-")[2], *parts[3:]])] = path.read_bytes()
    return found


def test_killed_at_many_moments(tmp_path):
    for name in ("whole", "1", "2"):
        (tmp_path / name).mkdir()
    assert start(tmp_path / "whole").wait(timeout=240) == 0
    whole = what_is_the_same_for_ever(tmp_path / "whole")
    assert len(whole) == 3 * 4
    # In the middle of the left hemisphere, of the right one (or of both, by two workers), and of the joined network;
    # then to the end.
    for workers, moments in ((1, (2, 6, 10)), (2, (3, 10))):
        folder = tmp_path / str(workers)
        for epochs in moments:
            process = start(folder, workers)
            while epochs_done(folder) < epochs and process.poll() is None:
                time.sleep(0.01)
            assert process.poll() is None, "it ended before it could be killed"
            os.kill(process.pid, signal.SIGKILL)
            process.wait()
        assert start(folder, workers).wait(timeout=240) == 0
        killed = what_is_the_same_for_ever(folder)
        assert whole.keys() == killed.keys()
        assert [name for name in whole if whole[name] != killed[name]] == []
        rows = [
            json.loads((tmp_path / name / "runs/quickstart-system/table.json").read_text())["rows"]
            for name in ("whole", str(workers))
        ]
        assert rows[0] == rows[1]
        assert b"finished before, reused" in (folder / "log").read_bytes()
    assert not list(tmp_path.rglob("*.partial"))


def while_workers_start_and_train(test):
    on_linux = pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="the workers are found under /proc")
    return on_linux(pytest.mark.parametrize("epochs", [0, 2])(test))


@while_workers_start_and_train
def test_a_worker_that_is_killed_ends_the_command_and_the_other_workers(tmp_path, epochs):
    process, workers = start_two_workers(tmp_path, epochs)
    os.kill(workers[0], signal.SIGKILL)
    assert process.wait(timeout=60) == 1
    log = (tmp_path / "log").read_text()
    assert "bilateral: a worker process was killed" in log
    assert "Traceback" not in log
    assert not any(Path(f"/proc/{worker}").exists() for worker in workers)
    assert start(tmp_path, workers=2).wait(timeout=240) == 0


@while_workers_start_and_train
def test_ctrl_c_ends_all_without_a_traceback(tmp_path, epochs):
    process, workers = start_two_workers(tmp_path, epochs)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does
    assert process.wait(timeout=60) == 130
    log = (tmp_path / "log").read_text()
    assert "bilateral: interrupted" in log
    assert "Traceback" not in log
    assert not any(Path(f"/proc/{worker}").exists() for worker in workers)
