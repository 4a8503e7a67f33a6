"""What a command shows, and how it ends, as a real process."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from conftest import TINY_DATA, run_bilateral

pytestmark = pytest.mark.slow

TINY = [
    *TINY_DATA,
    "name=tiny",
    "pretraining.left.epochs=1",
    "pretraining.right.epochs=1",
    "training.epochs=1",
    "model.left.width=0.0625",
    "model.right.width=0.0625",
    "workers=1",
]


def end_with(body: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """End a process with `exit_with` around some code."""
    code = f"from bilateral.cli.terminal import exit_with\ndef command():\n    {body}\nexit_with(command)"
    return subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, **environment}, capture_output=True, text=True, check=False
    )


def test_text_of_any_origin_cannot_steer_the_terminal():
    done = end_with(
        r"""import logging, warnings
    from bilateral.cli.terminal import echo
    from bilateral.base.errors import DataError
    echo("class \x1b[31mred\x07")
    logging.getLogger("bilateral").info("note \x1b]0;title\x07")
    warnings.warn("warned \x9b31m \u202e")
    raise DataError("class \x1b[2J has no image")"""
    )
    assert done.returncode == 2 and not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202e]", done.stdout + done.stderr)
    assert r"class \x1b[31mred\x07" in done.stdout
    assert r"note \x1b]0;title\x07" in done.stderr and r"warned \x9b31m \u202e" in done.stderr
    assert r"bilateral: class \x1b[2J has no image" in done.stderr


def test_what_nobody_thought_of_is_one_sentence_and_a_file():
    done = end_with("{}['no such\\nkey']")
    assert done.returncode == 3 and "Traceback" not in done.stderr and len(done.stderr.splitlines()) == 1
    assert done.stderr.startswith("bilateral: internal error, a fault of this program (KeyError:")
    path = Path(re.search(r"the traceback is in (\S+);", done.stderr)[1])
    assert "Traceback" in path.read_text() and "KeyError" in path.read_text()
    path.unlink()
    shown = end_with("{}['no such\\nkey']", BILATERAL_DEBUG="1")
    assert shown.returncode == 3 and "Traceback" in shown.stderr


@pytest.mark.parametrize(
    ("body", "code", "sentence"),
    [
        ("raise MemoryError", 1, "not enough memory"),
        ('raise RuntimeError("DefaultCPUAllocator: can\'t allocate memory: you tried")', 1, "not enough memory"),
        ("raise KeyboardInterrupt", 130, "interrupted"),
        ("open('nothing/at/all')", 2, "nothing/at/all: No such file"),
        ("raise OSError('odd')", 3, "internal error"),
        ("raise BrokenPipeError", 0, ""),
        ("pass", 0, ""),
    ],
)
def test_how_a_command_ends(body, code, sentence):
    done = end_with(body)
    assert done.returncode == code and sentence in done.stderr and "Traceback" not in done.stderr
    assert len(done.stderr.splitlines()) == bool(sentence)


@pytest.mark.parametrize("closed", ["2>&-", "1>&-", "0<&- 1>&- 2>&-"])
def test_closed_streams_are_no_reason_to_fail(trained, closed):
    command = f"{sys.executable} -m bilateral system {' '.join(TINY)} 'seeds=[0, 1]' save_dir=runs {closed}"
    assert subprocess.run(["bash", "-c", command], cwd=trained, check=False).returncode == 0


def test_a_file_that_is_there_is_no_override(bilateral, tmp_path):
    folder = tmp_path / "lr=0.1"
    folder.mkdir()
    (folder / "config.yaml").write_text("name: found")
    done = bilateral("info", "lr=0.1/config.yaml")
    assert done.returncode == 0 and yaml.safe_load(done.stdout)["name"] == "found"
    done = bilateral("train", "lr=0.1/config.yaml", *TINY, "model.mode_hemis=bilateral")
    assert done.returncode == 0, done.stderr
    assert list((tmp_path / "runs").glob("tiny-bilateral-*"))


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("trained")
    done = run_bilateral(folder, "system", *TINY, "seeds=[0, 1]", "save_dir=runs")
    assert done.returncode == 0, done.stderr
    return folder


def only(folder: Path, pattern: str) -> Path:
    (found,) = folder.glob(pattern)
    return found


@pytest.mark.parametrize("encoding", ["ascii", "cp932", "koi8-r"])
def test_no_encoding_of_the_terminal_ends_a_command(trained, monkeypatch, encoding):
    monkeypatch.setenv("PYTHONIOENCODING", f"{encoding}:strict")
    command = [sys.executable, "-m", "bilateral", "system", *TINY, "seeds=[0, 1]", "save_dir=runs"]
    done = subprocess.run(command, cwd=trained, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    table = done.stdout.decode(encoding)
    assert "left alone" in table and ("±" if encoding == "cp932" else "+/-") in table


def test_the_table_is_shown_though_nothing_can_be_written(trained):
    before = {path: path.read_bytes() for path in trained.rglob("*") if path.is_file()}
    # Root may write anywhere, so the results' folder is a file's name for the time of the test.
    place = trained / "runs" / "tiny-system"
    kept = place.rename(trained / "kept")
    place.mkdir()
    (place / "table.json").mkdir()
    try:
        done = run_bilateral(trained, "system", *TINY, "seeds=[0, 1]", "save_dir=runs")
    finally:
        (place / "table.json").rmdir()
        for path in place.iterdir():
            path.unlink()
        place.rmdir()
        kept.rename(place)
    assert "left alone" in done.stdout and done.returncode == 0, done.stderr
    assert "cannot write" in done.stderr and "keeps what an earlier command wrote" in done.stderr
    assert {path: path.read_bytes() for path in trained.rglob("*") if path.is_file()}.items() >= before.items()


def test_code_named_by_a_run_from_elsewhere_is_not_run(trained, tmp_path):
    folder = shutil.copytree(trained, tmp_path / "copy")
    (folder / "evil.py").write_text("from pathlib import Path\nPath('executed').touch()\ndef load(config): pass\n")
    run = only(folder, "runs/tiny-bilateral-*/*-seed0-*")
    config = yaml.safe_load((run / "config.yaml").read_text())
    config["data"] = {"name": "evil:load"}
    (run / "config.yaml").write_text(yaml.safe_dump(config))
    for command in (["evaluate", str(run)], ["report", str(run)], ["info", str(run)]):
        done = run_bilateral(folder, *command)
        assert done.returncode == (0 if command[0] == "info" else 2), done.stderr
        assert not (folder / "executed").exists() and "Traceback" not in done.stderr
        if command[0] != "info":
            assert "evil:load" in done.stderr and "--own evil:load" in done.stderr
    done = run_bilateral(folder, "evaluate", str(run), "--own", "evil:load")
    assert (folder / "executed").exists() and done.returncode == 2 and "HierarchicalDataset" in done.stderr


def test_evaluate_says_when_the_images_have_changed(trained, tmp_path):
    run = only(trained, "runs/tiny-bilateral-*/*-seed0-*")
    assert run_bilateral(tmp_path, "evaluate", str(run)).returncode == 0
    copy = shutil.copytree(run, tmp_path / "runs" / "group" / run.name)
    config = yaml.safe_load((copy / "config.yaml").read_text())
    config["data"]["shapes"]["seed"] = 7
    (copy / "config.yaml").write_text(yaml.safe_dump(config))
    done = run_bilateral(tmp_path, "evaluate", str(copy))
    assert done.returncode == 2 and "is not the one that" in done.stderr and "images have changed" in done.stderr
    done = run_bilateral(tmp_path, "evaluate", str(copy), "data.shapes.test_per_class=3")
    assert done.returncode == 0 and "is not the one that" in done.stderr


def test_a_run_without_its_checkpoint_says_what_makes_it_again(trained, tmp_path):
    run = shutil.copytree(only(trained, "runs/tiny-bilateral-*/*-seed0-*"), tmp_path / "run")
    shutil.rmtree(run / "checkpoints")
    (tmp_path / "x.png").write_bytes(b"")
    for command in (["predict", str(run), "x.png"], ["explore", str(run)]):
        done = run_bilateral(tmp_path, *command)
        assert done.returncode == 2 and "is gone" in done.stderr and "makes it again" in done.stderr
        assert "ensemble" not in done.stderr
