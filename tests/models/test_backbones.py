"""Layers, sizes and initialisation of the backbones."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

from bilateral.base import memory
from bilateral.base.errors import ConfigError, OutOfMemoryError
from bilateral.models.backbones import build_backbone
from bilateral.models.build import build_network
from bilateral.models.config import HemisphereConfig, ModelConfig

# Parameters and features at width 1. The ResNets: as published for a 3x3 stem, without the classifier.
SIZES = {
    "resnet9": (6_568_000, 512),
    "sparse_resnet9": (6_570_240, 512),
    "inverted_resnet9": (2_820_288, 64),
    "vgg11": (128_766_336, 4096),
    "vgg11_pool": (9_220_480, 512),
    "resnet18": (11_168_832, 512),
    "resnet34": (21_276_992, 512),
    "resnet50": (23_500_352, 2048),
    "resnet101": (42_492_480, 2048),
    "resnet152": (58_136_128, 2048),
}


def build(arch, **settings):
    return build_backbone(HemisphereConfig(arch=arch, **settings))


def build_meta(arch, **settings):
    with torch.device("meta"):
        return build(arch, **settings)


@pytest.fixture(scope="module")
def images():
    return torch.randn(3, 3, 32, 32, generator=torch.Generator().manual_seed(2))


@pytest.mark.parametrize("arch", SIZES)
def test_parameters_and_features_at_width_1(arch):
    backbone = build_meta(arch)
    parameters = sum(parameter.numel() for parameter in backbone.parameters())
    assert (parameters, backbone.num_features) == SIZES[arch]


@pytest.mark.parametrize("arch", SIZES)
@pytest.mark.parametrize("width", [0.5, 2])
def test_width_scales_the_channels_of_every_layer(arch, width):
    for full, other in zip(build_meta(arch).modules(), build_meta(arch, width=width).modules(), strict=True):
        if isinstance(full, nn.Conv2d):
            assert other.out_channels == full.out_channels * width
            assert other.in_channels == (3 if full.in_channels == 3 else full.in_channels * width)
        if isinstance(full, nn.Linear):
            assert (other.in_features, other.out_features) == (full.in_features * width, full.out_features * width)


def test_a_tiny_width_leaves_one_channel():
    assert build("inverted_resnet9", width=0.001).num_features == 1


# In millions for one 32x32 image.
MULTIPLY_ADDS = {
    "resnet9": 379,
    "resnet18": 555,
    "resnet34": 1159,
    "resnet50": 1298,
    "resnet101": 2510,
    "resnet152": 3722,
}


@pytest.mark.parametrize("arch, millions", MULTIPLY_ADDS.items())
def test_multiply_adds(arch, millions):
    backbone = build_meta(arch).eval()
    with FlopCounterMode(display=False) as counter:
        backbone(torch.zeros(1, 3, 32, 32, device="meta"))
    assert round(counter.get_total_flops() / 2e6) == millions


@pytest.mark.parametrize("arch", SIZES)
def test_larger_images_give_features_of_the_same_length(arch):
    backbone = build(arch, width=1 / 16).eval()
    assert backbone(torch.randn(2, 3, 48, 40)).shape == (2, backbone.num_features)


def randomise_norms(module):
    for norm in module.modules():
        if isinstance(norm, nn.BatchNorm2d):
            for tensor in (norm.weight.data, norm.bias.data, norm.running_mean, norm.running_var):
                tensor.uniform_(0.2, 1.5)


def conv_norm(state, conv, norm, maps, stride=1, padding=1):
    maps = F.conv2d(maps, state[f"{conv}.weight"], state.get(f"{conv}.bias"), stride, padding)
    keys = ("running_mean", "running_var", "weight", "bias")
    return F.batch_norm(maps, *(state[f"{norm}.{key}"] for key in keys))


@pytest.mark.parametrize("arch", ["resnet9", "sparse_resnet9", "inverted_resnet9"])
def test_resnet9_computes_what_is_published(arch, images):
    backbone = build(arch, width=1 / 8).eval()
    randomise_norms(backbone)
    state = backbone.state_dict()

    def block(name, maps):
        return F.relu(conv_norm(state, f"{name}.conv", f"{name}.norm", maps))

    maps = F.max_pool2d(block("conv2", block("conv1", images)), 2)
    maps = block("res1.second", block("res1.first", maps)) + maps
    maps = F.max_pool2d(block("conv4", F.max_pool2d(block("conv3", maps), 2)), 2)
    maps = block("res2.second", block("res2.first", maps)) + maps
    expected = maps.mean((2, 3)) if arch == "resnet9" else F.max_pool2d(maps, 4).flatten(1)
    torch.testing.assert_close(backbone(images), expected)
    assert ("conv1.conv.bias" in state) == (arch != "resnet9")


@pytest.mark.parametrize("arch, depths", [("resnet18", (2, 2, 2, 2)), ("resnet50", (3, 4, 6, 3))])
def test_deep_resnets_compute_what_is_published(arch, depths, images):
    backbone = build(arch, width=1 / 16).eval()
    randomise_norms(backbone)
    state = backbone.state_dict()
    kernels = (3, 3) if arch == "resnet18" else (1, 3, 1)
    maps = F.relu(conv_norm(state, "stem.0", "stem.1", images))
    for group, depth in enumerate(depths, start=1):
        for number in range(depth):
            name = f"group{group}.{number}"
            stride = 2 if group > 1 and number == 0 else 1
            shortcut, branch = maps, maps
            if f"{name}.shortcut.0.weight" in state:
                shortcut = conv_norm(state, f"{name}.shortcut.0", f"{name}.shortcut.1", maps, stride, 0)
            for position, kernel in enumerate(kernels):
                # The stride is in the first 3x3 convolution.
                step = stride if position == kernels.index(3) else 1
                layer = f"{name}.residual.{3 * position}", f"{name}.residual.{3 * position + 1}"
                branch = conv_norm(state, *layer, branch, step, kernel // 2)
                branch = branch if position == len(kernels) - 1 else F.relu(branch)
            maps = F.relu(branch + shortcut)
    torch.testing.assert_close(backbone(images), maps.mean((2, 3)))


@pytest.mark.parametrize("arch", ["vgg11", "vgg11_pool"])
def test_vgg_computes_what_is_published(arch, images):
    backbone = build(arch, width=1 / 16).eval()
    state = backbone.state_dict()
    maps = images
    for number in (0, "pool", 3, "pool", 6, 8, "pool", 11, 13, "pool", 16, 18, "pool"):
        if number == "pool":
            maps = F.max_pool2d(maps, 2)
        else:
            maps = F.relu(
                F.conv2d(maps, state[f"features.{number}.weight"], state[f"features.{number}.bias"], padding=1)
            )
    expected = maps.flatten(1)
    if arch == "vgg11":
        expected = maps.expand(-1, -1, 7, 7).flatten(1)
        for number in (0, 3):
            expected = F.relu(
                F.linear(expected, state[f"classifier.{number}.weight"], state[f"classifier.{number}.bias"])
            )
    torch.testing.assert_close(backbone(images), expected)
    if arch == "vgg11":
        assert [layer.p for layer in backbone.classifier if isinstance(layer, nn.Dropout)] == [0.5, 0.5]


def test_vgg_starts_as_torchvision_starts_it():
    torch.manual_seed(0)
    for layer in build("vgg11", width=0.25).requires_grad_(False).modules():
        if isinstance(layer, nn.Conv2d):
            assert float(layer.weight.std()) == pytest.approx((2 / (9 * layer.out_channels)) ** 0.5, rel=0.15)
            assert float(layer.weight.abs().max()) > 2.2 * float(layer.weight.std()), "normal, not uniform"
        if isinstance(layer, nn.Linear):
            assert float(layer.weight.std()) == pytest.approx(0.01, rel=0.02)
        if isinstance(layer, nn.Conv2d | nn.Linear):
            assert not layer.bias.any()


@pytest.mark.parametrize("arch", ["resnet9", "sparse_resnet9", "resnet18"])
def test_resnets_start_as_pytorch_starts_them(arch):
    torch.manual_seed(0)
    for layer in build(arch, width=0.25).requires_grad_(False).modules():
        if isinstance(layer, nn.Conv2d):
            bound = layer.weight[0].numel() ** -0.5
            assert float(layer.weight.abs().max()) == pytest.approx(bound, rel=0.02)
            assert float(layer.weight.std()) == pytest.approx(bound / 3**0.5, rel=0.1)
        if isinstance(layer, nn.BatchNorm2d):
            assert (layer.weight == 1).all() and not layer.bias.any()


@pytest.mark.parametrize(
    "arch, given, momentum",
    [
        ("resnet9", None, 0.1),
        ("resnet9", "original", 0.9),
        ("resnet9", 0.3, 0.3),
        ("sparse_resnet9", "original", 0.1),
        ("sparse_resnet9", 0.3, 0.3),
        ("inverted_resnet9", 0.3, 0.3),
        ("resnet18", None, 0.1),
        ("resnet18", 0.3, 0.3),
        ("resnet50", 0.3, 0.3),
    ],
)
def test_batch_norm_momentum_reaches_every_layer(arch, given, momentum):
    backbone = build_meta(arch, batch_norm_momentum=given)
    assert {layer.momentum for layer in backbone.modules() if isinstance(layer, nn.BatchNorm2d)} == {momentum}


def test_momentum_is_the_share_of_the_newest_batch(images):
    backbone = build("resnet9", width=1 / 16, batch_norm_momentum="original")
    with torch.no_grad():
        backbone(images)
        mean = F.conv2d(images, backbone.conv1.conv.weight, padding=1).mean((0, 2, 3))
    torch.testing.assert_close(backbone.conv1.norm.running_mean, 0.9 * mean)


@pytest.mark.parametrize("arch", ["sparse_resnet9", "inverted_resnet9"])
def test_sparsity_stands_after_each_convolution(arch, images):
    backbone = build(arch, width=1 / 8, sparsity={"k": 0.1, "per_k": 1.0})
    blocks = [block for block in backbone.modules() if hasattr(block, "kwta")]
    assert len(blocks) == 8
    for block in blocks:
        assert [name for name, _ in block.named_children()][:3] == ["conv", "kwta", "norm"]
    maps = backbone.conv1.kwta(backbone.conv1.conv(images))
    assert int((maps != 0).sum((2, 3)).max()) == 103  # ceil(0.1 * 32 * 32)
    assert not any(hasattr(block, "kwta") for block in build(arch, width=1 / 8).modules())


@pytest.mark.parametrize("arch", [arch for arch in SIZES if not arch.endswith("_resnet9")])
def test_sparsity_is_refused_where_there_is_none(arch):
    with pytest.raises(ConfigError, match=f"sparsity: .*{arch}.*sparse_resnet9"):
        build_meta(arch, sparsity={"k": 0.1, "per_k": 0.5})


@pytest.mark.parametrize("arch", ["vgg11", "vgg11_pool"])
def test_a_momentum_is_refused_where_there_is_no_batch_norm(arch):
    with pytest.raises(ConfigError, match=f"^batch_norm_momentum: .*{arch}"):
        build_meta(arch, batch_norm_momentum=0.3)
    build_meta(arch, width=1 / 16, batch_norm_momentum="original")


@pytest.mark.parametrize(
    "arch", ["resnet", "nn.Linear", "", "torch.nn:", "no_such_module:Net", "torch.nn:NoSuchNet", ":Net", ".x:Net"]
)
def test_an_unknown_backbone_is_refused(arch):
    with pytest.raises(ConfigError, match=r"^arch: (unknown backbone|cannot import|.* must have the form)") as caught:
        build(arch)
    assert repr(arch) in str(caught.value)


def test_a_network_that_memory_cannot_hold_is_refused_before_it_is_built(monkeypatch):
    monkeypatch.setattr(memory, "available_bytes", lambda: 10_000_000)
    build_network(ModelConfig(mode_hemis="unilateral", left={"width": 0.25}), 100, 20)
    with pytest.raises(OutOfMemoryError, match=r"the network needs 0.1 GB of memory.*model.left.width"):
        build_network(ModelConfig(mode_hemis="unilateral", left={"width": 1}), 100, 20)
