"""The page on parts: its config and its module of one's own are real, and do what they say."""

import re
from pathlib import Path

import pytest
import torch
import yaml

from bilateral.base.errors import ConfigError
from bilateral.models.build import build_network, try_out
from bilateral.models.config import ModelConfig

PAGE = (Path(__file__).parents[2] / "docs" / "parts.md").read_text()
CONFIGS = [yaml.safe_load(text)["model"] for text in re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)]


@pytest.fixture(autouse=True)
def my_kinds(tmp_path, monkeypatch):
    for module in re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL):
        (tmp_path / module.split()[1]).write_text(module)
    monkeypatch.syspath_prepend(tmp_path)


@pytest.fixture(scope="module")
def images():
    return torch.randn(3, 3, 32, 32, generator=torch.Generator().manual_seed(1))


def build(**changes):
    sides = {side: {"width": 1 / 16, **changes.pop(side, {})} for side in ("left", "right")}
    return build_network(ModelConfig.model_validate({**changes, **sides}), 6, 3).eval()


def test_the_first_config_has_a_kind_of_each(images):
    network = build(**{key: value for key, value in CONFIGS[0].items() if key not in ("left", "right")})
    assert network(images).fine.shape == (3, 6)
    config = ModelConfig.model_validate(CONFIGS[0])
    assert {*config.kinds} >= {"noise", "kwta", "additive", "concat", "silence"}


def test_a_part_of_ones_own_stands_where_the_config_says(images):
    plain, network = build(), build(left=CONFIGS[1]["left"])
    halved, whole = network.activations(images)["left", "conv2"], plain.activations(images)["left", "conv2"]
    assert torch.equal(halved, 0.5 * whole) and halved.any()


def test_a_gate_of_ones_own_weights_each_image_and_learns(images):
    network = build(join=CONFIGS[1]["join"])
    output = network(images)
    left, right = output.weights["left"], output.weights["right"]
    torch.testing.assert_close(left + right, torch.ones(3))
    assert not torch.allclose(left[0], left[1])
    plain = network.features(images)
    joined = torch.cat([2 * left[:, None] * plain["left"], 2 * right[:, None] * plain["right"]], 1)
    torch.testing.assert_close(network.heads["fine"](joined), output.fine)
    output.fine.square().sum().backward()
    assert network.join.gate.weight.grad.any()


@pytest.mark.parametrize(
    "changes, told",
    [
        (
            {"join": {"kind": "my_kinds:Gate", "options": {"cost": 1}}},
            r"model\.join\.cost: unknown setting; Gate has: none",
        ),
        ({"join": {"kind": "my_kinds:Scaled"}}, r"model\.join\.kind: 'my_kinds:Scaled' is no subclass of .*:Join"),
        ({"join": {"kind": "my_kinds:Gates"}}, r"model\.join\.kind: cannot import 'my_kinds:Gates'"),
        (
            {"left": {"parts": {"s": {"kind": "my_kinds:Scaled", "after": "conv2", "options": {"factor": "big"}}}}},
            r"model\.left\.parts\.s\.factor: .*, not 'big'",
        ),
    ],
)
def test_what_ones_own_kind_does_not_have_is_told(changes, told):
    with pytest.raises(ConfigError, match=told):
        build(**changes)


def test_a_backbone_of_ones_own_is_walked_through(images):
    network = build(
        left={"arch": "my_hemisphere:Small", "width": 0.25, "parts": {"gain": {"after": "conv", "factor": 2}}}
    )
    found = network.activations(images)
    assert found["left", "conv"].shape == (3, 16, 32, 32)
    torch.testing.assert_close(found["left", "pool"], found["left", "conv"].mean((2, 3)))


WRONG = """
from bilateral.models.backbones.base import Backbone
from bilateral.models.joins.base import Join

class Silent(Join):
    def forward(self, features):
        return features["left"]

class Holed(Backbone):
    stages = ("first", "second")
    def __init__(self, config):
        super().__init__()
        self.num_features = 3
"""


