"""Each network that comes with the package, opened by its name."""

import re
from pathlib import Path

import pytest
import torch

import bilateral
from bilateral import networks
from bilateral.base.errors import CheckpointError
from bilateral.data import sources
from bilateral.runs.config import read_config
from bilateral.runs.export import CARD, CONFIG

FOLDERS = {name: networks.find(Path(name)) for name in networks.names()}


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
    chosen = torch.arange(0, len(images), 10)
    network = bilateral.load("shapes-small")
    names = network.predict(images.images[chosen]).fine.names
    hits = [name == network.hierarchy.fine_names[label] for name, label in zip(names, images.fine[chosen])]
    assert sum(hits) / len(hits) > 0.9


def test_a_file_of_the_same_name_comes_first(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("shapes-small").write_text("no network")
    with pytest.raises(CheckpointError, match="shapes-small is damaged"):
        bilateral.load("shapes-small")


def test_an_unknown_name_is_told_those_that_there_are():
    with pytest.raises(CheckpointError, match=r"no checkpoint nothing; networks that come with .*: shapes-small"):
        bilateral.load("nothing")
