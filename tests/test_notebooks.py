"""The notebook and the script in notebooks/ are the same, and the script runs."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

SCRIPT = Path(__file__).parents[1] / "notebooks" / "first_steps.py"
SIZES = {r'"train_per_class": \d+': '"train_per_class": 2', r'"epochs": \d+': '"epochs": 1'}


def cells(script):
    """Cells of a script in the percent format: (whether it is Markdown, its text)."""
    found = re.split(r"^# %%( \[markdown\])?\n", script, flags=re.MULTILINE)[1:]
    for kind, text in zip(found[::2], found[1::2]):
        yield bool(kind), re.sub("^# ?", "", text, flags=re.MULTILINE).strip() if kind else text.strip()


def test_notebook_and_script_have_the_same_cells():
    notebook = json.loads(SCRIPT.with_suffix(".ipynb").read_text())
    own = [(cell["cell_type"] == "markdown", "".join(cell["source"])) for cell in notebook["cells"]]
    assert own == list(cells(SCRIPT.read_text()))


def test_the_script_runs(tmp_path):
    text = SCRIPT.read_text()
    for pattern, small in SIZES.items():
        text, count = re.subn(pattern, small, text)
        assert count == 1
    (tmp_path / "first_steps.py").write_text(text)
    command = [sys.executable, "first_steps.py"]
    done = subprocess.run(
        command,
        check=False,
        cwd=tmp_path,
        env={**os.environ, "MPLBACKEND": "agg"},
        capture_output=True,
        text=True,
        timeout=250,
    )
    assert done.returncode == 0, done.stderr
    assert "without left" in done.stdout and "bilateral, specialised" in done.stdout
