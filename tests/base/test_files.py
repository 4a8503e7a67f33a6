import errno
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from bilateral.base.errors import OutputError
from bilateral.base.files import (
    nearest,
    read_bytes,
    read_json_lines,
    sole_writer,
    to_json,
    whole_file,
    write_text,
    writing,
)


def test_the_nearest_name_in_the_first_folder_that_is_there(tmp_path):
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs/labels.csv").touch()
    assert nearest(tmp_path / "runs/label.csv") == f"; did you mean {tmp_path}/runs/labels.csv?"
    assert nearest(tmp_path / "run/labels.csv") == f"; did you mean {tmp_path}/runs/labels.csv?"
    assert nearest(tmp_path / "run/of/mine") == f"; did you mean {tmp_path}/runs?"
    (tmp_path / "runs/e.yaml").touch()
    for path in ("runs/labels.csv", "runs/nope.yaml", "other.png", "\0", "x" * 300):
        assert nearest(tmp_path / path) == ""


def test_a_whole_file_replaces_the_old_one(tmp_path):
    path = tmp_path / "new folder" / "result.yaml"
    for text in ("first", "second: ä\n"):
        write_text(path, text)
        assert path.read_text(encoding="utf-8") == text
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("failure", [ValueError, KeyboardInterrupt])
def test_a_failed_write_leaves_the_old_file(tmp_path, failure):
    path = tmp_path / "result.yaml"
    write_text(path, "old")
    with pytest.raises(failure), whole_file(path) as temporary:
        temporary.write_text("half")
        raise failure
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_the_file_appears_only_when_it_is_whole(tmp_path):
    path = tmp_path / "result.yaml"
    with whole_file(path) as temporary:
        temporary.write_text("all of it")
        assert not path.exists()
    assert path.read_text() == "all of it"


@pytest.mark.parametrize(
    ("number", "message"),
    [
        (errno.ENOSPC, "no space left to write result.yaml"),
        (errno.EDQUOT, "no space left to write result.yaml"),
        (errno.EACCES, "cannot write result.yaml: Permission denied; choose a folder that can be written"),
        (errno.EROFS, "cannot write result.yaml: Read-only file system"),
    ],
)
def test_the_systems_refusals(number, message):
    with pytest.raises(OutputError, match=message), writing(Path("result.yaml")):
        raise OSError(number, os.strerror(number))


def test_a_file_in_place_of_the_folder(tmp_path):
    (tmp_path / "runs").write_text("")
    with pytest.raises(OutputError, match=r"cannot write .*result\.yaml"):
        write_text(tmp_path / "runs" / "result.yaml", "text")


def test_errors_that_are_not_the_systems_pass_through():
    with pytest.raises(ValueError, match="mine"), writing(Path("result.yaml")):
        raise ValueError("mine")


def test_one_writer_at_a_time(tmp_path):
    lock = tmp_path / "run" / ".lock"
    with sole_writer(lock, "the run"), pytest.raises(OutputError, match="the run is being written by another"):
        sole_writer(lock, "the run").__enter__()
    with sole_writer(lock, "the run"):
        pass


def test_a_lock_is_free_after_an_error(tmp_path):
    with pytest.raises(ValueError, match="mine"), sole_writer(tmp_path / ".lock", "the run"):
        raise ValueError("mine")
    with sole_writer(tmp_path / ".lock", "the run"):
        pass


def test_another_process_holds_the_lock_until_it_is_killed(tmp_path):
    lock = tmp_path / ".lock"
    holder = (
        "import sys, time\nfrom pathlib import Path\nfrom bilateral.base.files import sole_writer\n"
        "with sole_writer(Path(sys.argv[1]), 'the run'):\n    print('held', flush=True)\n    time.sleep(60)\n"
    )
    with subprocess.Popen([sys.executable, "-c", holder, str(lock)], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "held\n"
        with pytest.raises(OutputError, match="the run is being written by another"):
            sole_writer(lock, "the run").__enter__()
        process.send_signal(signal.SIGKILL)
        process.wait()
    with sole_writer(lock, "the run"):
        pass


def test_only_plain_files_are_read(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to("/dev/zero")
    for path in (tmp_path, tmp_path / "pipe", tmp_path / "link"):
        with pytest.raises(OSError, match="it is a"):
            read_bytes(path, 10)
    (tmp_path / "file").write_bytes(b"12345")
    assert read_bytes(tmp_path / "file", 5) == b"12345"
    with pytest.raises(OSError, match="more than 4 bytes"):
        read_bytes(tmp_path / "file", 4)


def test_json_has_no_nan(tmp_path):
    values = {"a": float("nan"), "b": [1.5, float("inf"), (float("-inf"), True)], "c": "NaN"}
    assert json.loads(to_json(values)) == {"a": None, "b": [1.5, None, [None, True]], "c": "NaN"}


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("", []),
        ('{"epoch": 1}\n', [{"epoch": 1}]),
        ('{"epoch": 1}\n{"epo', [{"epoch": 1}]),
        ('{"epoch": 1}\n{"epoch": NaN}', [{"epoch": 1}]),
        ('{"epo\n{"epoch": 2}\n', "damaged in line 1"),
        ('[1]\n{"epoch": 2}\n', "damaged in line 1: it holds no numbers by name"),
        ('{"epoch": NaN}\n{"epoch": 2}\n', "damaged in line 1"),
    ],
)
def test_lines_of_json(tmp_path, text, found):
    assert read_json_lines(tmp_path / "none") == []
    (tmp_path / "lines").write_text(text)
    if isinstance(found, str):
        with pytest.raises(OutputError, match=found):
            read_json_lines(tmp_path / "lines")
    else:
        assert read_json_lines(tmp_path / "lines") == found
