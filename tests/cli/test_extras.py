"""The base install, without what the extras bring: it trains, and names the extra that a command lacks."""

import subprocess
import sys

import pytest

from conftest import TINY_DATA

pytestmark = pytest.mark.slow

EXTRAS = ("pandas", "matplotlib", "sklearn", "jinja2", "dask", "distributed", "dask_jobqueue")
CODE = f"""
import importlib.metadata as metadata
import sys

def distribution(name, real=metadata.distribution):
    if name in {EXTRAS}:
        raise metadata.PackageNotFoundError(name)
    return real(name)

metadata.distribution = distribution
sys.modules.update(dict.fromkeys({EXTRAS}))
from bilateral.cli.main import main
main(sys.argv[1:])
"""


def run_without_extras(folder, *arguments):
    command = [sys.executable, "-c", CODE, *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=240, check=False)


def test_the_base_install_trains_and_names_the_extra_that_is_missing(tmp_path):
    small = [f"model.{side}.width=0.0625" for side in ("left", "right")]
    done = run_without_extras(tmp_path, "system", *TINY_DATA, *small, "training.epochs=1", "workers=1")
    assert done.returncode == 0, done.stderr
    for command in ("analyse", "report", "sweep"):
        refused = run_without_extras(tmp_path, command, "runs/quickstart-system")
        assert refused.returncode == 2
        assert 'pandas is not installed, which this command needs: pip install "bilateral[analysis]"' in refused.stderr
    lone = run_without_extras(tmp_path, "experiment", "x.yaml", "--executor", "dask", "--address", "tcp://127.0.0.1:1")
    assert lone.returncode == 2
