"""Silence, and lesions in a network."""

import pytest
import torch

from bilateral.base.errors import ConfigError
from bilateral.models.build import build_network
from bilateral.models.config import ModelConfig
from bilateral.models.lesions.silence import Silence

PART = {"width": 1 / 16, "parts": {"fuzzy": {"kind": "kwta", "after": "conv2", "k": 0.2, "per_k": 1.0}}}
BRIDGES = {"callosum": {"kind": "additive", "between": {"left": "res1", "right": "res1"}}}


def network(**lesions):
    made = build_network(ModelConfig(left=PART, right={"width": 1 / 16}, bridges=BRIDGES, lesions=lesions), 6, 3).eval()
    for name, parameter in made.bridges.named_parameters():
        torch.nn.init.normal_(parameter, generator=torch.Generator().manual_seed(len(name)))
    return made


@pytest.fixture(scope="module")
def images():
    return torch.randn(4, 3, 32, 32, generator=torch.Generator().manual_seed(1))


def test_it_puts_zeros_or_the_mean_in_place_of_what_is_said():
    said = torch.tensor([[1.0, 2.0], [3.0, 6.0]])
    assert torch.equal(Silence()(said), torch.zeros(2, 2))
    assert torch.equal(Silence(Silence.Options(replacement="mean"))(said), torch.tensor([[2.0, 4.0], [2.0, 4.0]]))


@pytest.mark.parametrize("at", ["left", "right"])
def test_a_silent_side_gives_zeros_to_the_join_and_the_other_speaks_as_before(at, images):
    features, intact = network(cut={"kind": "silence", "at": at}).features(images), network().features(images)
    for side, values in features.items():
        assert torch.equal(values, torch.zeros_like(values) if side == at else intact[side])


def test_without_a_bridge_s_messages_the_hemispheres_are_as_apart(images):
    apart = build_network(ModelConfig(left=PART, right={"width": 1 / 16}), 6, 3).eval()
    cut = network(cut={"kind": "silence", "at": "callosum"})
    expected, intact = apart.features(images), network().features(images)
    for side, values in cut.features(images).items():
        assert torch.equal(values, expected[side]) and not torch.allclose(values, intact[side])


def test_without_a_part_s_changes_the_stage_is_as_it_was(images):
    plain = build_network(ModelConfig(left={"width": 1 / 16}, right={"width": 1 / 16}), 6, 3).eval()
    cut = network(part={"kind": "silence", "at": "left.fuzzy"}, bridge={"kind": "silence", "at": "callosum"})
    torch.testing.assert_close(cut.features(images)["left"], plain.features(images)["left"])


def test_lesions_act_in_evaluation_alone_and_for_the_time_of_a_block(images):
    cut, intact = network(cut={"kind": "silence", "at": "left"}).train(), network()
    assert cut.features(images)["left"].any()
    with intact.lesioned({"left": Silence(), "right": Silence()}):
        assert not any(values.any() for values in intact.features(images).values())
    assert all(values.any() for values in intact.features(images).values())


def test_a_lesion_of_nothing_is_refused():
    with pytest.raises(ConfigError, match=r"no 'middle' to lesion; there are: left, right, left\.fuzzy, callosum"):
        network(cut={"kind": "silence", "at": "middle"})
    with pytest.raises(ValueError, match="there is no 'conv2'"), network().lesioned({"conv2": Silence()}):
        pass


def test_a_lesion_of_its_own_can_be_healed_for_the_time_of_a_block(images):
    cut = network(cut={"kind": "silence", "at": "left"})
    with cut.lesioned({"right": Silence()}, healed=["cut"]):
        features = cut.features(images)
    assert features["left"].any() and not features["right"].any()
    assert not cut.features(images)["left"].any()


def test_what_may_be_lesioned_is_named_once():
    both = ["left", "right", "left.fuzzy", "callosum", "callosum.to_left", "callosum.to_right"]
    assert network().targets == both
    bridges = {"callosum": {**BRIDGES["callosum"], "direction": "to_left"}}
    one_way = build_network(ModelConfig(left=PART, right={"width": 1 / 16}, bridges=bridges), 6, 3)
    assert one_way.targets == both[:4]
    with one_way.lesioned({"callosum.to_left": Silence()}):  # a sweep may name it
        pass
