"""Hemispheres side by side: joining, freezing, ensembles."""

import pytest
import torch
from torch import nn

from bilateral.models.build import build_head, build_network
from bilateral.models.config import ModelConfig
from bilateral.models.ensemble import Ensemble
from bilateral.models.joins.base import Join
from bilateral.models.network import Network

TINY = {"width": 1 / 16}


class Means(nn.Module):
    """Features that show where they come from: the mean of the images, times a factor."""

    def __init__(self, factor, count):
        super().__init__()
        self.factor, self.num_features = factor, count

    def forward(self, images):
        return self.factor * images.mean((1, 2, 3))[:, None].expand(-1, self.num_features)


def build(seed=0, **given):
    return build_network(ModelConfig(**given), 6, 3, seed)


def train_a_step(network, images):
    optimizer = torch.optim.AdamW([p for p in network.parameters() if p.requires_grad], lr=0.1, weight_decay=0.5)
    network.train()
    for _ in range(2):
        output = network(images)
        (output.fine.square().sum() + output.coarse.square().sum()).backward()
        optimizer.step()
        optimizer.zero_grad()


@pytest.fixture(scope="module")
def images():
    return torch.randn(4, 3, 32, 32, generator=torch.Generator().manual_seed(3))


def test_features_are_joined_left_first(images):
    heads = {"fine": build_head("fine", 5, 6, 0.0), "coarse": build_head("coarse", 5, 3, 0.0)}
    network = Network({"left": Means(1.0, 2), "right": Means(-10.0, 3)}, heads)
    output = network(images)
    means = images.mean((1, 2, 3))[:, None]
    expected = torch.cat([means, means, *[-10 * means] * 3], dim=1)
    assert list(output.features) == ["left", "right"]
    assert torch.equal(output.joined, expected) and torch.equal(network.join(output.features), expected)
    assert torch.equal(output.fine, heads["fine"][1](expected))
    assert torch.equal(output.coarse, heads["coarse"][1](expected))
    again = network.classify(network.features(images))
    assert torch.equal(again.fine, output.fine) and torch.equal(again.coarse, output.coarse)


@pytest.mark.parametrize("heads, levels", [("fine", ["fine"]), ("coarse", ["coarse"]), ("both", ["fine", "coarse"])])
def test_only_the_heads_that_there_are_give_logits(heads, levels, images):
    output = build(mode_hemis="unilateral", left=TINY, mode_heads=heads)(images)
    assert list(output.logits) == levels
    assert (output.fine is None, output.coarse is None) == ("fine" not in levels, "coarse" not in levels)


def test_mode_out_feature_gives_what_the_heads_would_get(images):
    config = {"left": TINY, "right": {**TINY, "arch": "vgg11_pool"}}
    output, features = build(**config).eval()(images), build(mode_out="feature", **config).eval()(images)
    assert features.fine is None and features.coarse is None and features.logits == {}
    assert torch.equal(features.joined, output.joined)
    assert [tuple(values.shape) for values in features.features.values()] == [(4, 32), (4, 32)]


def test_dropout_stands_before_the_heads_alone(images):
    network = build(left=TINY, right=TINY, dropout=0.9)
    features = network.eval().features(images)
    assert torch.equal(network.classify(features).fine, network.classify(features).fine)
    network.train()
    assert not torch.equal(network.classify(features).fine, network.classify(features).fine)


@pytest.mark.parametrize("arch", ["resnet9", "vgg11", "sparse_resnet9", "resnet18"])
def test_a_frozen_hemisphere_is_bit_identical_after_training(arch, images):
    network = build(left={**TINY, "arch": arch, "freeze": True}, right=TINY)
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    features = network.features(images)["left"]
    train_a_step(network, images)
    after = network.state_dict()
    for name, tensor in before.items():
        if name.startswith("hemispheres.left."):
            assert torch.equal(after[name], tensor), name
        elif not name.endswith("conv.bias"):
            assert not torch.equal(after[name], tensor), name
    assert torch.equal(network.features(images)["left"], features)


def test_dropout_of_a_frozen_vgg11_is_off_in_training(images):
    network = build(left={**TINY, "arch": "vgg11", "freeze": True}, right={**TINY, "arch": "vgg11"}).train()
    first, second = network.features(images), network.features(images)
    assert torch.equal(first["left"], second["left"])
    assert not torch.equal(first["right"], second["right"])
    assert not first["left"].requires_grad and first["right"].requires_grad


def test_a_frozen_hemisphere_stays_in_evaluation_mode_whatever_is_set():
    network = build(left={**TINY, "freeze": True}, right=TINY)
    for mode in (True, False, True):
        assert network.train(mode) is network
        assert {module.training for module in network.hemispheres["left"].modules()} == {False}
        assert {module.training for module in network.hemispheres["right"].modules()} == {mode}
        assert network.heads.training is mode
    assert {module.training for module in network.eval().modules()} == {False}


def members(count=2, **given):
    networks = [build(seed, mode_hemis="unilateral", left=TINY, **given).eval() for seed in range(count)]
    for network in networks:
        for head in network.heads.values():
            head[1].weight.data.mul_(20)
    return networks


@pytest.mark.parametrize("count", [2, 3])
def test_an_ensemble_takes_the_mean_of_logits(count, images):
    networks = members(count)
    output = Ensemble(networks)(images)
    for level in ("fine", "coarse"):
        expected = sum(network(images).logits[level] for network in networks) / count
        torch.testing.assert_close(output.logits[level], expected)
    assert list(output.features) == [f"{number}.left" for number in range(count)]
    assert torch.equal(output.features["1.left"], networks[1](images).features["left"])


@pytest.mark.parametrize("count", [2, 3])
def test_an_ensemble_takes_the_mean_of_probabilities(count, images):
    networks = members(count)
    output = Ensemble(networks, average="probabilities")(images)
    for level in ("fine", "coarse"):
        expected = sum(network(images).logits[level].softmax(1) for network in networks) / count
        torch.testing.assert_close(output.logits[level].exp(), expected)
    assert not torch.allclose(output.fine.softmax(1), Ensemble(networks)(images).fine.softmax(1), atol=1e-3)


def test_an_ensemble_is_for_evaluation_only():
    ensemble = Ensemble(members())
    assert ensemble.train() is ensemble
    assert not any(module.training for module in ensemble.modules())
    assert not any(parameter.requires_grad for parameter in ensemble.parameters())


def test_parameters_of_an_ensemble_of_two_for_cifar100():
    with torch.device("meta"):
        networks = [build_network(ModelConfig(mode_hemis="unilateral"), 100, 20, seed) for seed in (0, 1)]
    assert sum(parameter.numel() for parameter in Ensemble(networks).parameters()) == 13_259_120


class Sum(Join):
    def forward(self, features):
        return sum(features.values())


def test_a_join_of_ones_own_joins_as_it_likes(images):
    hemispheres = {"left": Means(1.0, 4), "right": Means(2.0, 4)}
    network = Network(hemispheres, {"fine": nn.Identity()}, join=Sum(None, {}))
    assert torch.equal(network(images).fine, 3 * images.mean((1, 2, 3))[:, None].expand(-1, 4))
