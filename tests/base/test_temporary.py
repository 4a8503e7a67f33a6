import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from bilateral.base.temporary import temporary_folder

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="folders are not locked on Windows")
HOLD = """
import time
from bilateral.base.temporary import temporary_folder
with temporary_folder() as folder:
    (folder / "file").write_text("x")
    print(folder, flush=True)
    time.sleep(600)
"""


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", None)
    return tmp_path


def holder() -> tuple[subprocess.Popen[str], Path]:
    process = subprocess.Popen([sys.executable, "-c", HOLD], stdout=subprocess.PIPE, text=True)
    assert process.stdout
    return process, Path(process.stdout.readline().strip())


def test_it_is_there_for_the_block_alone(place):
    with temporary_folder() as folder:
        assert folder.parent == place and folder.is_dir()
    with pytest.raises(KeyError), temporary_folder() as folder:
        raise KeyError
    assert not list(place.iterdir())


def test_what_a_killed_process_left_is_swept_and_what_a_living_one_has_is_not(place):
    (killed, left), (alive, used) = holder(), holder()
    try:
        os.kill(killed.pid, signal.SIGKILL)
        killed.communicate()
        assert (left / "file").exists()
        with temporary_folder():
            assert not left.exists() and (used / "file").exists()
    finally:
        alive.kill()
        alive.communicate()


def test_links_and_folders_that_only_look_like_it_stay(place, tmp_path_factory):
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    (elsewhere / "precious").write_text("x")
    elsewhere.chmod(0o700)
    (place / "bilateral-temporary-abcdefgh").symlink_to(elsewhere)
    for name, mode in (("bilateral-temporary-open0000", 0o755), ("bilateral-temporary-notes", 0o700)):
        (place / name).mkdir()
        (place / name).chmod(mode)
    (place / "bilateral-temporary-afile000").write_text("x")
    with temporary_folder():
        pass
    assert len(list(place.iterdir())) == 4 and (elsewhere / "precious").exists()
