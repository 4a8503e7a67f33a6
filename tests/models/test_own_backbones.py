"""Backbones of a user's own: what they must have, and the sentence where they do not."""

import sys

import pytest
import torch

from bilateral.base.errors import ConfigError, DataError
from bilateral.models.backbones import build_backbone
from bilateral.models.build import build_network, try_out
from bilateral.models.config import HemisphereConfig, ModelConfig


def build(arch, **settings):
    return build_backbone(HemisphereConfig(arch=arch, **settings))


OWN_BACKBONE = """
from torch import nn
from bilateral.models.backbones.base import Backbone

class Means(nn.Module):
    def forward(self, images):
        return images.mean((2, 3))

class Plain(Backbone):
    stages = ("pool",)
    reads = Backbone.reads | {"sparsity"}

    def __init__(self, config):
        super().__init__()
        self.config = config
        self.num_features = 3
        self.pool = Means()

class Fixed(Plain):
    reads = frozenset()

class Endless(Backbone):
    stages = ("pool",)

    def __init__(self, config):
        super().__init__()

class Unstaged(nn.Module):
    num_features = 3

    def __init__(self, config):
        super().__init__()

class Nameless(Backbone):
    num_features = 3

    def __init__(self, config):
        super().__init__()

class Named(Nameless):
    stages = "pool"

class Holed(Nameless):
    stages = ("pool",)

class Listed(Nameless):
    stages = ("blocks",)

    def __init__(self, config):
        super().__init__(config)
        self.blocks = nn.ModuleList([nn.Flatten()])

class Failing(Plain):
    def __init__(self, config):
        raise LookupError("no such layer")

class Leaving(Plain):
    def __init__(self, config):
        raise SystemExit(3)

class Boastful(Plain):
    def __init__(self, config):
        super().__init__(config)
        self.num_features = 4

class Nothing(nn.Module):
    def forward(self, images):
        return None

class Silent(Plain):
    def __init__(self, config):
        super().__init__(config)
        self.pool = Nothing()

class Wrong(nn.Module):
    def forward(self, images):
        return images.left

class Stumbling(Plain):
    def __init__(self, config):
        super().__init__(config)
        self.pool = Wrong()

class Lazy(Plain):
    def __init__(self, config):
        super().__init__(config)
        self.layer = nn.LazyLinear(3)

class Odd(Plain):
    reads = 5

class Counted(Plain):
    def __init__(self, config):
        super().__init__(config)
        self.num_features = 10**18

a_function = lambda config: Plain(config)
"""


def test_a_backbone_of_ones_own(tmp_path, monkeypatch):
    (tmp_path / "lab_backbones.py").write_text(OWN_BACKBONE)
    monkeypatch.syspath_prepend(tmp_path)
    backbone = build("lab_backbones:Plain", width=0.5, sparsity={"k": 0.5, "per_k": 0.5})
    assert backbone.config.width == 0.5 and backbone.config.sparsity.k == 0.5
    assert backbone(torch.zeros(3, 3, 32, 32)).shape == (3, 3)
    assert build("lab_backbones:Fixed").num_features == 3
    with pytest.raises(ConfigError, match=r"^width: .*lab_backbones:Fixed' has a fixed width"):
        build("lab_backbones:Fixed", width=0.5)
    with pytest.raises(ConfigError, match=r"lab_backbones:Endless' must have an int `num_features`"):
        build("lab_backbones:Endless")


@pytest.fixture
def lab(tmp_path, monkeypatch):
    (tmp_path / "lab_backbones.py").write_text(OWN_BACKBONE)
    (tmp_path / "leaving.py").write_text("import sys\nsys.exit(0)\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "lab_backbones", raising=False)


@pytest.mark.parametrize(
    ("arch", "message"),
    [
        ("torch.nn:Linear", r"^arch: 'torch.nn:Linear' must be a subclass of bilateral.models.backbones.base.Backbone"),
        ("torch:ones", "must be a subclass of"),
        ("builtins:dict", "must be a subclass of"),
        ("lab_backbones:a_function", "must be a subclass of"),
        ("lab_backbones:Unstaged", "must be a subclass of"),
        ("lab_backbones:Nameless", "must have a tuple `stages`"),
        ("lab_backbones:Named", "must have a tuple `stages`"),
        ("lab_backbones:Holed", "lists a stage 'pool' and has no such module"),
        (
            "lab_backbones:Listed",
            "its stage 'blocks' is a ModuleList, which cannot be called; make it an nn.Sequential",
        ),
        ("lab_backbones:Failing", r"failed: LookupError: no such layer \(.*lab_backbones.py, line \d+\)"),
        ("lab_backbones:Leaving", "failed: SystemExit"),
        ("lab_backbones:Lazy", "has lazy layers"),
        ("lab_backbones:Odd", "`reads`"),
        ("leaving:Net", "cannot import 'leaving:Net': SystemExit"),
    ],
)
def test_a_backbone_of_ones_own_that_cannot_be_built_is_a_sentence(lab, arch, message):
    with pytest.raises(ConfigError, match=message) as caught:
        build(arch)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("arch", "error", "message"),
    [
        ("lab_backbones:Boastful", ConfigError, r"gives torch.float32 \(2, 3\) .* says \(2, 4\)"),
        ("lab_backbones:Silent", ConfigError, "NoneType"),
        ("lab_backbones:Stumbling", DataError, "cannot take images.*AttributeError"),
        ("lab_backbones:Counted", ConfigError, "no fine head can have"),
        ("vgg11", DataError, "vgg11 cannot take images of 3 channels and 16x16 pixels"),
    ],
)
def test_a_backbone_that_does_not_do_what_it_says_is_a_sentence(lab, arch, error, message):
    config = ModelConfig(mode_hemis="unilateral", left={"arch": arch})
    with pytest.raises(error, match=message) as caught, torch.device("meta"):
        try_out(build_network(config, 100, 20), config, (16, 16))
    assert "\n" not in str(caught.value)
