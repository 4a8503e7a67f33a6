"""From config to network, and states into networks."""

import re

import pytest
import torch

from bilateral.base.errors import CheckpointError, ConfigError
from bilateral.models.build import build_network, hemisphere_state, load_state
from bilateral.models.config import ModelConfig

TINY = {"width": 1 / 16}
UNILATERAL = {"mode_hemis": "unilateral", "left": TINY}
BILATERAL = {"mode_hemis": "bilateral", "left": TINY, "right": TINY}


def build(given, seed=0, fine_count=6, coarse_count=3):
    return build_network(ModelConfig(**given), fine_count, coarse_count, seed)


def same(first, second):
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


@pytest.mark.parametrize(
    "given, total, trainable",
    [
        ({"mode_hemis": "unilateral", "mode_heads": "fine"}, 6_619_300, 6_619_300),
        ({"mode_hemis": "unilateral", "mode_heads": "coarse"}, 6_578_260, 6_578_260),
        ({"mode_hemis": "unilateral", "mode_heads": "both"}, 6_629_560, 6_629_560),
        ({"mode_hemis": "unilateral", "left": {"freeze": True}}, 6_629_560, 61_560),
        ({"mode_hemis": "bilateral"}, 13_259_000, 13_259_000),
        ({"left": {"freeze": True}, "right": {"freeze": True}}, 13_259_000, 123_000),
        ({"left": {"freeze": True}}, 13_259_000, 6_691_000),
    ],
)
def test_parameters_of_networks_for_cifar100(given, total, trainable):
    with torch.device("meta"):
        network = build(given, fine_count=100, coarse_count=20)
    sizes = [(parameter.numel(), parameter.requires_grad) for parameter in network.parameters()]
    assert sum(size for size, _ in sizes) == total
    assert sum(size for size, needs_gradient in sizes if needs_gradient) == trainable


@pytest.mark.parametrize("given, sides", [(UNILATERAL, ["left"]), (BILATERAL, ["left", "right"])])
def test_a_fresh_network_is_in_training_mode_on_the_cpu(given, sides):
    network = build(given)
    assert list(network.hemispheres) == sides and network.training
    assert all(tensor.device.type == "cpu" for tensor in network.state_dict().values())


@pytest.mark.parametrize(
    "heads, expected", [("fine", {"fine": 6}), ("coarse", {"coarse": 3}), ("both", {"fine": 6, "coarse": 3})]
)
def test_heads_are_dropout_and_one_linear_layer_each(heads, expected):
    network = build({**BILATERAL, "mode_heads": heads, "dropout": 0.25})
    assert {level: head[1].out_features for level, head in network.heads.items()} == expected
    for head in network.heads.values():
        assert [type(layer).__name__ for layer in head] == ["Dropout", "Linear"]
        assert head[0].options.p == 0.25 and head[1].in_features == 64


def test_a_hemisphere_starts_alike_whatever_stands_beside_it():
    left = hemisphere_state(build(UNILATERAL).state_dict(), "left", "")
    for given in (BILATERAL, {**BILATERAL, "right": {**TINY, "arch": "vgg11"}}, {**BILATERAL, "mode_heads": "fine"}):
        assert same(left, hemisphere_state(build(given).state_dict(), "left", ""))
    right = hemisphere_state(build({"mode_hemis": "unilateral", "right": TINY}).state_dict(), "right", "")
    assert same(right, hemisphere_state(build(BILATERAL).state_dict(), "right", ""))
    assert not torch.equal(left["conv1.conv.weight"], right["conv1.conv.weight"])


def test_the_seed_decides_every_weight_and_nothing_else_does():
    torch.manual_seed(1)
    first = build(BILATERAL, seed=5).state_dict()
    torch.manual_seed(2)
    assert same(first, build(BILATERAL, seed=5).state_dict())
    other = build(BILATERAL, seed=6).state_dict()
    for name in first:
        if name.endswith(("conv.weight", "1.weight", "1.bias")):
            assert not torch.equal(first[name], other[name]), name
    heads = [first[f"heads.{level}.1.weight"].flatten()[:8] for level in ("fine", "coarse")]
    assert not torch.equal(*heads)


def test_building_leaves_the_global_random_state_alone():
    state = torch.random.get_rng_state()
    build(BILATERAL)
    with pytest.raises(ConfigError):
        build({"left": {"arch": "no_such_net"}})
    assert torch.equal(torch.random.get_rng_state(), state)


def test_the_error_of_a_backbone_names_its_side():
    with pytest.raises(ConfigError, match=r"^model\.right\.sparsity: the backbone 'vgg11' has none"):
        build(
            {"left": TINY, "right": {"arch": "vgg11_pool", "sparsity": None}}
            | {"right": {"arch": "vgg11", "sparsity": {"k": 0.5, "per_k": 0.5}}}
        )


def test_a_state_goes_in_whole():
    network = build(BILATERAL, seed=1)
    load_state(network, build(BILATERAL, seed=2).state_dict(), "best.safetensors")
    assert same(network.state_dict(), build(BILATERAL, seed=2).state_dict())


CONV = "hemispheres.left.conv2.conv.weight"


@pytest.mark.parametrize(
    "change, message",
    [
        ({CONV: (9, 4, 3, 3)}, f"{CONV} is (9, 4, 3, 3) in the file and (8, 4, 3, 3) in the network"),
        ({"heads.fine.1.bias": (1,)}, "heads.fine.1.bias is (1,) in the file and (6,) in the network"),
        ({CONV: None}, f"{CONV} is missing in the file"),
        ({"heads.middle.1.bias": (1,)}, "heads.middle.1.bias has no place in the network"),
        ({CONV: None, "a": (1,), "b": (1,), "c": (1,), "d": (1,), "e": (1,)}, "and 2 more"),
    ],
)
def test_a_state_that_does_not_fit_is_named_and_changes_nothing(change, message):
    network = build(BILATERAL, seed=1)
    state = build(BILATERAL, seed=2).state_dict()
    for name, shape in change.items():
        state.pop(name, None)
        if shape is not None:
            state[name] = torch.zeros(shape)
    with pytest.raises(CheckpointError, match=re.escape(message)) as caught:
        load_state(network, state, "best.safetensors")
    assert str(caught.value).startswith("best.safetensors does not fit the network: ")
    assert same(network.state_dict(), build(BILATERAL, seed=1).state_dict())


def test_every_way_of_not_fitting_is_told_at_once():
    state = build({**UNILATERAL, "left": {"width": 1 / 8}}).state_dict()
    state["extra"] = state.pop("heads.coarse.1.bias")
    with pytest.raises(CheckpointError, match=r"conv1\.conv\.weight is \(8, 3, 3, 3\) .* and \d+ more$"):
        load_state(build(UNILATERAL), state, "other.safetensors")


def test_a_hemisphere_is_taken_out_of_a_network_of_the_same_side_or_of_one():
    both, single = build(BILATERAL).state_dict(), build(UNILATERAL, seed=4).state_dict()
    for side in ("left", "right"):
        taken = hemisphere_state(both, side, "")
        assert torch.equal(taken["conv1.conv.weight"], both[f"hemispheres.{side}.conv1.conv.weight"])
        assert same(hemisphere_state(single, side, ""), hemisphere_state(single, "left", ""))
        load_state(build(BILATERAL).hemispheres[side], taken, "")
    with pytest.raises(CheckpointError, match=r"heads\.safetensors holds no hemisphere"):
        hemisphere_state({"heads.fine.1.bias": torch.zeros(6)}, "left", "heads.safetensors")
