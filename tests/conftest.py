"""Shared fixtures: a tiny data set, and the command line as a real process."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import hypothesis
import pytest

import bilateral.base.openmp

# One thread each: several tests run side by side, and real processes inherit it.
os.environ["OMP_NUM_THREADS"] = "1"

import torch
from filelock import FileLock

from bilateral.data.hierarchy import LabelHierarchy
from bilateral.data.images import HierarchicalDataset, HierarchicalImages
from bilateral.experiments.networks import Networks
from bilateral.runs.config import Config
from bilateral.runs.plan import Run
from forked import Commands, commands

# A busy machine is no failure.
hypothesis.settings.register_profile("quiet", deadline=None)
hypothesis.settings.load_profile("quiet")

FINE, COARSE = 6, 3
COARSE_OF_FINE = (0, 0, 1, 1, 2, 2)

# Settings that make a real run on the embedded data set take seconds.
TINY_DATA = ["data.shapes.train_per_class=6", "data.shapes.test_per_class=2"]
QUICK = Path(__file__).parents[1] / "configs" / "experiment" / "quick.yaml"
# The same for its experiment: seconds a row.
TINY_EXPERIMENT = [
    *TINY_DATA,
    *("model.left.width=0.0625", "model.right.width=0.0625", "training.epochs=2", "training.batch_size=64"),
    *("pretraining.left.epochs=2", "pretraining.right.epochs=2", "experiment.end_to_end.epochs=2"),
    *("experiment.fine_tuning.epochs=1", "seeds=[0, 1]", "save_dir=runs"),
]


def make_images(per_class: int, seed: int, size: int = 16) -> HierarchicalImages:
    """Images that can be told apart: a bright row for the fine label on noise."""
    generator = torch.Generator().manual_seed(seed)
    fine = torch.arange(FINE).repeat(per_class)
    images = torch.randint(0, 90, (len(fine), 3, size, size), generator=generator, dtype=torch.uint8)
    for index, label in enumerate(fine.tolist()):
        images[index, :, 4 + label, :] = 230
    return HierarchicalImages(images, fine, torch.tensor(COARSE_OF_FINE)[fine])


def workers_of(process: subprocess.Popen) -> list[int]:
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    return [int(child) for child in children if b"spawn_main" in Path(f"/proc/{child}/cmdline").read_bytes()]


@pytest.fixture
def tiny() -> HierarchicalDataset:
    hierarchy = LabelHierarchy(tuple("abcdef"), ("x", "y", "z"), COARSE_OF_FINE)
    mean, std = (0.2, 0.2, 0.2), (0.2, 0.2, 0.2)
    return HierarchicalDataset("tiny", hierarchy, make_images(20, 0), make_images(5, 1), mean, std)


@pytest.fixture
def bilateral(tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run `python -m bilateral ...` in an empty folder, as a user would."""

    return partial(run_bilateral, tmp_path)


@pytest.fixture(scope="session")
def forked_commands() -> Iterator[Commands]:
    with commands() as started:
        yield started


@pytest.fixture
def forked(forked_commands: Commands, tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run `bilateral ...` in an empty folder, in a process that begins sooner; for many commands that end at once."""
    return partial(forked_commands.run, tmp_path)


def run_bilateral(folder: Path, *arguments: str, timeout: float = 240) -> subprocess.CompletedProcess[str]:
    """Run `python -m bilateral ...` in a folder, as a user would."""
    command = [sys.executable, "-m", "bilateral", *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=timeout, check=False)


def system_runs(config: Config, seed: int) -> dict[str, Run]:
    """The runs of a system, by role."""
    networks = Networks(config, None)
    return {name: networks.run(name, seed) for name in ("left", "right", "specialised")}


INAPPLICABLE = {"global_local", "weights"}
"""Analyses that have nothing to say of it: its images are no compound figures, its join does not weigh the sides."""


def made_once(factory: pytest.TempPathFactory, name: str, make: Callable[[Path], None]) -> Path:
    """A folder that the first of the processes that test side by side makes; no test may change it."""
    base = factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / name
    done = folder / "made"
    with FileLock(f"{folder}.lock"):
        if not done.exists():
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
            make(folder)
            done.touch()
    return folder


@pytest.fixture(scope="session")
def tiny_experiment(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which a small experiment has been done: `runs/quick-experiment`, two seeds, a few rows."""

    def make(folder: Path) -> None:
        rows = "experiment.rows=[left, right, side_by_side, specialised, unilateral_wide]"
        done = run_bilateral(folder, "experiment", str(QUICK), *TINY_EXPERIMENT, rows, "--workers", "1")
        assert done.returncode == 0, done.stderr

    return made_once(tmp_path_factory, "experiment", make)


@pytest.fixture
def moved(tiny_experiment: Path, tmp_path: Path) -> Path:
    """The runs of that experiment, at another place."""
    return shutil.copytree(tiny_experiment / "runs", tmp_path / "elsewhere")


def bilateral_runs(runs: Path) -> list[Path]:
    """Those of that experiment's runs that are of two hemispheres, by seed."""
    return sorted(runs.glob("quick-bilateral-*/*-seed*"))


@pytest.fixture(scope="session")
def tiny_analysed(tiny_experiment: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of that experiment at another place, with all analyses in it."""

    def make(folder: Path) -> None:
        shutil.copytree(tiny_experiment / "runs", folder / "runs")
        done = run_bilateral(folder, "analyse", "runs/quick-experiment")
        assert done.returncode == 0, done.stderr

    return made_once(tmp_path_factory, "analysed", make) / "runs" / "quick-experiment"
