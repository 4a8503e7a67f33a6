"""The backbones by name, and the one place where a hemisphere's config becomes a backbone.

A new backbone is one file here and one line in BACKBONES; one of your own needs neither:
`arch: package.module:MyBackbone`, a class that is called with the HemisphereConfig.
"""

import importlib

from ...base.errors import ConfigError
from ..config import HemisphereConfig
from .base import Backbone

_HERE = "bilateral.models.backbones"
BACKBONES: dict[str, str] = {
    "resnet9": f"{_HERE}.resnet9:ResNet9",
    "sparse_resnet9": f"{_HERE}.sparse_resnet9:SparseResNet9",
    "inverted_resnet9": f"{_HERE}.sparse_resnet9:InvertedResNet9",
    "vgg11": f"{_HERE}.vgg:VGG11",
    "vgg11_pool": f"{_HERE}.vgg:VGG11Pool",
    "resnet18": f"{_HERE}.resnet:ResNet18",
    "resnet34": f"{_HERE}.resnet:ResNet34",
    "resnet50": f"{_HERE}.resnet:ResNet50",
    "resnet101": f"{_HERE}.resnet:ResNet101",
    "resnet152": f"{_HERE}.resnet:ResNet152",
}


def find_backbone(arch: str) -> type[Backbone]:
    """Give the class of a registered name or of `package.module:Class`. Raises ConfigError for others."""
    target = BACKBONES.get(arch, arch)
    module_name, _, class_name = target.partition(":")
    if not class_name:
        raise ConfigError(
            f"arch: unknown backbone {arch!r}; allowed: {', '.join(BACKBONES)}, or package.module:Backbone"
        )
    try:
        return getattr(importlib.import_module(module_name), class_name)
    except (ImportError, AttributeError, ValueError, TypeError) as error:
        raise ConfigError(f"arch: cannot import {arch!r}: {error}") from error


def has_batch_norm(arch: str) -> bool:
    """Whether a backbone normalises its activations over the batch; one that does not say is taken to."""
    reads = getattr(find_backbone(arch), "reads", None)
    return reads is None or "batch_norm_momentum" in reads


def build_backbone(config: HemisphereConfig) -> Backbone:
    """Build a hemisphere's backbone, with fresh weights from torch's current random state.

    Raises ConfigError where the backbone does not read a setting that is given, or gives no `num_features`.
    """
    backbone_class = find_backbone(config.arch)
    reads = getattr(backbone_class, "reads", None)
    if reads is not None:
        if config.sparsity is not None and "sparsity" not in reads:
            raise ConfigError(
                f"sparsity: the backbone {config.arch!r} has none; use sparse_resnet9 or inverted_resnet9"
            )
        if config.width != 1 and "width" not in reads:
            raise ConfigError(f"width: the backbone {config.arch!r} has a fixed width")
        if isinstance(config.batch_norm_momentum, float) and "batch_norm_momentum" not in reads:
            raise ConfigError(f"batch_norm_momentum: the backbone {config.arch!r} does not read it")
    backbone = backbone_class(config)
    if not isinstance(getattr(backbone, "num_features", None), int):
        raise ConfigError(f"arch: {config.arch!r} must have an int `num_features`, the length of its feature vector")
    return backbone
