"""Each network that comes with the package, opened by its name."""

import os
import re
from pathlib import Path

import pytest
import torch

import bilateral
from bilateral import networks
from bilateral.base.errors import CheckpointError
from bilateral.data import sources
from bilateral.data.config import DataConfig
from bilateral.runs.config import read_config
from bilateral.runs.export import CARD, CONFIG

SMALL_CIFAR = os.environ.get("BILATERAL_TEST_CIFAR100")
FOLDERS = {name: networks.find(Path(name)) for name in networks.names()}


def share_known(name, level, images, chosen):
    """The share of the chosen images whose label at this level the network names."""
    network = bilateral.load(name)
    names = getattr(network.predict(images.images[chosen]), level).names
    all_names = getattr(network.hierarchy, f"{level}_names")
    labels = getattr(images, level)[chosen]
    return sum(said == all_names[label] for said, label in zip(names, labels)) / len(labels)


@pytest.mark.parametrize("name", FOLDERS)
def test_a_network_loads_by_its_name_and_has_its_card(name):
    network = bilateral.load(name)
    assert network.hierarchy is not None
    card, config = (FOLDERS[name] / CARD).read_text(), read_config(FOLDERS[name] / CONFIG)
    assert f"{sum(parameter.numel() for parameter in network.parameters()):,} parameters" in card
    for part in ("**Use**", "**Limits**", "commit `", config.data.name):
        assert part in card
    assert not re.search(r"/(?:tmp|home|work|root)/", card + (FOLDERS[name] / CONFIG).read_text())


def test_they_are_small():
    assert sum(path.stat().st_size for folder in FOLDERS.values() for path in folder.iterdir() if path.is_file()) < 15e6


def test_the_network_of_shapes_knows_shapes():
    images = sources.load(read_config(FOLDERS["shapes-small"] / CONFIG).data).test
    assert share_known("shapes-small", "fine", images, torch.arange(0, len(images), 10)) > 0.9


@pytest.mark.filterwarnings("ignore::bilateral.data.cifar100.source.UnofficialDataWarning")
@pytest.mark.skipif(not SMALL_CIFAR, reason="BILATERAL_TEST_CIFAR100 names no CIFAR-100 archive")
@pytest.mark.parametrize("name", [name for name in FOLDERS if name.startswith("cifar100-small")])
def test_the_networks_of_cifar100_know_photographs(name):
    images = sources.load(DataConfig(name="cifar100", root=Path(SMALL_CIFAR))).test
    level = "coarse" if name.endswith("/right") else "fine"
    told = float(re.search(rf"{level} ([\d.]+) %", (FOLDERS[name] / CARD).read_text())[1]) / 100
    chosen = torch.arange(0, len(images), max(1, len(images) // 400))
    assert abs(share_known(name, level, images, chosen) - told) < 3 * (told * (1 - told) / len(chosen)) ** 0.5


def test_a_file_of_the_same_name_comes_first(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("shapes-small").write_text("no network")
    with pytest.raises(CheckpointError, match="shapes-small is damaged"):
        bilateral.load("shapes-small")


def test_an_unknown_name_is_told_those_that_there_are():
    with pytest.raises(CheckpointError, match=r"no checkpoint nothing; networks that come with .*, shapes-small, "):
        bilateral.load("nothing")
