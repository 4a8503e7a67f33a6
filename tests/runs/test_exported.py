import pytest

import bilateral
from bilateral.base.errors import CheckpointError, ConfigError
from bilateral.runs.export import export
from bilateral.runs.exported import runs_of

TINY = {"shapes": {"train_per_class": 2, "test_per_class": 1}}
HEMISPHERE = {"arch": "resnet9", "width": 0.0625}


@pytest.fixture
def made(tmp_path, monkeypatch):
    """A run of two sides; exported to `my own`, with a left hemisphere beside it. The working folder is a new one."""
    monkeypatch.chdir(tmp_path)
    common = {"data": TINY, "training": {"epochs": 1}, "workers": 1, "save_dir": str(tmp_path / "made")}
    one = {"mode_hemis": "unilateral", "mode_heads": "fine", "left": HEMISPHERE}
    (left,) = bilateral.train({**common, "model": one})
    (both,) = bilateral.train({**common, "model": {"left": HEMISPHERE, "right": HEMISPHERE}})
    export(both, tmp_path / "my own")
    export(left, tmp_path / "my own" / "left")
    return both


def test_an_exported_network_is_tested_once_with_its_companions(made, tmp_path):
    found = runs_of(tmp_path / "my own", [], [])
    assert set(found) == {"", "left"}
    # Rounding to half precision moves logits a little.
    own, whole = found[""].predictions.logits["fine"], made.predictions.logits["fine"]
    assert (own - whole).abs().max() < 0.05
    assert found[""].parents()["hemispheres.left"].seed == found["left"].seed
    assert not (found[""].folder / "checkpoints").exists()
    assert runs_of(tmp_path / "my own", [], [])[""].folder == found[""].folder


def test_a_study_of_an_exported_network(made, tmp_path):
    study = bilateral.open_study("my own")
    assert list(study.rows) == ["specialised", "left"] and study.folder.name == "my own"
    assert study.config.name == "my_own"
    assert study.predictions("left")[0].logits.keys() == {"fine"}
    whole = made.network().state_dict()["heads.fine.1.weight"]
    assert study.systems[0].network.state_dict()["heads.fine.1.weight"].equal(whole.half().float())
    with pytest.raises(ConfigError, match="is an exported network, which is looked into by itself"):
        bilateral.open_study(["my own", "my own"])


def test_data_that_the_network_was_not_trained_for(made, tmp_path):
    with pytest.raises(CheckpointError, match="40 fine and 8 coarse labels apart, the data set navon has 36 and 6"):
        bilateral.open_study("my own", ["data.name=navon", "data.shapes={}"])
