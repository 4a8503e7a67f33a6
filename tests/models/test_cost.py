import pytest

from bilateral.models.config import ModelConfig
from bilateral.models.cost import network_cost, network_parameters


def resnet9_multiply_adds(width: float) -> int:
    """By hand: channels in and out, pixels a side; every convolution is 3x3."""
    a, b, c, d = (round(width * channels) for channels in (64, 128, 256, 512))
    convolutions = [(3, a, 32), (a, b, 32), (b, b, 16), (b, b, 16), (b, c, 16), (c, d, 8), (d, d, 4), (d, d, 4)]
    heads = d * (100 + 20)
    return sum(9 * before * after * side**2 for before, after, side in convolutions) + heads


@pytest.mark.parametrize("width", [1.0, 0.25])
def test_flops_are_those_counted_by_hand(width):
    model = ModelConfig(mode_hemis="unilateral", left={"width": width})
    assert network_cost(model, 100, 20, (32, 32)).forward_flops == 2 * resnet9_multiply_adds(width)
    both = ModelConfig(left={"width": width}, right={"width": width})
    assert network_cost(both, 100, 20, (32, 32)).forward_flops == 4 * resnet9_multiply_adds(width)


def test_parameters_are_those_of_the_reference():
    cost = network_cost(ModelConfig(left={"freeze": True}, right={"freeze": True}), 100, 20, (32, 32))
    assert (cost.parameters, cost.trainable_parameters) == (13_259_000, 123_000)
    assert network_parameters(ModelConfig(), 100, 20, (32, 32)) == 13_259_000
    whole = network_cost(ModelConfig(mode_hemis="unilateral"), 100, 20, (32, 32))
    assert whole.parameters == whole.trainable_parameters == 6_629_560
