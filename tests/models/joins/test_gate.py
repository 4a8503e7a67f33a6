import pytest
import torch

from bilateral.models.build import build_network
from bilateral.models.config import ModelConfig
from bilateral.models.joins.concatenation import Concatenation
from bilateral.models.joins.gate import Gate

SIZES = {"left": 3, "right": 5}


def features(seed: int = 0):
    generator = torch.Generator().manual_seed(seed)
    return {side: torch.randn(4, count, generator=generator) for side, count in SIZES.items()}


def test_a_fresh_gate_is_concatenation():
    given = features()
    assert torch.equal(Gate(Gate.Options(), SIZES)(given), Concatenation(Gate.Options(), SIZES)(given))


def test_the_weights_are_of_each_image_and_weigh_each_side():
    side = {"width": 1 / 16}
    network = build_network(ModelConfig.model_validate({"left": side, "right": side, "join": "gate"}), 6, 3).eval()
    torch.nn.init.normal_(network.join.layer.weight, std=5.0, generator=torch.Generator().manual_seed(1))
    output = network(torch.randn(4, 3, 32, 32, generator=torch.Generator().manual_seed(2)))
    left, right = output.weights["left"], output.weights["right"]
    torch.testing.assert_close(left + right, torch.ones(4))
    assert left.max() > 1.1 * left.min()
    joined = torch.cat([2 * left[:, None] * output.features["left"], 2 * right[:, None] * output.features["right"]], 1)
    torch.testing.assert_close(network.joined(output.features), joined)
    torch.testing.assert_close(network.heads["fine"](joined), output.fine)


def test_its_cost_is_of_the_right_side():
    gate = Gate(Gate.Options(right=0.8, cost=0.1, cost_power=0.75), SIZES)
    assert gate.cost(gate.weights(features(), {})).item() == pytest.approx(0.1 * 4**0.75)
    assert Gate(Gate.Options(), SIZES).cost({}) is None


def test_it_learns_between_frozen_hemispheres_whose_features_are_kept():
    side = {"width": 1 / 16, "freeze": True}
    network = build_network(ModelConfig.model_validate({"left": side, "right": side, "join": "gate"}), 6, 3)
    assert network.fixed_until_join
    for _ in range(2):  # at the first step its layer's gradient needs heads alone, which are not zero
        network(torch.randn(4, 3, 32, 32)).fine.square().sum().backward()
    assert network.join.layer.weight.grad.abs().sum() > 0
