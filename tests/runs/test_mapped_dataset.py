"""The data set for workers leaves nothing."""

import multiprocessing
import os
import resource
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from bilateral.base.errors import OutputError
from bilateral.runs.mapped_dataset import load_mapped, mapped

on_linux = pytest.mark.skipif(sys.platform != "linux", reason="files without a name")


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", None)
    return tmp_path


def test_another_process_maps_the_same_data_set(tiny):
    with mapped(tiny) as path, multiprocessing.get_context("spawn").Pool(1) as pool:
        assert pool.apply(load_mapped, (path,)).fingerprint == tiny.fingerprint == load_mapped(path).fingerprint


@on_linux
def test_it_has_no_name_so_nothing_can_stay(tiny, place):
    with mapped(tiny):
        assert not list(place.iterdir())


@on_linux
def test_a_full_disk_is_told_in_a_sentence(tiny):
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, before[1]))
    try:
        with pytest.raises(OutputError, match="cannot write"), mapped(tiny):
            pass
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.manual
@on_linux
@pytest.mark.parametrize("who", ["the command", "all of them"])
def test_after_a_kill_nothing_stays_and_no_worker_lives(place, tmp_path_factory, who):
    folder = tmp_path_factory.mktemp("work")
    command = [sys.executable, "-m", "bilateral", "system", "workers=2", "training.epochs=100000"]
    command += ["data.shapes.train_per_class=6", "data.shapes.test_per_class=2"]
    command += ["model.left.width=0.0625", "model.right.width=0.0625", "pretraining.left.epochs=1000"]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, cwd=folder, stdout=log, stderr=log, start_new_session=True)
    while not list(folder.rglob("metrics.jsonl")):
        assert process.poll() is None, (folder / "log").read_text()
        time.sleep(0.05)
    if who == "the command":
        os.kill(process.pid, signal.SIGKILL)
    else:
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    ends = time.monotonic() + 20
    while alive(process.pid):
        assert time.monotonic() < ends
        time.sleep(0.05)
    # PyTorch's own cache, one a user.
    assert [path for path in place.iterdir() if not path.name.startswith("torchinductor_")] == []


def alive(session: int) -> list[str]:
    """The processes of a session that have not ended."""
    found = []
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = status.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[3]) == session and fields[0] != "Z":
            found.append(status.parent.name)
    return found
