import pytest
import torch

from bilateral.data.augment import Normalisation
from bilateral.models.build import build_network
from bilateral.models.config import ModelConfig
from bilateral.training import device
from bilateral.training.config import TrainingConfig
from bilateral.training.inputs import FrozenFeatures, LiveImages, build_inputs


def make_live(tiny, freeze=("left", "right"), **training: object) -> LiveImages:
    sides = {side: {"width": 0.0625, "freeze": side in freeze} for side in ("left", "right")}
    network = build_network(ModelConfig(dropout=0, **sides), 6, 3)
    network.eval()
    config = TrainingConfig(precision="float32", device="cpu", **training)
    return LiveImages(network, tiny.train, tiny.test, Normalisation(tiny.mean, tiny.std), config, seed=3)


def test_kept_features_give_what_the_live_network_gives(tiny, tmp_path):
    live = make_live(tiny, crop_padding=0, flip=False)
    kept = FrozenFeatures(live, tmp_path)
    indices = torch.tensor([5, 0, 77])
    for live_output, kept_output in (
        (live.training_output(indices, 0), kept.training_output(indices, 0)),
        (live.validation_output(indices[:2]), kept.validation_output(indices[:2])),
    ):
        torch.testing.assert_close(live_output.fine, kept_output.fine)
        torch.testing.assert_close(live_output.coarse, kept_output.coarse)


def test_each_epoch_has_its_view_and_they_recur(tiny, tmp_path):
    kept = FrozenFeatures(make_live(tiny, feature_views=2), tmp_path)
    indices = torch.arange(8)
    outputs = [kept.training_output(indices, epoch).fine for epoch in range(3)]
    # The first is the images as they are.
    plain = FrozenFeatures(make_live(tiny, feature_views=1, crop_padding=0, flip=False), tmp_path)
    assert torch.equal(outputs[0], plain.training_output(indices, 0).fine)
    assert not torch.allclose(outputs[0], outputs[1])
    assert torch.equal(outputs[0], outputs[2])


@pytest.mark.parametrize(("freeze", "views"), [(("left",), 4), (("left", "right"), 0), ((), 4)])
def test_features_are_kept_only_where_all_is_frozen_and_views_are_asked_for(tiny, tmp_path, freeze, views):
    live = make_live(tiny, freeze, feature_views=views)
    assert build_inputs(live, tmp_path) is live


def test_features_in_a_file_are_those_in_memory(tiny, tmp_path):
    indices = torch.tensor([5, 0, 77])
    outputs = []
    for gigabytes in (4, 0):
        kept = FrozenFeatures(make_live(tiny, feature_views=2, feature_memory_gb=gigabytes), tmp_path)
        assert kept.train.in_memory == bool(gigabytes)
        outputs += [kept.training_output(indices, 1).fine, kept.validation_output(indices[:2]).fine]
    assert torch.equal(outputs[0], outputs[2]) and torch.equal(outputs[1], outputs[3])


def test_an_image_is_augmented_alike_in_any_batch_and_anew_in_every_epoch(tiny):
    live = make_live(tiny)
    together = live.training_output(torch.arange(16), 1).fine
    torch.testing.assert_close(together[4:6], live.training_output(torch.tensor([4, 5]), 1).fine)
    other = live.training_output(torch.arange(16), 2).fine
    assert not torch.allclose(together, other)
    assert torch.equal(together, live.training_output(torch.arange(16), 1).fine)


def test_features_that_would_take_half_of_the_free_memory_lie_in_a_file(tiny, tmp_path, monkeypatch):
    live = make_live(tiny, feature_views=1)
    assert FrozenFeatures(live, tmp_path).train.in_memory
    monkeypatch.setattr(device, "available_bytes", lambda: 2 * 120 * 64 * 4 - 2)
    assert not FrozenFeatures(live, tmp_path).train.in_memory


def test_each_augmented_view_has_crops_of_its_own(tiny, tmp_path):
    kept = FrozenFeatures(make_live(tiny, feature_views=3), tmp_path)
    first, second = (kept.training_output(torch.arange(16), view).fine for view in (1, 2))
    assert not torch.allclose(first, second)
