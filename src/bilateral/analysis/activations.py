"""What stands after the stages of hemispheres, in batches, so that memory stays bounded."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack
from itertools import accumulate
from typing import Any

import torch
from torch import Tensor, nn

from ..models.network import Network
from ..training.device import autocast, resolve_precision
from .study import System

BATCH = 250
TOGETHER = "left-right, one seed"
"""Of one seed, left and right saw the same batches and crops in the same order, as no two seeds of one kind did."""
KINDS = ("left-right", "left-left", "right-right", TOGETHER)
"""Kinds of pairs of hemispheres that are compared."""


def native_precision(system: System) -> AbstractContextManager[object]:
    """Compute in bfloat16 where the processor does so natively, else in float32.

    For what is compared and averaged over thousands of images; logits and features come from `Study.evaluation`.
    """
    return autocast(resolve_precision("auto", system.device), system.device)


@torch.no_grad()
def stage_activations(system: System, images: Tensor) -> dict[tuple[str, str], Tensor]:
    """What stands after every stage, by (side, stage), of uint8 images (B, 3, H, W): (B, ...), in float32."""
    with native_precision(system):
        activations = system.network.activations(system.normalise(images))
        return {key: values.float() for key, values in activations.items()}


def stage_means(system: System, images: Tensor) -> dict[tuple[str, str], Tensor]:
    """The output of every stage, by (side, stage), maps averaged over their positions: (N, channels), on the CPU."""
    parts: dict[tuple[str, str], list[Tensor]] = {}
    for batch in images.split(BATCH):
        for key, values in stage_activations(system, batch).items():
            parts.setdefault(key, []).append(values.flatten(2).mean(2).cpu() if values.ndim > 2 else values.cpu())
    return {key: torch.cat(values) for key, values in parts.items()}


def spatial_stages(network: Network, size: tuple[int, int]) -> dict[str, dict[str, int]]:
    """Where on each side maps (B, C, h, w) are, in the order of the pass: by name, how many positions they have.

    Names are of stages, and of the layers in a stage that is a sequence ("features.3"). What is larger than something
    before it, such as a pool that repeats one position, shows no place of the image and is left out.
    """
    device = next(network.parameters()).device
    found: dict[str, dict[str, int]] = {}
    with ExitStack() as hooks, torch.no_grad():
        for side, hemisphere in network.hemispheres.items():
            found[side] = {}
            for name, module in _parts(hemisphere):

                def note(_: nn.Module, __: Any, output: Any, side: str = side, name: str = name) -> None:
                    if isinstance(output, Tensor) and output.ndim == 4:
                        found[side][name] = output.shape[2] * output.shape[3]

                hooks.enter_context(module.register_forward_hook(note))
        network(torch.zeros(1, 3, *size, device=device))
    return {
        side: {
            name: count
            for name, count, least in zip(places, places.values(), accumulate(places.values(), min))
            if 1 < count <= least
        }
        for side, places in found.items()
    }


def _parts(hemisphere: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    for stage in getattr(hemisphere, "stages", ()):
        module: nn.Module = getattr(hemisphere, stage)
        if isinstance(module, nn.Sequential):
            yield from ((f"{stage}.{name}", layer) for name, layer in module.named_children())
        yield stage, module


def spread(count: int, wanted: int) -> Tensor:
    """Indices of `wanted` of `count` images, at even distances, which says nothing of their content."""
    return torch.linspace(0, count - 1, min(count, wanted)).round().long()


def shuffled(indices: Tensor) -> Tensor:
    """The same indices (N,) in a random order, always the same one."""
    return indices[torch.randperm(len(indices), generator=torch.Generator().manual_seed(0))]