def test_what_ones_own_code_forgets_is_named(tmp_path):
    (tmp_path / "wrong_kinds.py").write_text(WRONG)
    with pytest.raises(ConfigError, match="'wrong_kinds:Silent' must have an int `num_features`"):
        build(join={"kind": "wrong_kinds:Silent"})
    with pytest.raises(ConfigError, match="'wrong_kinds:Holed' lists a stage 'first' and has no"):
        build(left={"arch": "wrong_kinds:Holed", "width": 1})


@pytest.mark.parametrize("kind", ["part", "bridge", "join", "lesion"])
def test_a_kind_of_ones_own_without_forward_is_refused_when_the_network_is_built(tmp_path, kind):
    base = kind.capitalize()
    text = f"from bilateral.models.{kind}s.base import {base}\n\n\nclass Idle({base}):\n    pass\n"
    (tmp_path / f"idle_{kind}.py").write_text(text)
    name = f"idle_{kind}:Idle"
    given = {
        "part": {"left": {"parts": {"idle": {"kind": name, "after": "res1"}}}},
        "bridge": {"bridges": {"idle": {"kind": name, "between": {"left": "res1", "right": "res1"}}}},
        "join": {"join": name},
        "lesion": {"lesions": {"idle": {"kind": name, "at": "left"}}},
    }
    with pytest.raises(ConfigError, match=rf"'{name}' failed: TypeError: .*abstract.*forward"):
        build(**given[kind])


def test_a_bridge_and_a_lesion_of_ones_own(images):
    callosum = {"kind": "my_kinds:Borrow", "between": {"left": "pool", "right": "pool"}}
    plain, bridged = build(), build(bridges={"callosum": callosum})
    alone, heard = plain.features(images), bridged.features(images)
    torch.testing.assert_close(heard["left"], alone["left"] + 0.1 * alone["right"])
    damaged = build(bridges={"callosum": callosum}, lesions={"cut": {"kind": "my_kinds:Loss", "at": "left"}})
    left = damaged.features(images)["left"]
    assert not left[:, :16].any() and torch.equal(left[:, 16:], heard["left"][:, 16:])


MISTAKEN = """
from bilateral.models.parts.base import Part


class Flat(Part):
    def forward(self, values):
        return values.mean(1)


class Nothing(Part):
    def forward(self, values):
        values * 2


class Broken(Part):
    def forward(self, values):
        return values + values.nothing
"""


@pytest.mark.parametrize(
    ("kind", "told"),
    [
        (
            "Flat",
            r"\.parts\.x: what it gives does not fit into the stage right\.\w+: \(B, \d+, \d+\), where it got \(B, ",
        ),
        ("Nothing", r"model\.right\.parts\.x: Nothing must give a tensor of floats, not NoneType"),
        ("Broken", r"model\.right\.parts\.x: Broken failed: AttributeError: .* \(.*mistaken\.py, line 17\)"),
    ],
)
def test_a_part_with_a_mistake_is_named(tmp_path, kind, told):
    (tmp_path / "mistaken.py").write_text(MISTAKEN)
    part = {"kind": f"mistaken:{kind}", "after": "conv1"}
    config = ModelConfig.model_validate({"right": {"width": 1 / 16, "parts": {"x": part}}, "left": {"width": 1 / 16}})
    with pytest.raises(ConfigError, match=told):
        try_out(build_network(config, 6, 3), config, (32, 32))


def test_a_part_of_ones_own_has_parameters_that_learn(images):
    part = {"divisive": {"kind": "my_parts:Divisive", "after": "conv2"}}
    network = build(right={"parts": part})
    network(images).fine.square().sum().backward()
    (strength,) = (value for name, value in network.named_parameters() if name.endswith("strength"))
    assert strength.grad.abs().min() > 0
