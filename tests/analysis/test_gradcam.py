from typing import ClassVar

import pytest
import torch
from captum.attr import LayerGradCam
from torch import nn

from bilateral.analysis.gradcam import MERGED, chosen_stages, class_activation_maps, merge, resized, scaled
from bilateral.analysis.study import NotApplicableError
from bilateral.models.bridges.base import Bridge
from bilateral.models.joins.base import Join
from bilateral.models.network import Network

from . import handmade


def images(count=4, size=32):
    return torch.randn(count, 3, size, size, generator=torch.Generator().manual_seed(7))


def one_head(network, level):
    return lambda given: network(given).logits[level]


def best_of_both(network):
    """What the original takes gradients of: the sum of both heads' best logits."""
    return lambda given: sum(logits.amax(1) for logits in network(given).logits.values())


def assert_alike(found, expected):
    # Fresh weights make small maps.
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-4 * expected.max().item())


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ({"arch": "resnet9"}, {"arch": "resnet9"}),
        ({"arch": "vgg11_pool"}, {"arch": "vgg11"}),
        ({"arch": "resnet18"}, {"arch": "resnet9", "width": 0.125}),
        ({"arch": "sparse_resnet9", "sparsity": {"k": 0.3, "per_k": 0.5}}, {"arch": "inverted_resnet9"}),
    ],
    ids=lambda side: side["arch"],
)
def test_each_heads_map_in_each_hemisphere_is_captums(left, right):
    network, given = handmade.network(left, right), images()
    stages = chosen_stages(network, (32, 32))
    maps, logits = class_activation_maps(network, given, stages)
    levels = ("fine", "coarse", MERGED)
    assert set(maps) == {(level, side, stage) for level in levels for side in stages for stage in stages[side]}
    network.requires_grad_(True)
    for (level, side, stage), found in maps.items():
        layer = network.hemispheres[side].get_submodule(stage)
        if level == MERGED:
            expected = LayerGradCam(best_of_both(network), layer).attribute(given, relu_attributions=True)
        else:
            target = logits[level].argmax(1)
            method = LayerGradCam(one_head(network, level), layer)
            expected = method.attribute(given, target=target, relu_attributions=True)
        assert_alike(found, expected[:, 0].detach())
        assert found.shape[1] > 1 and found.min() >= 0
    assert sum((found > 0).any().item() for found in maps.values()) >= len(maps) / 2


def test_maps_of_an_image_do_not_depend_on_its_batch():
    network, given = handmade.network(), images()
    stages = chosen_stages(network, (32, 32))
    together, _ = class_activation_maps(network, given, stages)
    alone, _ = class_activation_maps(network, given[2:3], stages)
    for key, found in alone.items():
        torch.testing.assert_close(found[0], together[key][2], rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize("trainable", [False, True])
def test_the_network_is_left_as_it_was(trainable):
    network, given = handmade.network().requires_grad_(trainable), images()
    before = network(given)
    state = {name: value.clone() for name, value in network.state_dict().items()}
    _, logits = class_activation_maps(network, given, chosen_stages(network, (32, 32)))
    after = network(given)
    for level, expected in before.logits.items():
        assert after.logits[level].equal(expected)
        torch.testing.assert_close(logits[level], expected)
        assert after.logits[level].requires_grad == trainable and not logits[level].requires_grad
    assert all(parameter.grad is None for parameter in network.parameters())
    assert all(parameter.requires_grad == trainable for parameter in network.parameters())
    assert all(value.equal(state[name]) for name, value in network.state_dict().items())
    assert not any(module._forward_hooks for module in network.modules())


def test_hooks_are_removed_when_a_pass_fails():
    network = handmade.network()
    with pytest.raises(RuntimeError):
        class_activation_maps(network, torch.zeros(1, 5, 32, 32), {"left": ["res2"], "right": ["res2"]})
    assert not any(module._forward_hooks for module in network.modules())


class ToTheRight(Bridge):
    """Left's maps are added to right's."""

    between: ClassVar = {"left": "res1", "right": "conv2"}

    def forward(self, values):
        return {"left": values["left"], "right": values["right"] + values["left"]}


def test_hemispheres_that_talk_to_each_other():
    plain, given = handmade.network(), images()
    network = Network(plain.hemispheres, plain.heads, bridges={"callosum": ToTheRight(None, {})}).eval()
    stages = chosen_stages(network, (32, 32))
    assert stages == {"left": ["res1", "res2"], "right": ["res1", "res2"]}
    maps, logits = class_activation_maps(network, given, stages)
    assert logits["fine"].equal(network(given).fine) and not logits["fine"].allclose(plain(given).fine)
    apart, _ = class_activation_maps(plain, given, stages)
    network.requires_grad_(True)
    for (level, side, stage), found in maps.items():
        layer = getattr(network.hemispheres[side], stage)
        target, network_of = (
            (None, best_of_both(network))
            if level == MERGED
            else (
                logits[level].argmax(1),
                one_head(network, level),
            )
        )
        expected = LayerGradCam(network_of, layer).attribute(given, target=target, relu_attributions=True)
        assert_alike(found, expected[:, 0].detach())
    # What left says to right counts for left.
    assert not maps["fine", "left", "res1"].allclose(apart["fine", "left", "res1"], rtol=1e-2)


class LeftOnly(Join):
    def forward(self, features):
        return features["left"]


def test_a_hemisphere_that_no_head_hears_has_an_empty_map():
    plain = handmade.network()
    heads = {"fine": nn.Linear(32, 6), "coarse": nn.Linear(32, 3)}
    network = Network(plain.hemispheres, heads, join=LeftOnly(None, {})).eval()
    nn.init.ones_(network.heads["fine"].weight)
    maps, _ = class_activation_maps(network, images(), {"left": ["res2"], "right": ["res2"]})
    assert maps["fine", "left", "res2"].any() and not maps["fine", "right", "res2"].any()


def test_a_network_with_one_head_has_no_merged_map():
    plain = handmade.network()
    network = Network(plain.hemispheres, {"fine": plain.heads["fine"]}).eval()
    maps, _ = class_activation_maps(network, images(), {"left": ["res2"], "right": ["res2"]})
    assert set(maps) == {("fine", "left", "res2"), ("fine", "right", "res2")}


class Seeing(nn.Module):
    """Brightness in two channels, the second of which is not heard."""

    stages = ("maps", "pool")
    num_features = 2

    def __init__(self):
        super().__init__()
        self.maps = nn.Conv2d(3, 2, 4, stride=4, bias=False)
        self.maps.weight.data.fill_(1 / 48)
        self.pool = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())

    def forward(self, images):
        return self.pool(self.maps(images))

    def activations(self, images):
        return {"maps": self.maps(images), "pool": self(images)}


