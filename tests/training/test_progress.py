import re
import sys

import pytest

from bilateral.training.progress import TerminalProgress


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
