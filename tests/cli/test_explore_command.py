"""The command that shows a network in the browser: what it offers to try."""

import json
import re
import subprocess
import sys
from pathlib import Path
from urllib.request import urlopen

import pytest

from bilateral.base.errors import ConfigError
from bilateral.cli.explore_command import explore


def served(folder, place, *arguments):
    """What the page of a network has at this place."""
    command = [sys.executable, "-m", "bilateral", "explore", *arguments, "--port", "0"]
    server = subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, text=True)
    try:
        address = re.search(r"http://\S+", server.stdout.readline())
        with urlopen(f"{address[0]}/{place}", timeout=60) as answer:
            return json.load(answer)
    finally:
        server.terminate()
        server.wait(timeout=60)


@pytest.mark.slow
def test_the_images_to_try_are_those_of_the_data_that_are_given(tmp_path):
    own, other = (
        {each["name"]: each["png"] for each in served(tmp_path, "samples", "shapes-small", *overrides)}
        for overrides in ([], ["data.shapes.seed=5"])
    )
    assert own.keys() == other.keys() and not own.items() & other.items()


@pytest.mark.slow
@pytest.mark.parametrize(("row", "title"), [("specialised", "quick, specialised"), ("left", "quick, left")])
def test_the_title_names_the_row(tiny_experiment, row, title):
    about = served(tiny_experiment, "about", "runs/quick-experiment", "--row", row)
    assert about["title"].startswith(f"{title}: 40 kinds of 8 shapes")


@pytest.mark.slow
def test_a_row_that_names_its_runs_is_named_once(tiny_experiment):
    about = served(tiny_experiment, "about", "runs/quick-experiment", "--row", "unilateral_wide")
    assert about["title"].startswith("quick.unilateral_wide: 40 kinds of 8 shapes")


def test_data_that_cannot_be_are_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match=r"data\.shapes\.sed"):
        explore(
            Path("shapes-small"), "data.shapes.sed=5", host="127.0.0.1", port=0, open=False, row=None, own_code=None
        )
