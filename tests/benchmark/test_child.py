import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from bilateral.base.errors import ConfigError, WorkerError
from bilateral.benchmark.child import in_child
from bilateral.data.config import DataConfig
from bilateral.data.sources import find_loader


def test_a_child_is_another_process_and_hands_back_results_and_errors():
    assert in_child(os.getpid) != os.getpid()
    with pytest.raises(ConfigError, match="unknown source 'imagenet'"):
        in_child(find_loader, DataConfig(name="imagenet"))
    with pytest.raises(WorkerError, match="the system ended"):
        in_child(os._exit, 3)


CHILD = """
import time
from bilateral.benchmark.child import in_child

if __name__ == "__main__":
    in_child(time.sleep, 600)
"""


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="the child is found under /proc")
def test_a_child_ends_with_its_parent(tmp_path):
    (tmp_path / "script.py").write_text(CHILD)
    process = subprocess.Popen([sys.executable, "script.py"], cwd=tmp_path)
    while not (children := [child for child in children_of(process) if b"spawn_main" in command_of(child)]):
        time.sleep(0.01)
    time.sleep(1)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    ends = time.monotonic() + 20
    while any(b"spawn_main" in command_of(child) for child in children):
        assert time.monotonic() < ends
        time.sleep(0.05)


def children_of(process: subprocess.Popen) -> list[str]:
    return Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()


def command_of(process: str) -> bytes:
    try:
        return Path(f"/proc/{process}/cmdline").read_bytes()
    except OSError:
        return b""
