"""How the original code's files name the modules of a network, and how this package does."""

from collections.abc import Iterable

from ..base.errors import CheckpointError
from ..base.text import shown

_STAGES = ("conv1", "conv2", "res1", "conv3", "conv4", "res2")
_RESIDUAL = {
    "conv_res1": "first.conv",
    "conv_res1_bn": "first.norm",
    "conv_res2": "second.conv",
    "conv_res2_bn": "second.norm",
}


def find_arch(names: Iterable[str]) -> str:
    """Tell from the names of a hemisphere's tensors which architecture has most of them."""
    modules = {name.rpartition(".")[0] for name in names}
    return max(MODULES, key=lambda arch: len(modules & MODULES[arch].keys()))


def own_names(names: Iterable[str], archs: dict[str, str], sides: dict[str, str], source: str) -> dict[str, list[str]]:
    """Give this package's names of a file's tensors, each with those that it has in the file.

    archs, sides: by the file's name of a hemisphere. Raises CheckpointError that names the tensors which have no
    place in such a network.
    """
    found: dict[str, list[str]] = {}
    unknown = []
    for name in names:
        part, _, rest = name.partition(".")
        own = None
        if part in archs:
            module, _, leaf = rest.rpartition(".")
            own_module = MODULES[archs[part]].get(module)
            own = own_module and f"hemispheres.{sides[part]}.{own_module}.{leaf}"
        elif part in ("fine_head", "coarse_head") and rest.startswith("1."):
            own = f"heads.{part.removesuffix('_head')}.{rest}"
        if own is None:
            unknown.append(name)
        else:
            found.setdefault(own, []).append(name)
    if unknown:
        more = f" and {len(unknown) - 4} more" if len(unknown) > 4 else ""
        raise CheckpointError(
            f"{source}: no place in a network of {' and '.join(sorted(set(archs.values())))} "
            f"for {', '.join(f'{shown(name):.80}' for name in unknown[:4])}{more}"
        )
    return found


def _resnet9() -> dict[str, str]:
    """By stage (`conv1.0`), by its number (`net.0.0`, `conv.0.0`), and as one flat sequence (`conv.0`)."""
    modules: dict[str, str] = {}
    for number, stage in enumerate(_STAGES):
        residual = {f"0.{name}" if stage == "res2" else name: own for name, own in _RESIDUAL.items()}
        layers = {"0": "conv", "1": "norm"} if stage.startswith("conv") else residual
        for spelling in (stage, f"net.{number}", f"conv.{number}"):
            modules |= {f"{spelling}.{name}": f"{stage}.{own}" for name, own in layers.items()}
    for number, stage in {0: "conv1", 3: "conv2", 8: "conv3", 12: "conv4"}.items():
        modules |= {f"conv.{number}": f"{stage}.conv", f"conv.{number + 1}": f"{stage}.norm"}
    for number, stage in {7: "res1", 16: "res2"}.items():
        modules |= {f"conv.{number}.{name}": f"{stage}.{own}" for name, own in _RESIDUAL.items()}
    return modules


def _sparse_resnet9() -> dict[str, str]:
    blocks = {stage: stage for stage in _STAGES if stage.startswith("conv")}
    blocks |= {
        f"{stage}.{number}": f"{stage}.{own}"
        for stage in ("res1", "res2")
        for number, own in enumerate(("first", "second"))
    }
    layers = {"0": "conv", "2": "norm"}
    return {f"{block}.{name}": f"{blocks[block]}.{own}" for block in blocks for name, own in layers.items()}


def _vgg11() -> dict[str, str]:
    layers = [f"features.{number}" for number in (0, 3, 6, 8, 11, 13, 16, 18)] + ["classifier.0", "classifier.3"]
    return {f"vgg.{layer}": layer for layer in layers}


MODULES: dict[str, dict[str, str]] = {
    "resnet9": _resnet9(),
    "sparse_resnet9": _sparse_resnet9(),
    "vgg11": _vgg11(),
}
"""Of each architecture that the original code can train: a module's name in its files -> the name here."""

FIRST_CONVOLUTION = {"resnet9": "conv1.conv", "sparse_resnet9": "conv1.conv", "vgg11": "features.0"}
"""Of each architecture, the module that has 64 output channels at width 1."""
