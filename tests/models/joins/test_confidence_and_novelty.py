"""Joins that weigh the hemispheres by their confidence and by an image's novelty."""

import pytest
import torch

from bilateral.base.errors import ConfigError
from bilateral.models.build import build_network
from bilateral.models.config import ModelConfig
from bilateral.models.joins.confidence import Confidence
from bilateral.models.joins.novelty import Novelty

SIZES = {"left": 4, "right": 4}
FEATURES = {side: torch.zeros(1, 4) for side in SIZES}


def confidence(left_head, right_head, **options):
    join = Confidence(Confidence.Options(**options), SIZES)
    return {
        side: float(weight) for side, weight in join.weights(FEATURES, {"left": left_head, "right": right_head}).items()
    }


def test_two_that_are_as_sure_count_alike_whatever_the_number_of_classes():
    unsure = confidence({"fine": torch.zeros(1, 40)}, {"coarse": torch.zeros(1, 8)})
    assert unsure["left"] == pytest.approx(0.5)
    sure = confidence({"fine": 100 * torch.eye(40)[:1]}, {"coarse": 100 * torch.eye(8)[:1]})
    assert sure["left"] == pytest.approx(0.5)


def test_the_surer_side_counts_more_by_the_slope():
    heads = {"coarse": 100 * torch.eye(8)[:1]}, {"coarse": torch.zeros(1, 8)}
    assert confidence(*heads, slope=2.0)["left"] == pytest.approx(torch.tensor(2.0).sigmoid().item())
    assert confidence(*heads, slope=0.0, right=0.8)["left"] == pytest.approx(0.2)


def test_a_side_without_a_head_of_its_own_is_refused():
    given = {"left": {"own_head": {}}, "right": {}, "join": "confidence"}
    with pytest.raises(ConfigError, match=r"right has none: give right\.own_head"):
        build_network(ModelConfig.model_validate(given), 4, 2)


def test_its_weights_teach_no_side_to_boast():
    side = {"width": 1 / 16, "own_head": {}}
    network = build_network(ModelConfig.model_validate({"left": side, "right": side, "join": "confidence"}), 4, 2)
    network(torch.randn(4, 3, 32, 32)).fine.square().sum().backward()
    assert all(parameter.grad is None for parameter in network.own_heads.parameters())


def known(seed=0):
    generator = torch.Generator().manual_seed(seed)
    return {side: torch.randn(256, 4, generator=generator) for side in SIZES}


def test_what_is_unlike_the_training_goes_to_the_right():
    join = Novelty(Novelty.Options(), SIZES)
    join.weights(known(), {})
    join.eval()
    before = {name: tensor.clone() for name, tensor in join.state_dict().items()}
    usual = join.weights(known(seed=1), {})["right"]
    far = join.weights({side: 3 * features for side, features in known(seed=1).items()}, {})["right"]
    assert float(usual.mean()) == pytest.approx(0.5, abs=0.1)
    assert (far > usual).float().mean() > 0.95
    assert all(torch.equal(join.state_dict()[name], tensor) for name, tensor in before.items())


def test_the_memory_follows_the_batches_as_batch_norm_does():
    join = Novelty(Novelty.Options(), SIZES)
    join.weights(known(seed=0), {})
    first = join.mean.clone()
    torch.testing.assert_close(first, torch.cat([*known(seed=0).values()], 1).mean(0))
    join.weights(known(seed=1), {})
    torch.testing.assert_close(join.mean, 0.9 * first + 0.1 * torch.cat([*known(seed=1).values()], 1).mean(0))
