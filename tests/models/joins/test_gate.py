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
    gate, given = Gate(Gate.Options(), SIZES), features()
    torch.nn.init.normal_(gate.layer.weight, generator=torch.Generator().manual_seed(1))
    weights = gate.weights(given)
    torch.testing.assert_close(weights.sum(1), torch.ones(4))
    assert weights[:, 0].std() > 0.05
    joined = gate(given)
    torch.testing.assert_close(joined[:, :3], 2 * weights[:, :1] * given["left"])
    torch.testing.assert_close(joined[:, 3:], 2 * weights[:, 1:] * given["right"])


def test_it_learns_between_frozen_hemispheres_whose_features_are_kept():
    side = {"width": 1 / 16, "freeze": True}
    network = build_network(ModelConfig.model_validate({"left": side, "right": side, "join": "gate"}), 6, 3)
    assert network.fixed_until_join
    for _ in range(2):  # at the first step its layer's gradient needs heads alone, which are not zero
        network(torch.randn(4, 3, 32, 32)).fine.square().sum().backward()
    assert network.join.layer.weight.grad.abs().sum() > 0
