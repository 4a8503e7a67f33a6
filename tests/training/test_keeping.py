import pytest
import torch

from bilateral.base.errors import ConfigError
from bilateral.training import keeping
from bilateral.training.config import CheckpointConfig
from bilateral.training.keeping import KeptCheckpoints

SCORES = [0.3, 0.5, 0.4, 0.5, 0.1]


@pytest.fixture
def offered(tmp_path, monkeypatch):
    """Offer SCORES, epoch by epoch, and give what each file holds: the epoch that it was written in."""

    def offer(**config: object) -> dict[str, str]:
        network = torch.nn.Linear(1, 1)
        monkeypatch.setattr(keeping.checkpoint, "save", lambda path, network, epoch: path.write_text(str(epoch)))
        kept = KeptCheckpoints(tmp_path, CheckpointConfig(**config))
        for epoch, score in enumerate(SCORES, start=1):
            kept.offer(epoch, {"val_acc": score, "val_loss": 1 - score}, network, epoch)
        return {path.name: path.read_text() for path in tmp_path.iterdir()}

    return offer


def test_one_keeps_the_first_of_the_best(offered):
    assert offered() == {"best.safetensors": "2"}


def test_two_keep_both_beside_the_best(offered):
    assert offered(save_top_k=2) == {
        "best.safetensors": "2",
        "epoch=002-val_acc=0.500.safetensors": "2",
        "epoch=004-val_acc=0.500.safetensors": "4",
    }


def test_minus_one_keeps_all_and_zero_none(offered):
    assert offered(save_top_k=0) == {}
    assert len(offered(save_top_k=-1)) == 6


def test_a_loss_is_best_when_it_is_least(offered):
    assert offered(monitor="val_loss", mode="min") == {"best.safetensors": "2"}
    assert offered(monitor="val_loss", mode="max")["best.safetensors"] == "5"


def test_a_metric_that_is_not_there_is_named(offered):
    with pytest.raises(ConfigError, match="'acc'; there are: val_acc, val_loss"):
        offered(monitor="acc")
