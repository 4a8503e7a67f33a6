"""Attention between the hemispheres."""

import pytest
import torch

from bilateral.base.errors import ConfigError
from bilateral.models.bridges.attention import Attention
from bilateral.models.build import build_network
from bilateral.models.config import ModelConfig

SHAPES = {"left": torch.Size([4, 8, 8]), "right": torch.Size([6, 4, 4])}


def values():
    generator = torch.Generator().manual_seed(0)
    return {side: torch.randn(3, *shape, generator=generator) for side, shape in SHAPES.items()}


def trained(**options):
    torch.manual_seed(1)
    bridge = Attention(Attention.Options(**options), SHAPES)
    for layer in bridge.outputs.values():
        torch.nn.init.normal_(layer.weight)
    return bridge


@pytest.mark.parametrize("over", ["positions", "channels"])
def test_it_adds_what_is_asked_weighed_by_attention(over):
    bridge, given = trained(over=over), values()
    weights = bridge.weights("right", given["right"], given["left"])
    assert weights.shape == ((3, 16, 64) if over == "positions" else (3, 6, 4))
    torch.testing.assert_close(weights.sum(2), torch.ones(weights.shape[:2]))
    if over == "positions":
        found = torch.einsum("bij,bcj->bci", weights, given["left"].flatten(2)).view(3, 4, 4, 4)
    else:
        pooled = torch.nn.functional.avg_pool2d(given["left"], 2)
        found = torch.einsum("bij,bjhw->bihw", weights, pooled)
    torch.testing.assert_close(bridge(given)["right"], given["right"] + bridge.outputs["right"](found))


def test_one_direction_leaves_the_sender_as_it_is():
    given, heard = values(), trained(direction="to_left")(values())
    assert torch.equal(heard["right"], given["right"]) and not torch.equal(heard["left"], given["left"])


def test_features_without_positions_are_refused():
    side = {"width": 1 / 16}
    bridges = {"callosum": {"kind": "attention", "between": {"left": "pool", "right": "pool"}}}
    with pytest.raises(ConfigError, match=r"model\.bridges\.callosum: there are no positions at this place"):
        build_network(ModelConfig(left=side, right=side, bridges=bridges), 4, 2)
