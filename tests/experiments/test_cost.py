import pytest

from bilateral.experiments.cost import training_flops
from bilateral.models.config import ModelConfig
from bilateral.models.cost import NetworkCost
from bilateral.training.config import TrainingConfig


@pytest.mark.parametrize(
    ("left", "right", "views", "expected"),
    [
        (False, False, 1, 3 * 5 * 40 * 111),
        (True, False, 1, 5 * 40 * 100 + 3 * 5 * 40 * 11),
        (True, True, 0, 5 * 40 * 110 + 3 * 5 * 40 * 1),
        (True, True, 2, (2 * 40 + 7) * 110 + 3 * 5 * 40 * 1),
        (True, "untrained", 1, (40 + 7) * 110 + 3 * 5 * 40 * 1),
    ],
)
def test_what_is_frozen_costs_its_forward_pass_alone_and_once_where_features_are_kept(left, right, views, expected):
    model = ModelConfig(left={"freeze": left}, right={"freeze": right})
    config = TrainingConfig(epochs=5, feature_views=views)
    cost = NetworkCost(0, 0, {"left": 100, "right": 10}, 0, 1, fixed_until_join=bool(left and right))
    assert training_flops(cost, model, config, images=40, held_out=7) == expected