def test_a_map_lies_where_the_network_looks():
    heads = {"fine": nn.Linear(4, 6), "coarse": nn.Linear(4, 3)}
    network = Network({"left": Seeing(), "right": Seeing()}, heads).eval()
    for head in network.heads.values():
        nn.init.zeros_(head.weight)
        nn.init.zeros_(head.bias)
    # Left's first channel speaks for fine class 2; right's against it, and for coarse class 1.
    network.heads["fine"].weight.data[2] = torch.tensor([1.0, 0, -0.25, 0])
    network.heads["coarse"].weight.data[1] = torch.tensor([0, 0, 1.0, 0])
    given = torch.zeros(2, 3, 16, 16)
    given[0, :, :4, 12:] = 1
    given[1, :, 8:12, 4:8] = 3
    stages = {"left": ["maps"], "right": ["maps"]}
    assert chosen_stages(network, (16, 16)) == stages
    maps, _ = class_activation_maps(network, given, stages)
    expected = torch.zeros(2, 4, 4)
    expected[0, 0, 3], expected[1, 2, 1] = 1, 3
    # The gradient of a mean over 16 positions.
    torch.testing.assert_close(maps["fine", "left", "maps"], expected / 16)
    torch.testing.assert_close(maps["coarse", "right", "maps"], expected / 16)
    assert not maps["fine", "right", "maps"].any() and not maps["coarse", "left", "maps"].any()
    torch.testing.assert_close(maps[MERGED, "right", "maps"], 0.75 * expected / 16)


def test_where_is_looked():
    network = handmade.network({"arch": "resnet18"}, {"arch": "vgg11_pool"})
    assert chosen_stages(network, (32, 32)) == {"left": ["group4"], "right": ["features.14"]}
    # At 64x64 the last convolutions have 4x4 positions.
    assert chosen_stages(network, (64, 64))["right"] == ["features.19"]
    tiny = chosen_stages(handmade.network(), (16, 16))
    assert tiny == {"left": ["res1", "res2"], "right": ["res1", "res2"]}


class Flat(nn.Module):
    stages = ("all",)
    num_features = 3

    def __init__(self):
        super().__init__()
        self.all = nn.Sequential(nn.Flatten(), nn.LazyLinear(3))

    def forward(self, images):
        return self.all(images)


def test_a_backbone_without_positions_has_no_maps():
    plain = handmade.network()
    network = Network({"left": plain.hemispheres["left"], "right": Flat()}, {"fine": nn.Linear(35, 6)}).eval()
    with pytest.raises(NotApplicableError, match="right hemisphere"):
        chosen_stages(network, (16, 16))


def test_the_one_map_is_the_mean_of_all_each_at_a_maximum_of_1():
    maps = {
        (MERGED, "left", "a"): torch.tensor([[[0.0, 8.0], [4.0, 0.0]]]),
        (MERGED, "right", "a"): torch.tensor([[[0.5, 0.0], [0.0, 0.25]]]),
        (MERGED, "right", "b"): torch.zeros(1, 2, 2),
        ("fine", "right", "a"): torch.ones(1, 2, 2),
    }
    torch.testing.assert_close(merge(maps, (2, 2)), torch.tensor([[[1.0, 1.0], [0.5, 0.5]]]) / 3)
    large = merge(maps, (8, 8))
    assert large.shape == (1, 8, 8) and large.min() >= 0 and large.max() <= 1


def test_scaling_and_sizes():
    maps = torch.tensor([[[0.0, 2.0], [1.0, 4.0]], [[0.0, 0.0], [0.0, 0.0]]])
    assert scaled(maps).tolist() == [[[0, 0.5], [0.25, 1]], [[0, 0], [0, 0]]]
    expected = nn.Upsample((6, 6), mode="bilinear")(maps[:, None])[:, 0]
    torch.testing.assert_close(resized(maps, (6, 6)), expected)
