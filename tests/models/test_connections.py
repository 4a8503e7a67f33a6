"""Receptive fields and connectivity."""

import pytest
import torch
from torch import nn

from bilateral.base.errors import ConfigError
from bilateral.models.build import build_network
from bilateral.models.config import ModelConfig


def hemisphere(arch="resnet9", width=1 / 8, seed=0, **connections):
    left = {"arch": arch, "width": width, "connections": connections or None}
    return build_network(ModelConfig(mode_hemis="unilateral", left=left), 4, 2, seed).hemispheres["left"]


def reach(layer: nn.Module) -> int:
    """The width, in pixels, of what one unit in the middle sees."""
    images = torch.randn(1, 3, 33, 33, requires_grad=True)
    layer(images)[0, 0, 16, 16].backward()
    columns = torch.nonzero(images.grad.abs().sum((0, 1, 2)))
    return int(columns.max() - columns.min()) + 1


@pytest.mark.parametrize(
    ("connections", "expected"), [({}, 3), ({"kernel": 7}, 7), ({"dilation": 3}, 7), ({"kernel": 1}, 1)]
)
def test_a_unit_sees_as_far_as_kernel_and_dilation_say(connections, expected):
    conv = hemisphere(**connections).conv1.conv
    assert reach(conv) == expected
    assert conv(torch.ones(1, 3, 32, 32)).shape[2:] == (32, 32)


def test_groups_cut_the_connections_between_channels_but_not_from_the_image():
    whole, cut = hemisphere(), hemisphere(groups=4)
    assert cut.conv1.conv.groups == 1
    assert cut.res1.first.conv.groups == 4
    assert 4 * cut.res1.first.conv.weight.numel() == whole.res1.first.conv.weight.numel()


def test_a_share_of_the_connections_is_kept_through_training():
    network = hemisphere(share=0.25)
    kernels = [module for module in network.modules() if isinstance(module, nn.Conv2d)]
    absent = [kernel.weight == 0 for kernel in kernels]
    assert all(abs(each.float().mean().item() - 0.75) < 0.01 for each in absent)
    optimizer = torch.optim.SGD(network.parameters(), 0.1, momentum=0.9)
    for _ in range(2):
        network(torch.randn(4, 3, 32, 32)).square().sum().backward()
        optimizer.step()
    for kernel, missing in zip(kernels, absent):
        assert torch.equal(kernel.weight == 0, missing)


def test_a_share_leaves_the_size_of_the_values_about_as_it_was():
    images = torch.randn(8, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    whole, half = (hemisphere(width=1, **given).conv1.conv(images).std().item() for given in ({}, {"share": 0.5}))
    assert half == pytest.approx(whole, rel=0.15)


def test_masks_differ_by_seed_and_are_the_same_for_one_seed():
    first, again, other = (hemisphere(share=0.5, seed=seed).res1.first.conv.weight == 0 for seed in (0, 0, 1))
    assert torch.equal(first, again) and not torch.equal(first, other)


def test_a_backbone_draws_its_changed_layers_as_it_draws_the_others():
    changed = hemisphere("vgg11_pool", 1.0, kernel=5).features[3].weight
    assert changed.shape == (128, 64, 5, 5)
    assert changed.std().item() == pytest.approx((2 / (128 * 25)) ** 0.5, rel=0.05)  # of He et al., by the outputs


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"kernel": 4}, r"model\.left\.connections\.kernel: 4 has no middle; choose an odd number"),
        ({"groups": 3}, r"model\.left\.connections\.groups: 3 does not divide the 8 and 16 channels of conv2\.conv"),
    ],
)
def test_what_cannot_be_is_refused(given, message):
    with pytest.raises(ConfigError, match=message):
        hemisphere(**given)
