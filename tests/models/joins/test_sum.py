import pytest
import torch

from bilateral.base.errors import ConfigError
from bilateral.models.build import build_network
from bilateral.models.config import ModelConfig
from bilateral.models.joins.sum import Sum


def test_it_adds_up_unit_by_unit():
    given = {"left": torch.tensor([[1.0, 2.0]]), "right": torch.tensor([[10.0, 20.0]])}
    assert Sum(Sum.Options(), {"left": 2, "right": 2})(given).tolist() == [[11.0, 22.0]]


def test_sides_of_two_sizes_are_refused():
    sides = {"left": {"width": 1 / 16}, "right": {"width": 1 / 8}}
    message = r"model\.join: the sides have different numbers of features \(left 32 and right 64\)"
    with pytest.raises(ConfigError, match=message):
        build_network(ModelConfig.model_validate({**sides, "join": "sum"}), 6, 3)
