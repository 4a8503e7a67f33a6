"""The config and the class of docs/tutorial.md work as they stand there."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from bilateral.cli.train_commands import own_options
from bilateral.runs.config import read_config

pytestmark = pytest.mark.slow

PAGE = (Path(__file__).parents[1] / "docs" / "tutorial.md").read_text()


@pytest.fixture
def written(tmp_path):
    """The page's files in a folder: mine.yaml with all variants, my_kinds.py."""
    config, variants, own = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
    (tmp_path / "mine.yaml").write_text(config + variants.replace("  contrasts:", own + "  contrasts:"))
    (code,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    (tmp_path / "my_kinds.py").write_text(code)
    return tmp_path


def bilateral(folder, *arguments):
    command = [sys.executable, "-m", "bilateral", *arguments]
    return subprocess.run(command, check=False, cwd=folder, capture_output=True, text=True, timeout=120)


def test_the_plan_has_every_row_of_the_page(written):
    done = bilateral(written, "experiment", "mine.yaml", "--plan")
    assert done.returncode == 0, done.stderr
    for row in ("nonspecialised", "slow", "callosum", "shrink"):
        assert row in done.stdout.split()
    assert "12 runs, 0 finished and reused, 12 to do" in " ".join(done.stdout.split())


def test_what_comes_next_names_the_code_of_a_row(written, monkeypatch):
    monkeypatch.chdir(written)
    assert own_options(read_config(Path("mine.yaml"))) == " --own my_kinds:Shrink"


def test_the_class_of_the_page_is_trained_and_opened(written):
    tiny = ["seeds=[0]", "training.epochs=1", "data.shapes={train_per_class: 2, test_per_class: 1}", "workers=1"]
    (setting,) = re.findall(r"set: \{(model\.left\.parts\.shrink): (\{.*\})\}", PAGE)
    done = bilateral(written, "train", "mine.yaml", *tiny, "=".join(setting))
    assert done.returncode == 0, done.stderr
    (record,) = (written / "runs").glob("mine-*/*/run.yaml")
    refused = bilateral(written, "evaluate", str(record.parent))
    assert refused.returncode == 2 and "my_kinds:Shrink" in refused.stderr
    assert bilateral(written, "evaluate", str(record.parent), "--own", "my_kinds:Shrink").returncode == 0
