import pytest
import torch

from bilateral.data.augment import Normalisation
from bilateral.models.build import build_network
from bilateral.models.config import ModelConfig
from bilateral.training.config import TrainingConfig
from bilateral.training.inputs import FrozenFeatures, LiveImages, build_inputs


def make_live(tiny, freeze=("left", "right"), **training: object) -> LiveImages:
    sides = {side: {"width": 0.0625, "freeze": side in freeze} for side in ("left", "right")}
    network = build_network(ModelConfig(dropout=0, **sides), 6, 3)
    network.eval()
    config = TrainingConfig(precision="float32", device="cpu", **training)
    return LiveImages(network, tiny.train, tiny.test, Normalisation(tiny.mean, tiny.std), config, seed=3)


def test_kept_features_give_what_the_live_network_gives(tiny):
    live = make_live(tiny, crop_padding=0, flip=False)
    kept = FrozenFeatures(live)
    indices = torch.tensor([5, 0, 77])
    for live_output, kept_output in (
        (live.training_output(indices, 0, 0), kept.training_output(indices, 0, 0)),
        (live.validation_output(indices[:2]), kept.validation_output(indices[:2])),
    ):
        torch.testing.assert_close(live_output.fine, kept_output.fine)
        torch.testing.assert_close(live_output.coarse, kept_output.coarse)


def test_each_epoch_has_its_view_and_they_recur(tiny):
    kept = FrozenFeatures(make_live(tiny, feature_views=2))
    indices = torch.arange(8)
    outputs = [kept.training_output(indices, epoch, 0).fine for epoch in range(3)]
    assert not torch.allclose(outputs[0], outputs[1])
    assert torch.equal(outputs[0], outputs[2])


@pytest.mark.parametrize(("freeze", "views"), [(("left",), 4), (("left", "right"), 0), ((), 4)])
def test_features_are_kept_only_where_all_is_frozen_and_views_are_asked_for(tiny, freeze, views):
    live = make_live(tiny, freeze, feature_views=views)
    assert build_inputs(live) is live


def test_live_augmentation_depends_on_the_step_alone(tiny):
    live = make_live(tiny)
    indices = torch.arange(16)
    first, again = (live.training_output(indices, 1, 2).fine for _ in range(2))
    assert torch.equal(first, again)
    assert not torch.equal(first, live.training_output(indices, 1, 3).fine)
