import pytest

from bilateral.benchmark.flops import training_flops
from bilateral.models.config import ModelConfig


def test_training_resnet9_takes_2_27_gflop_an_image():
    assert training_flops(ModelConfig(mode_hemis="unilateral")) == pytest.approx(2.27e9, rel=0.005)
