import json
import re
import subprocess
import sys

import pytest

from bilateral.training.progress import TerminalProgress
from conftest import TINY_DATA


@pytest.mark.parametrize("columns", [80, 140])
def test_a_training_is_told_in_a_line_that_fits_the_terminal(monkeypatch, capsys, columns):
    for name, value in {"COLUMNS": str(columns), "FORCE_COLOR": "1", "TERM": "xterm"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    progress = TerminalProgress()
    progress.start("a", "unilateral_long, seed 1000", 10, 3, 100)
    progress.progress.refresh()
    progress.advance("a", 50, 4, 1.2345, {"fine": 0.923, "coarse": 0.97}, 1234.0)
    progress.progress.refresh()
    progress.stop("a")
    lines = re.split("[\r\n]+", re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", capsys.readouterr().err))
    assert max(map(len, lines)) <= columns
    assert "nan" not in lines[0] and "epoch 3/10" in lines[0]
    (told, *_) = [line for line in lines if "epoch 4/10" in line]
    assert "loss 1.23  train acc fine 92 coarse 97 %" in told and ("img/s" in told) == (columns > 80)


@pytest.fixture
def unwatched(monkeypatch, caplog):
    """A display without a terminal, and the time that it sees, in a list of one."""
    monkeypatch.setattr(sys.stderr, "isatty", lambda: False)
    caplog.set_level("INFO")
    progress, now = TerminalProgress(), [100.0]
    progress.progress.get_time = lambda: now[0]
    return progress, now


def advance(progress, images, epoch):
    progress.advance("a", images, epoch, 1.2345, {"fine": 0.923, "coarse": 0.97}, 1234.0)


def test_without_a_terminal_a_line_a_minute_says_how_far_a_training_is(unwatched, caplog):
    progress, now = unwatched
    progress.start("a", "narrow: left, seed 3", 10, 2, 100)
    for epoch in range(3, 9):
        for _ in range(2):
            now[0] += 15
            advance(progress, 50, epoch)
    state = "loss 1.23, training accuracy fine 92 coarse 97 %"
    assert caplog.messages == [
        f"narrow: left, seed 3: epoch 4 of 10, {state}, about 3 min left",
        f"narrow: left, seed 3: epoch 6 of 10, {state}, about 2 min left",
        f"narrow: left, seed 3: epoch 8 of 10, {state}, about 1 min left",
    ]


def test_a_long_epoch_is_told_of_before_its_end(unwatched, caplog):
    progress, now = unwatched
    progress.start("a", "left", 2, 0, 100)
    for _ in range(50):
        now[0] += 100
        advance(progress, 1, 1)
    assert len(caplog.messages) == 50 * 100 // 600 and "epoch 1 of 2" in caplog.text
    assert TerminalProgress(watched=False).logged is False


@pytest.mark.slow
def test_a_log_file_of_a_command_has_lines_and_its_json_none(tmp_path):
    code = """import sys
from bilateral.training import progress
progress.LINE_S = 0.0
if __name__ == "__main__":
    from bilateral.cli.main import main
    main(sys.argv[1:])
"""
    (tmp_path / "command.py").write_text(code)
    arguments = ["train", *TINY_DATA, "model.left.width=0.0625", "model.right.width=0.0625", "training.epochs=2"]
    arguments += ["seeds=[0, 1]", "workers=2", "tracker=none", "--json"]
    with (tmp_path / "out").open("w") as out, (tmp_path / "log").open("w") as log:
        subprocess.run(
            [sys.executable, "command.py", *arguments], cwd=tmp_path, stdout=out, stderr=log, timeout=240, check=True
        )
    assert len(json.loads((tmp_path / "out").read_text())) == 2
    told = (tmp_path / "log").read_bytes().decode()
    assert not re.search("[\x00-\x09\x0b-\x1f]", told)
    for seed in (0, 1):
        for epoch in (1, 2):
            line = f"network, seed {seed}: epoch {epoch} of 2, loss .*, training accuracy fine .* coarse .* %, about"
            assert len(re.findall(line, told)) == 1
