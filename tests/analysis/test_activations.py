from itertools import pairwise

import pytest
import torch

from bilateral.analysis import activations
from bilateral.analysis.activations import spatial_stages, spread, stage_activations, stage_means

from . import handmade


@pytest.mark.parametrize(("count", "wanted"), [(10, 4), (10, 10), (3, 50), (10000, 5000), (7, 1), (1, 1)])
def test_indices_are_spread_evenly_over_all(count, wanted):
    found = spread(count, wanted).tolist()
    assert len(found) == min(count, wanted) == len(set(found)) and found == sorted(found)
    assert found[0] == 0 and (len(found) == 1 or found[-1] == count - 1)
    steps = {second - first for first, second in pairwise(found)}
    assert not steps or max(steps) - min(steps) <= 1


@pytest.fixture(scope="module")
def system():
    network = handmade.network(right={"arch": "resnet18"})
    return handmade.study({0: {}}, {0: network}).systems[0]


def test_stages_are_those_of_the_backbones(system):
    images = handmade.make_images(2, 0).images
    found = stage_activations(system, images)
    assert [stage for side, stage in found if side == "left"] == list(system.network.hemispheres["left"].stages)
    assert [stage for side, stage in found if side == "right"] == list(system.network.hemispheres["right"].stages)
    features = system.network.features(system.normalise(images))
    for (side, stage), values in found.items():
        assert values.dtype == torch.float32 and len(values) == 12 and not values.requires_grad
        if stage == "pool":
            torch.testing.assert_close(values, features[side], rtol=0.05, atol=0.05)


def test_means_are_over_positions_whatever_the_batches(system, monkeypatch):
    images = handmade.make_images(2, 0).images
    found = stage_activations(system, images)
    monkeypatch.setattr(activations, "BATCH", 5)
    means = stage_means(system, images)
    for key, values in found.items():
        expected = values.mean((2, 3)) if values.ndim == 4 else values
        assert means[key].shape == (12, values.shape[1])
        torch.testing.assert_close(means[key], expected, rtol=0.05, atol=0.05)


def test_places_with_positions_in_the_order_of_the_pass():
    network = handmade.network({"arch": "resnet18"}, {"arch": "vgg11_pool"})
    found = spatial_stages(network, (32, 32))
    # Stages and the layers in them, and how many positions each has; a single one is none.
    assert {stage: found["left"][stage] for stage in ("stem", "group1", "group2", "group4")} == {
        "stem": 1024,
        "group1": 1024,
        "group2": 256,
        "group4": 16,
    }
    assert "pool" not in found["left"] and "features" not in found["right"]
    positions = list(found["right"].values())
    assert positions == sorted(positions, reverse=True) and positions[0] == 1024 and positions[-1] == 4
    assert not any(module._forward_hooks for module in network.modules())
