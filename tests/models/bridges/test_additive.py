"""The additive bridge against its definition, and in networks that train."""

import pytest
import torch

from bilateral.base.errors import ConfigError
from bilateral.models.bridges.additive import Additive
from bilateral.models.build import build_network
from bilateral.models.config import ModelConfig

TINY = {"width": 1 / 16}
MAPS = {"left": torch.Size([2, 4, 4]), "right": torch.Size([3, 4, 4])}


def bridge(shapes, **options):
    made = Additive(Additive.Options(**options), shapes)
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


SAME = {"left": torch.Size([4, 3, 3]), "right": torch.Size([4, 3, 3])}


@pytest.mark.parametrize(("direction", "hears", "deaf"), [("to_left", "left", "right"), ("to_right", "right", "left")])
def test_one_direction_leaves_the_sender_as_it_is(direction, hears, deaf):
    made, values = bridge(SAME, direction=direction), draw(SAME)
    heard = made(values)
    assert torch.equal(heard[deaf], values[deaf]) and not torch.equal(heard[hears], values[hears])
    assert list(made.maps) == [hears]


@pytest.mark.parametrize("shapes", [SAME, {"left": torch.Size([4]), "right": torch.Size([4])}])
def test_a_homotopic_one_joins_channels_of_one_number(shapes):
    made, values = bridge(shapes, projection="homotopic", bandwidth=0.5), draw(shapes)
    weight = made.maps["left"].weight
    assert weight.shape == (2,)
    message = made(values)["left"] - values["left"]
    for channel in range(2):
        torch.testing.assert_close(message[:, channel], weight[channel] * values["right"][:, channel])
    assert not message[:, 2:].any()
    with pytest.raises(ConfigError, match="different numbers of channels"):
        bridge(MAPS, projection="homotopic")


def test_the_bandwidth_is_the_share_of_channels_that_are_sent():
    made, values = bridge(SAME, bandwidth=0.25), draw(SAME)
    others = {**values, "right": torch.cat([values["right"][:, :1], draw(SAME)["right"][:, 1:]], 1)}
    assert torch.equal(made(values)["left"], made(others)["left"])
    assert made.maps["left"].weight.shape == (4, 1, 1, 1)


def test_the_strength_is_a_factor_on_the_message():
    values = draw(SAME)
    weak, strong = Additive(Additive.Options(), SAME), Additive(Additive.Options(strength=3.0), SAME)
    torch.nn.init.normal_(weak.maps["left"].weight)
    strong.load_state_dict(weak.state_dict())
    torch.testing.assert_close(strong(values)["left"] - values["left"], 3 * (weak(values)["left"] - values["left"]))


@pytest.mark.parametrize("projection", ["full", "homotopic"])
@pytest.mark.parametrize(("sign", "factor"), [("excitatory", 1), ("inhibitory", -1)])
def test_a_sign_is_kept_through_training_and_weights_that_are_cut_off_come_back(sign, factor, projection):
    made = Additive(Additive.Options(sign=sign, projection=projection), SAME)
    optimizer = torch.optim.SGD(made.parameters(), 0.1)
    values = {
        side: torch.rand(8, *shape) for side, shape in SAME.items()
    }  # positive, so a message has the weights' sign

    def step(wanted):
        optimizer.zero_grad()
        message = made(values)["left"] - values["left"]
        (message - wanted).square().mean().backward()
        optimizer.step()
        return message

    for _ in range(30):
        assert (factor * step(-5.0 * factor) >= 0).all()
    for _ in range(200):
        message = step(5.0 * factor)
    assert (factor * message > 0).all()


def test_one_direction_can_be_silenced():
    bridges = {"callosum": {"kind": "additive", "between": {"left": "pool", "right": "pool"}}}

    def features(**lesions):
        model = ModelConfig.model_validate({"left": TINY, "right": TINY, "bridges": bridges, "lesions": lesions})
        network = build_network(model, 6, 3, seed=1).eval()
        for parameter in network.bridges.parameters():
            torch.nn.init.normal_(parameter, generator=torch.Generator().manual_seed(2))
        return network.features(torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(3)))

    heard, cut = features(), features(cut={"kind": "silence", "at": "callosum.to_left"})
    alone = features(cut={"kind": "silence", "at": "callosum"})
    assert torch.equal(cut["left"], alone["left"]) and torch.equal(cut["right"], heard["right"])
    assert not torch.equal(heard["left"], alone["left"])
    with pytest.raises(ConfigError, match=r"there are: left, right, callosum, callosum\.to_left, callosum\.to_right"):
        features(cut={"kind": "silence", "at": "callosum.to_middle"})
