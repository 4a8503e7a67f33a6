import pytest

from bilateral.benchmark.flops import forward_flops, training_flops
from bilateral.models.config import ModelConfig


def resnet9_multiply_adds(width: float) -> int:
    """By hand: channels in and out, pixels a side; every convolution is 3x3."""
    a, b, c, d = (round(width * channels) for channels in (64, 128, 256, 512))
    convolutions = [(3, a, 32), (a, b, 32), (b, b, 16), (b, b, 16), (b, c, 16), (c, d, 8), (d, d, 4), (d, d, 4)]
    heads = d * (100 + 20)
    return sum(9 * before * after * side**2 for before, after, side in convolutions) + heads


@pytest.mark.parametrize("width", [1.0, 0.25])
def test_flops_are_those_counted_by_hand(width):
    model = ModelConfig(mode_hemis="unilateral", left={"width": width})
    assert forward_flops(model) == 2 * resnet9_multiply_adds(width)
    both = ModelConfig(left={"width": width}, right={"width": width})
    assert forward_flops(both) == 4 * resnet9_multiply_adds(width)


def test_training_resnet9_takes_2_27_gflop_an_image():
    assert training_flops(ModelConfig(mode_hemis="unilateral")) == pytest.approx(2.27e9, rel=0.005)
