"""Models of timm (PyTorch Image Models) as backbones: `arch: timm:NAME`, with the extra `bilateral[timm]`."""

import copy
import difflib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch
from pydantic import ConfigDict, model_validator
from torch import fx, nn

from ...base.errors import ConfigError
from ...base.own_code import describe
from ...base.section import Section, UserPath
from ..config import HemisphereConfig
from .base import Backbone

_OURS = ("num_classes", "features_only", "pretrained_cfg", "pretrained_cfg_overlay", "checkpoint_path", "cache_dir")


class TimmModel(Backbone):
    """A model of timm without its classifier, cut into stages where timm says that it has feature maps (B, C, H, W).

    A stage has the name of timm's module, with _ in place of dots: `layer1`, `stages_0`. The last one, `pool`, is all
    that follows these. A model without such maps, or whose pass cannot be cut there, is one stage, `features`.
    """

    reads = frozenset({"batch_norm_momentum"})

    class Options(Section):
        """Settings of `timm.create_model`, which also gets those that are not named here."""

        model_config = ConfigDict(extra="allow")
        pretrained: bool | UserPath = False
        """Start from timm's weights, or from those in a file; a checkpoint of ours has its own."""

        @model_validator(mode="before")
        @classmethod
        def _refuse_ours(cls, given: dict[str, Any]) -> dict[str, Any]:
            if wrong := [name for name in _OURS if name in given]:
                raise ValueError(f"{wrong[0]} cannot be set here; weights from a file are pretrained: FILE")
            return given

    def __init__(self, config: HemisphereConfig) -> None:
        super().__init__()
        options: Any = config.options
        model = _create(config.arch.partition(":")[2], options.pretrained, options.model_extra)
        if isinstance(config.batch_norm_momentum, float):
            for module in model.modules():
                if isinstance(module, nn.modules.batchnorm._BatchNorm):
                    module.momentum = config.batch_norm_momentum
        self.num_features = int(getattr(model, "head_hidden_size", None) or model.num_features)
        size = options.model_extra.get("img_size") or model.pretrained_cfg["input_size"][1:]
        try:
            stages = _cut(model, torch.empty(1, 3, *([size] * 2 if isinstance(size, int) else size), device="meta"))
        except Exception:  # tracing fails in as many ways as there are models
            stages = {"features": model}
        self.stages = tuple(stages)
        for name, stage in stages.items():
            self.add_module(name, stage)


def _create(name: str, pretrained: bool | Path, settings: dict[str, Any]) -> Any:
    """Make the model. Weights are only loaded into memory, never on the meta device."""
    try:
        import timm
    except Exception as error:  # such as a torchvision that does not fit torch
        raise ConfigError(
            f'arch: timm:{name} needs timm, which cannot be imported ({describe(error)}): pip install "bilateral[timm]"'
        ) from error
    if ":" in name or not timm.is_model(name):
        near = difflib.get_close_matches(name, timm.list_models(), 3)
        hint = f"did you mean {' or '.join(near)}?" if near else "timm.list_models() has their names"
        raise ConfigError(f"arch: timm has no model {name!r}; {hint}")
    if pretrained is True and not timm.models.is_model_pretrained(name):
        raise ConfigError(f"options.pretrained: timm has no weights for {name}; give a file with some, or leave it out")
    if isinstance(pretrained, Path) and not pretrained.is_file():
        raise ConfigError(f"options.pretrained: there is no file {pretrained}")
    load = bool(pretrained) and torch.get_default_device().type != "meta"
    overlay = {"file": str(pretrained)} if isinstance(pretrained, Path) else None
    try:
        return timm.create_model(name, load, pretrained_cfg_overlay=overlay, **settings, num_classes=0)
    except Exception as error:
        if load:
            raise ConfigError(
                f"options.pretrained: the weights of timm:{name} cannot be loaded ({describe(error):.300}); "
                "without internet, give a file: pretrained: FILE"
            ) from error
        raise ConfigError(f"options: timm cannot make {name} with these: {describe(error):.300}") from error


class _Outermost(fx.Tracer):
    """Traces only what is around the modules of these names; they themselves stay as they are."""

    def __init__(self, names: Iterable[str]) -> None:
        super().__init__()
        self.names = tuple(names)

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return not any(name.startswith(f"{module_qualified_name}.") for name in self.names)


class _Shapes(fx.Interpreter):
    """Notes the shape of what every step of a traced model gives."""

    def run_node(self, n: fx.Node) -> Any:
        result = super().run_node(n)
        n.meta["shape"] = tuple(getattr(result, "shape", ()))
        return result


def _cut(model: Any, images: torch.Tensor) -> dict[str, nn.Module]:
    """Cut a model after each of timm's feature maps through which all of its pass goes. images: on the meta device."""
    channels = {info["module"]: info["num_chs"] for info in getattr(model.feature_info, "info", model.feature_info)}
    graphs = [_Outermost(channels).trace(model.train(mode)) for mode in (True, False)]
    model.train()
    if str(graphs[0]) != str(graphs[1]):
        raise ValueError("a traced pass is of one mode alone")
    traced = fx.GraphModule(copy.deepcopy(model).to("meta"), graphs[0])
    _Shapes(traced.eval()).run(images)
    nodes = list(traced.graph.nodes)
    number = {node: index for index, node in enumerate(nodes)}
    last_use = [max((number[user] for user in node.users), default=-1) for node in nodes]
    stages: dict[str, nn.Module] = {}
    start = 0
    for index, node in enumerate(nodes):
        shape, ends = node.meta["shape"], node.op == "output"
        is_map = node.target in channels and len(shape) == 4 and shape[1] == channels[node.target]
        if ends or (is_map and all(last <= index for last in last_use[:index])):
            stages["pool" if ends else str(node.target).replace(".", "_")] = _part(model, nodes[start : index + 1])
            start = index
    weights = [parameter for stage in stages.values() for parameter in stage.parameters()]
    if len(stages) == 1 or len(weights) > len(set(weights)):
        raise ValueError("there is no place to cut, or weights would be in two stages")
    return stages


def _part(model: nn.Module, nodes: list[fx.Node]) -> fx.GraphModule:
    """The part of a traced pass that leads from the values of the first node to those of the last."""
    graph = fx.Graph()
    copies = {nodes[0]: graph.placeholder("values")}
    for node in nodes[1:]:
        copies[node] = graph.node_copy(node, copies.__getitem__)
    if nodes[-1].op != "output":
        graph.output(copies[nodes[-1]])
    return fx.GraphModule(model, graph)
