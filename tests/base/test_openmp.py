"""In real processes, since the environment of this one is set already."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from bilateral.base import openmp

pytestmark = pytest.mark.slow

SEE = (
    "import os, sys; print(os.environ.get('GOMP_SPINCOUNT'), os.environ.get('OMP_WAIT_POLICY'), 'torch' in sys.modules)"
)


def python(*arguments: str, **environment: str) -> str:
    clean = {name: value for name, value in os.environ.items() if name not in openmp._SETTINGS}
    done = subprocess.run(
        [sys.executable, *arguments], env=clean | environment, capture_output=True, text=True, check=True, timeout=60
    )
    return done.stdout + done.stderr


def test_the_package_sets_it_before_torch_is_loaded_and_does_not_load_torch():
    assert python("-c", f"import bilateral; {SEE}") == f"{openmp.SPINS} None False\n"


@pytest.mark.parametrize("own", [{"GOMP_SPINCOUNT": "7"}, {"OMP_WAIT_POLICY": "active"}])
def test_what_the_user_has_set_stays(own):
    expected = f"{own.get('GOMP_SPINCOUNT')} {own.get('OMP_WAIT_POLICY')} False\n"
    assert python("-c", f"import bilateral; {SEE}", **own) == expected


def test_where_torch_is_loaded_already_it_is_set_for_children_alone_and_silently():
    child = f'import subprocess, sys; subprocess.run([sys.executable, "-c", {SEE!r}], check=True)'
    assert python("-c", f"import torch, bilateral; {child}") == f"{openmp.SPINS} None False\n"


def test_the_library_of_a_command_and_of_its_workers_has_it(tmp_path):
    # The library itself says what it read.
    settings = ["data.shapes.train_per_class=6", "data.shapes.test_per_class=2", f"save_dir={tmp_path}"]
    settings += ["model.left.width=0.0625", "model.right.width=0.0625", "training.epochs=1", "workers=2"]
    settings += ["pretraining.left.epochs=1", "pretraining.right.epochs=1"]
    told = python("-m", "bilateral", "system", *settings, OMP_DISPLAY_ENV="verbose", OMP_NUM_THREADS="1")
    lines = [line for line in told.splitlines() if "GOMP_SPINCOUNT" in line]
    # The command, and at least the two workers.
    assert len(lines) >= 3 and all(f"'{openmp.SPINS}'" in line for line in lines), told


@pytest.mark.parametrize("script", ["trainer.py", "train_system.py", "scripts/draw_shapes.py"])
def test_scripts_load_the_package_before_torch(script):
    root = Path(__file__).parents[2]
    if script.startswith("scripts"):
        arguments = ["-c", f"import sys; sys.path.insert(0, {str(root / 'scripts')!r}); import draw_shapes"]
    else:
        arguments = [str(root / script), "--help"]
    told = python(*arguments, OMP_DISPLAY_ENV="verbose")
    lines = [line for line in told.splitlines() if "GOMP_SPINCOUNT" in line]
    assert all(f"'{openmp.SPINS}'" in line for line in lines)
