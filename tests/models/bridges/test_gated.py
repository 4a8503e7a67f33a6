"""The gated bridge against its definition."""

import pytest
import torch

from bilateral.base.errors import ConfigError
from bilateral.models.bridges.gated import Gated

MAPS = {"left": torch.Size([2, 4, 4]), "right": torch.Size([3, 8, 8])}


def gated(shapes=MAPS, **options):
    made = Gated(Gated.Options(**options), shapes)
    for number, parameter in enumerate(made.parameters()):
        torch.nn.init.normal_(parameter, generator=torch.Generator().manual_seed(number))
    return made


def draw(shapes=MAPS, seed=9):
    generator = torch.Generator().manual_seed(seed)
    return {side: torch.randn(5, *shape, generator=generator) for side, shape in shapes.items()}


def test_over_channels_each_channel_has_a_factor_from_the_means_of_the_other_side():
    made, values = gated(), draw()
    gate = made.gates["left"]
    expected = 2 * torch.sigmoid(values["right"].mean((2, 3)) @ gate.weight.T + gate.bias)
    torch.testing.assert_close(made(values)["left"], values["left"] * expected[:, :, None, None])


def test_over_positions_each_position_has_a_factor_from_the_channels_there():
    made, values = gated(over="positions"), draw()
    gate = made.gates["left"]
    sent = values["right"].unfold(2, 2, 2).unfold(3, 2, 2).mean((4, 5))
    expected = 2 * torch.sigmoid(torch.einsum("c,bchw->bhw", gate.weight[0, :, 0, 0], sent) + gate.bias)
    torch.testing.assert_close(made(values)["left"], values["left"] * expected[:, None])


def test_features_are_gated_too():
    shapes = {"left": torch.Size([2]), "right": torch.Size([3])}
    made, values = gated(shapes), draw(shapes)
    gate = made.gates["right"]
    torch.testing.assert_close(
        made(values)["right"], values["right"] * 2 * torch.sigmoid(values["left"] @ gate.weight.T + gate.bias)
    )
    with pytest.raises(ConfigError, match="over: positions needs ends that have positions"):
        gated(shapes, over="positions")


@pytest.mark.parametrize(("direction", "hears", "deaf"), [("to_left", "left", "right"), ("to_right", "right", "left")])
def test_one_direction_leaves_the_sender_as_it_is(direction, hears, deaf):
    made, values = gated(direction=direction), draw()
    heard = made(values)
    assert torch.equal(heard[deaf], values[deaf]) and not torch.equal(heard[hears], values[hears])
