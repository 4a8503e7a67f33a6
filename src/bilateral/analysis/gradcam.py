"""Grad-CAM (Selvaraju et al. 2017, arXiv 1610.02391) of each head, for each hemisphere apart; maps as text."""

import base64
import io
from collections.abc import Collection, Mapping, Sequence
from contextlib import ExitStack
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn.functional import interpolate

from ..models.config import SIDES
from ..models.network import Network
from ..models.output import Output
from ..models.steps import Step, Values
from .activations import spatial_stages
from .study import NotApplicableError

ORIGINAL_STAGES = ("res1", "res2")
"""The stages whose maps the original code merges, where a backbone has them."""
FEWEST_POSITIONS = 16
MERGED = "merged"

Maps = dict[tuple[str, str, str], Tensor]
"""By (level, side, stage): (B, h, w), 0 and above."""


def chosen_stages(network: Network, size: tuple[int, int]) -> dict[str, list[str]]:
    """Where to look on each side: the original's stages where there are both, else the last place of 4x4 or more.

    Raises NotApplicableError for a hemisphere in which nothing has positions.
    """
    chosen = {}
    for side, places in spatial_stages(network, size).items():
        if not places:
            raise NotApplicableError(f"nothing in the {side} hemisphere has positions, so that it has no maps")
        fit = [name for name, positions in places.items() if positions >= FEWEST_POSITIONS] or list(places)
        chosen[side] = list(ORIGINAL_STAGES) if set(ORIGINAL_STAGES) <= set(places) else fit[-1:]
    return chosen


def class_activation_maps(
    network: Network, images: Tensor, stages: Mapping[str, Sequence[str]]
) -> tuple[Maps, dict[str, Tensor]]:
    """Where each head's best class comes from, in each hemisphere, and the logits by level.

    images: normalised (B, 3, H, W). A map is the positive part of the sum over channels of activation times the mean
    gradient of the logit of the class that this head predicts. The level `merged` has as its target what the original
    code has: the sum of both heads' best logits; it is there where there are two heads.
    """
    with torch.enable_grad():
        output, recorded = _record(network, images, stages)
    keys = list(recorded)
    best = {level: logits.amax(1).sum() for level, logits in output.logits.items()}
    gradients = {
        # Zeros for a hemisphere that a head does not hear.
        level: torch.autograd.grad(
            target, [recorded[key] for key in keys], retain_graph=True, allow_unused=True, materialize_grads=True
        )
        for level, target in best.items()
    }
    if len(best) == 2:
        fine, coarse = gradients.values()
        gradients[MERGED] = tuple(first + second for first, second in zip(fine, coarse))
    maps = {
        (level, *key): (recorded[key].detach().float() * gradient.float().mean((2, 3), keepdim=True)).sum(1).relu()
        for level, found in gradients.items()
        for key, gradient in zip(keys, found)
    }
    return maps, {level: logits.detach().float() for level, logits in output.logits.items()}


def merge(maps: Maps, size: tuple[int, int], level: str = MERGED, sides: Collection[str] = SIDES) -> Tensor:
    """The original's one map of a network, (B, H, W), 0 to 1: the mean of all stages' and hemispheres' merged maps.

    Each is brought to the size of the images and to a maximum of 1 before. level, sides: of whose maps else.
    """
    found = [scaled(resized(values, size)) for key, values in maps.items() if key[0] == level and key[1] in sides]
    return torch.stack(found).mean(0)


def resized(maps: Tensor, size: tuple[int, int]) -> Tensor:
    """Maps (B, h, w) at another size, (B, H, W), bilinear."""
    return interpolate(maps[:, None], size, mode="bilinear", align_corners=False)[:, 0]


def scaled(maps: Tensor) -> Tensor:
    """Maps (B, h, w) with a maximum of 1 each; those that are 0 everywhere stay so."""
    return maps / maps.amax((1, 2), keepdim=True).clamp(min=torch.finfo(maps.dtype).tiny)


def encoded(image: Tensor, form: str = "PNG", **options: Any) -> str:
    """An image, uint8 (3, H, W), as a file of this form in base64. options: of Pillow for that form."""
    file = io.BytesIO()
    Image.fromarray(image.permute(1, 2, 0).cpu().numpy()).save(file, form, optimize=True, **options)
    return base64.b64encode(file.getvalue()).decode()


def packed(values: Tensor) -> dict[str, Any]:
    """A map (h, w), 0 to 1, as `height`, `width` and `values`, base64 of uint8."""
    levels = (255 * values.clamp(0, 1)).round().to(torch.uint8).cpu().numpy()
    return {"height": values.shape[0], "width": values.shape[1], "values": base64.b64encode(levels.tobytes()).decode()}


def unpacked(found: dict[str, Any]) -> Tensor:
    """The map (h, w), 0 to 1, of what `packed` gave."""
    values = np.frombuffer(base64.b64decode(found["values"]), np.uint8).reshape(found["height"], found["width"])
    return torch.from_numpy(values.copy()) / 255


def _record(
    network: Network, images: Tensor, stages: Mapping[str, Sequence[str]]
) -> tuple[Output, dict[tuple[str, str], Tensor]]:
    """Pass images through the network, and record what stands at stages or comes out of layers in one, by (side, name).

    Gradients go back to the first of each side.
    """
    recorded: dict[tuple[str, str], Tensor] = {}

    def keep(key: tuple[str, str], values: Tensor) -> Tensor:
        recorded[key] = values if values.requires_grad else values.detach().requires_grad_()
        return recorded[key].clone()  # which the next layer may change in place

    def watch(step: Step, values: Values) -> None:
        for side, stage in step.places.items():
            if stage in stages[side]:
                values[side] = keep((side, stage), values[side])

    with ExitStack() as hooks:
        for side, names in stages.items():
            for name in set(names) - set(network.stages(side)):
                layer = network.hemispheres[side].get_submodule(name)
                hooks.enter_context(
                    layer.register_forward_hook(lambda _, __, output, key=(side, name): keep(key, output))
                )
        features = network.walk(dict.fromkeys(network.hemispheres, images), watch=watch)
        return network.classify(features), recorded
