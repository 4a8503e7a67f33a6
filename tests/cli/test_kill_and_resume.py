"""`kill -9` at any moment, the same command again: everything ends as if nothing had happened, to the last bit."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from conftest import TINY_DATA

COMMAND = [
    *(sys.executable, "-m", "bilateral", "system"),
    *TINY_DATA,
    *("model.left.width=0.0625", "model.right.width=0.0625", "training.epochs=6", "training.batch_size=64"),
    *("pretraining.left.epochs=5", "pretraining.right.epochs=3", "training.feature_views=2"),
]


def start(folder: Path) -> subprocess.Popen[bytes]:
    log = (folder / "log").open("ab")
    return subprocess.Popen([*COMMAND, "save_dir=runs"], cwd=folder, stdout=log, stderr=log)


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
    (tmp_path / "whole").mkdir()
    (tmp_path / "killed").mkdir()
    assert start(tmp_path / "whole").wait(timeout=240) == 0
    # In the middle of the left hemisphere, of the right one, and of the joined network; then to the end.
    for epochs in (2, 6, 10):
        process = start(tmp_path / "killed")
        while epochs_done(tmp_path / "killed") < epochs and process.poll() is None:
            time.sleep(0.01)
        assert process.poll() is None, "it ended before it could be killed"
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    assert start(tmp_path / "killed").wait(timeout=240) == 0
    whole, killed = what_is_the_same_for_ever(tmp_path / "whole"), what_is_the_same_for_ever(tmp_path / "killed")
    assert len(whole) == 3 * 4
    assert whole.keys() == killed.keys()
    assert [name for name in whole if whole[name] != killed[name]] == []
    rows = [
        json.loads((tmp_path / name / "runs/quickstart-system/table.json").read_text())["rows"]
        for name in ("whole", "killed")
    ]
    assert rows[0] == rows[1]
    assert b"finished before, reused" in (tmp_path / "killed" / "log").read_bytes()
    assert not list(tmp_path.rglob("*.partial"))
