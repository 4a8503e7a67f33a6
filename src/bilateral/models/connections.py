"""The connections of a hemisphere: how far its units see, and to how many others each is connected."""

from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn.utils import parametrize

from ..base.errors import ConfigError
from ..base.section import Section, Whole


class ConnectionsConfig(Section):
    """Receptive fields and connectivity of all convolutions of a hemisphere.

    In the Differential Encoding model a hemisphere with narrow receptive fields encodes low frequencies and global
    form, the opposite of what the fields' size suggests (Cipollini and Cottrell, https://github.com/bcipolli/DifferentialEncoding).
    """

    kernel: Annotated[Whole, Field(ge=1, le=15)] | None = None
    """Height and width of convolution kernels that are larger than 1x1; odd. None: as the backbone has them."""
    dilation: Annotated[Whole, Field(ge=1, le=8)] = 1
    """Pixels from one of a kernel's weights to the next."""
    groups: Annotated[Whole, Field(ge=1)] = 1
    """Groups of channels; a convolution connects channels of one group alone. Not in the first, from the image."""
    share: Annotated[float, Field(gt=0, le=1)] = 1.0
    """Share of the connections that are kept, in convolutions and linear layers, at random; the others stay 0."""


class Mask(nn.Module):
    """Keeps a random share of the weights, the same for all time; the others are 0, and so are their gradients."""

    mask: Tensor

    def __init__(self, weight: Tensor, share: float) -> None:
        super().__init__()
        kept = torch.rand(weight.shape, device="cpu").flatten().argsort()[: max(1, round(share * weight.numel()))]
        mask = torch.zeros(weight.numel(), dtype=torch.bool, device="cpu")
        mask[kept] = True
        self.register_buffer("mask", mask.view(weight.shape).to(weight.device))

    def forward(self, weight: Tensor) -> Tensor:
        """The weights as they act."""
        return weight * self.mask


def connect(backbone: nn.Module, config: ConnectionsConfig) -> None:
    """Give a fresh backbone other connections, from torch's current random state.

    Layers that change are drawn anew, by the backbone's `initialise` where it has one. A share multiplies their
    weights by 1 / sqrt(share), so that what they give has the variance that it had. Raises ConfigError for a kernel
    that is even, groups that no layer's channels can have, or a backbone without convolutions.
    """
    if config.kernel is not None and config.kernel % 2 == 0:
        raise ConfigError(f"connections.kernel: {config.kernel} has no middle; choose an odd number")
    layers = [(name, module) for name, module in backbone.named_modules() if isinstance(module, nn.Conv2d)]
    if not layers:
        raise ConfigError("connections: the backbone has no convolutions (nn.Conv2d)")
    for number, (name, layer) in enumerate(layers):
        changed = _changed(name, layer, config, config.groups if number else 1)
        if changed is not layer:
            getattr(backbone, "initialise", lambda module: None)(changed)
            backbone.set_submodule(name, changed)
    if config.share < 1:
        for module in list(backbone.modules()):
            if isinstance(module, nn.Conv2d | nn.Linear):
                with torch.no_grad():
                    module.weight /= config.share**0.5
                parametrize.register_parametrization(module, "weight", Mask(module.weight, config.share))


def _changed(name: str, layer: nn.Conv2d, config: ConnectionsConfig, groups: int) -> nn.Conv2d:
    sizes = tuple(size if size == 1 else config.kernel or size for size in layer.kernel_size)
    dilation = tuple(config.dilation if size > 1 else 1 for size in sizes)
    if groups > 1 and (layer.in_channels % groups or layer.out_channels % groups):
        raise ConfigError(
            f"connections.groups: {groups} does not divide the {layer.in_channels} and {layer.out_channels} "
            f"channels of {name}; choose another number or another width"
        )
    if (sizes, dilation, groups) == (layer.kernel_size, layer.dilation, layer.groups):
        return layer
    padding = tuple(spread * (size - 1) // 2 for size, spread in zip(sizes, dilation))
    bias = layer.bias is not None
    return nn.Conv2d(layer.in_channels, layer.out_channels, sizes, layer.stride, padding, dilation, groups, bias)  # type: ignore[arg-type]
