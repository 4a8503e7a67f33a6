"""A tiny bilateral run on the embedded data set, and a picture of it."""

import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from bilateral.data import sources
from bilateral.data.config import DataConfig
from bilateral.explore.about import describe
from bilateral.explore.answering import Explorer
from bilateral.explore.samples import samples
from bilateral.explore.server import ExploreServer
from bilateral.models.build import build_network
from bilateral.models.config import ModelConfig
from bilateral.training import checkpoint
from conftest import TINY_DATA, made_once

TINY = [
    *TINY_DATA,
    *("model.left.width=0.0625", "model.right.width=0.0625", "training.epochs=3", "training.batch_size=64"),
    *("pretraining.left.epochs=2", "pretraining.right.epochs=2"),
]


MODEL = ModelConfig.model_validate(
    {
        "left": {"width": 1 / 16, "parts": {"few": {"kind": "kwta", "after": "conv2", "k": 0.1, "per_k": 0.3}}},
        "right": {"width": 1 / 16},
        "bridges": {
            "callosum": {"kind": "additive", "between": {"left": "res1", "right": "res1"}},
            "late": {"kind": "additive", "direction": "to_left", "between": {"left": "pool", "right": "pool"}},
        },
        "join": {"kind": "gate"},
        "lesions": {
            "loss": {"kind": "units", "at": "right", "share": 0.5},
            "shake": {"kind": "noise", "at": "left", "std": 0.5},
        },
    }
)


@dataclass(frozen=True)
class Runs:
    """A bilateral run, its left hemisphere's with a fine head, a picture file, and what `bilateral predict` says."""

    bilateral: Path
    left: Path
    picture: Path
    predicted: dict[str, Any]


def command(folder: Path, *arguments: str) -> str:
    line = [sys.executable, "-m", "bilateral", *arguments]
    done = subprocess.run(line, cwd=folder, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def explorer_of(run: Path) -> Explorer:
    read = checkpoint.read(run)
    return Explorer(checkpoint.build(read, run), read.description)


@pytest.fixture(scope="session")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Runs:
    def run(folder: Path, kind: str) -> Path:
        return next(folder.glob(f"runs/quickstart-{kind}/*-seed0-*"))

    def make(folder: Path) -> None:
        command(folder, "system", *TINY)
        data = DataConfig.model_validate({"shapes": {"train_per_class": 2, "test_per_class": 2}})
        images = sources.load(data).test.images
        # A part of the picture is cut off, and the rest made smaller.
        picture = folder / "my picture.png"
        Image.fromarray(images[20].permute(1, 2, 0).numpy()).resize((150, 120)).save(picture)
        said = command(folder, "predict", str(run(folder, "bilateral-*")), str(picture), "--top", "5", "--json")
        (folder / "said.json").write_text(said)

    folder = made_once(tmp_path_factory, "explore", make)
    (said,) = json.loads((folder / "said.json").read_text())
    predicted = {level: said[level] for level in ("fine", "coarse")}
    return Runs(run(folder, "bilateral-*"), run(folder, "*-fine"), folder / "my picture.png", predicted)


@pytest.fixture(scope="session")
def bridged(runs: Runs) -> Explorer:
    """A network that has all that can be switched off, and whose join weighs the sides; it is not trained."""
    description = checkpoint.read(runs.bilateral).description
    network = build_network(MODEL, description.fine_count, description.coarse_count, image_size=description.image_size)
    torch.manual_seed(3)
    for parameter in [*network.bridges.parameters(), *network.join.parameters()]:
        torch.nn.init.normal_(parameter)
    return Explorer(network, replace(description, model=MODEL))


@pytest.fixture(scope="module")
def server(runs: Runs) -> Iterator[ExploreServer]:
    yield from served(explorer_of(runs.bilateral), runs)


@pytest.fixture(scope="module")
def bridged_server(bridged: Explorer, runs: Runs) -> Iterator[ExploreServer]:
    yield from served(bridged, runs)


def served(explorer: Explorer, runs: Runs) -> Iterator[ExploreServer]:
    about = describe(explorer, runs.bilateral, "quickstart")
    with ExploreServer(explorer, about, "127.0.0.1", 0, lambda: samples(DataConfig())) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()
