"""The backbones by name, and the one place where a hemisphere's config becomes a backbone.

A new backbone is one file here and one line in BACKBONES; one of your own needs neither:
`arch: package.module:MyBackbone`, a subclass of Backbone that is called with the HemisphereConfig. Settings of its own
are fields of its `Options`, a Section; it finds them, checked, in `config.options`.
"""

from collections.abc import Collection

from torch import nn
from torch.nn.parameter import is_lazy

from ...base import own_code
from ...base.errors import ConfigError
from ...base.registry import Registry, read_options
from ..config import HemisphereConfig
from .base import Backbone

_HERE = "bilateral.models.backbones"
BACKBONES = Registry(
    "backbone",
    {
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
    },
    "package.module:Backbone",
    {"timm": f"{_HERE}.timm_model:TimmModel"},
)


def find_backbone(arch: str) -> type[Backbone]:
    """Give the class of a registered name or of `package.module:Class`. Raises ConfigError for others."""
    found = BACKBONES.find(arch, "arch")
    if not (isinstance(found, type) and issubclass(found, Backbone)):
        raise ConfigError(
            f"arch: {arch!r} must be a subclass of {Backbone.__module__}.Backbone, with `stages` that the network can "
            "walk through; docs/parts.md has an example"
        )
    if not isinstance(found.reads, Collection):
        raise ConfigError(f"arch: the `reads` of {arch!r} must be a set of settings' names")
    return found


def build_backbone(config: HemisphereConfig) -> Backbone:
    """Build a hemisphere's backbone, with fresh weights from torch's current random state.

    Raises ConfigError where the backbone does not read a setting that is given, fails, or lacks what a backbone has.
    """
    backbone_class = find_backbone(config.arch)
    reads = backbone_class.reads
    if config.sparsity is not None and "sparsity" not in reads:
        raise ConfigError(f"sparsity: the backbone {config.arch!r} has none; use sparse_resnet9 or inverted_resnet9")
    if config.width != 1 and "width" not in reads:
        raise ConfigError(f"width: the backbone {config.arch!r} has a fixed width")
    if isinstance(config.batch_norm_momentum, float) and "batch_norm_momentum" not in reads:
        raise ConfigError(f"batch_norm_momentum: the backbone {config.arch!r} does not read it")
    config = config.model_copy(update={"options": read_options(backbone_class, config.options, "options")})
    if config.arch in BACKBONES.names:
        return backbone_class(config)
    own = f"arch: {config.arch!r}"
    backbone = own_code.call(lambda: backbone_class(config), own)
    count = own_code.call(lambda: getattr(backbone, "num_features", None), own)
    if not isinstance(count, int) or isinstance(count, bool) or count < 1:
        raise ConfigError(f"{own} must have an int `num_features`, the length of its feature vector")
    _check_stages(backbone, own)
    if any(is_lazy(parameter) for parameter in backbone.parameters()):
        raise ConfigError(f"{own} has lazy layers, whose sizes are not known; use the ordinary ones")
    return backbone


def _check_stages(backbone: Backbone, own: str) -> None:
    stages = getattr(backbone, "stages", None)
    if not (isinstance(stages, tuple | list) and stages and all(isinstance(stage, str) for stage in stages)):
        raise ConfigError(
            f'{own} must have a tuple `stages`, the names of its modules in the order of the pass: ("conv", "pool")'
        )
    for stage in stages:
        module = getattr(backbone, stage, None)
        if not isinstance(module, nn.Module):
            raise ConfigError(f"{own} lists a stage {stage!r} and has no such module")
        if type(module).forward is nn.Module.forward:
            raise ConfigError(
                f"{own}: its stage {stage!r} is a {type(module).__name__}, which cannot be called; make it an "
                "nn.Sequential, or a module with `forward`"
            )
