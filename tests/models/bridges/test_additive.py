"""The additive bridge against its definition, and in networks that train."""

import pytest
import torch

from bilateral.base.errors import ConfigError
from bilateral.models.bridges.additive import Additive
from bilateral.models.build import build_network
from bilateral.models.config import ModelConfig

TINY = {"width": 1 / 16}
MAPS = {"left": torch.Size([2, 4, 4]), "right": torch.Size([3, 4, 4])}


def bridge(shapes):
    made = Additive(Additive.Options(), shapes)
    for parameter in made.parameters():
        torch.nn.init.normal_(parameter)
    return made


def draw(shapes, count=5):
    return {side: torch.randn(count, *shape) for side, shape in shapes.items()}


def test_each_side_gets_a_linear_map_of_the_other_at_every_position():
    made, values = bridge(MAPS), draw(MAPS)
    heard = made(values)
    for to, sender in (("left", "right"), ("right", "left")):
        weight = made.maps[to].weight[:, :, 0, 0]
        expected = values[to] + torch.einsum("oi,bihw->bohw", weight, values[sender])
        torch.testing.assert_close(heard[to], expected)


def test_maps_of_another_size_are_averaged_or_repeated():
    shapes = {"left": torch.Size([1, 2, 2]), "right": torch.Size([1, 4, 4])}
    made, values = bridge(shapes), draw(shapes)
    heard = made(values)
    factor = made.maps["left"].weight.item()
    means = values["right"].unfold(2, 2, 2).unfold(3, 2, 2).mean((4, 5))
    torch.testing.assert_close(heard["left"], values["left"] + factor * means)
    factor = made.maps["right"].weight.item()
    repeated = values["left"].repeat_interleave(2, 2).repeat_interleave(2, 3)
    torch.testing.assert_close(heard["right"], values["right"] + factor * repeated)


def test_features_are_mapped_too():
    shapes = {"left": torch.Size([2]), "right": torch.Size([3])}
    made, values = bridge(shapes), draw(shapes)
    torch.testing.assert_close(made(values)["left"], values["left"] + values["right"] @ made.maps["left"].weight.T)


def test_maps_and_features_are_not_joined():
    with pytest.raises(ConfigError, match="one end has positions and the other has none"):
        Additive(Additive.Options(), {"left": torch.Size([2, 4, 4]), "right": torch.Size([3])})


def callosum(side, **between):
    bridges = {"callosum": {"kind": "additive", "between": {"left": "res1", "right": "res1"} | between}}
    return build_network(ModelConfig(left=side, right=side, bridges=bridges), 6, 3)


def test_between_frozen_hemispheres_the_bridge_alone_is_trained():
    frozen = {**TINY, "freeze": True}
    network = callosum(frozen).train()
    assert not network.fixed_until_join
    before = {name: value.clone() for name, value in network.state_dict().items()}
    images = torch.randn(8, 3, 32, 32)
    optimizer = torch.optim.SGD([p for p in network.parameters() if p.requires_grad], lr=1.0)
    for _ in range(2):
        network(images).fine.square().sum().backward()
        optimizer.step()
    for name, value in network.state_dict().items():
        assert torch.equal(value, before[name]) == name.startswith(("hemispheres.", "heads.coarse")), name


@pytest.mark.parametrize(
    "between, told",
    [
        (
            {"left": "res3"},
            r"bridges\.callosum\.between: there is no stage 'res3' on the left; there are: input",
        ),
        ({"left": "pool"}, r"model\.bridges\.callosum: .*one end has positions and the other has none"),
        ({"middle": "res1"}, r"bridges\.callosum\.between must name a stage of left and one of right"),
    ],
)
def test_a_bridge_between_places_that_do_not_go_together_is_refused(between, told):
    with pytest.raises((ConfigError, ValueError), match=told):
        callosum(TINY, **between)


def test_bridges_that_cross_are_refused():
    ends = {"first": ("conv2", "res1"), "second": ("res1", "conv2")}
    bridges = {
        name: {"kind": "additive", "between": {"left": left, "right": right}} for name, (left, right) in ends.items()
    }
    with pytest.raises(ConfigError, match=r"bridges\.second: it crosses the bridge first"):
        build_network(ModelConfig(left=TINY, right=TINY, bridges=bridges), 6, 3)
