"""What a trained network says of one picture, where it looks, and what changes when something in it is silenced."""

import threading
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import torch
from torch import Tensor

from ..analysis.gradcam import MERGED, chosen_stages, class_activation_maps, encoded, merge, packed
from ..analysis.heads import contributions
from ..analysis.study import NotApplicableError
from ..base.errors import CheckpointError, ConfigError
from ..base.memory import check_memory
from ..base.own_code import call
from ..models.lesions.silence import Silence
from ..models.network import Network
from ..runs.answers import decode_pixels, entry, label_names, named, shares, side_length
from ..training.checkpoint import Description
from ..training.device import seed_everything
from ..training.evaluation import EVALUATION_SEED

_BYTES_OF_A_PIXEL = 1000
"""About what a pass takes for each pixel of an image."""
TOP = 5
"""How many labels of each level are named."""
_OWN = "lesions."
"""Begins the names of the network's own lesions, so that they are not those of bridges."""
_SILENCE = Silence()


class Explorer:
    """A trained network that answers about one picture at a time, from whatever thread it is asked.

    Raises CheckpointError for a network that gives features alone, or was trained on images that are not square.
    """

    def __init__(self, network: Network, description: Description) -> None:
        if network.outputs_features:
            raise CheckpointError(
                "the network gives features and no predictions (mode_out: feature); nothing to explore"
            )
        self.network = network.eval().requires_grad_(False)
        self.description = description
        self.image_size = side_length(description)
        self.levels = [level for level in ("fine", "coarse") if level in network.heads]
        self.sides = list(network.hemispheres)
        self.silenceable = _silenceable(network)
        """What can be switched off, by name, and what it is: a hemisphere, bridge, direction, part or lesion."""
        self._stages = _stages(network, description.image_size)
        self.has_maps = bool(self._stages)
        """Whether the hemispheres have stages with positions to make maps of."""
        self._one_at_a_time = threading.Lock()

    def answer(self, content: bytes, silenced: Collection[str] = (), what: str = "") -> dict[str, Any]:
        """Say all about the picture in the bytes of an image file, as plain values for JSON.

        silenced: names of `silenceable`. A lesion of the network's own that is switched off does no damage.

        picture: as the network sees it. heard: the sides of which the heads hear anything but zeros. weights: by side,
        where the join weighs the sides, or None. belongs: the coarse label of the best fine one, where the coarse head
        says another, or None. levels: by level, `predictions`, `changes` against the network with nothing silenced
        (None where so it is), `left_share` in what the head hears (None without two hemispheres, or if neither is
        heard), and `maps` by side. merged: the original's one map of both heads, or None. what: names the picture in
        errors.

        Raises DataError for what is no image, ConfigError for what cannot be silenced.
        """
        for name in silenced:
            if name not in self.silenceable:
                allowed = " or ".join(self.silenceable) or "nothing, since the network has one hemisphere"
                raise ConfigError(f"cannot silence {name!r}; allowed: {allowed}")
        with self._one_at_a_time:
            pixels = decode_pixels(content, what, self.description)
            images = self.description.normalise(pixels[None])
            levels, heard, weights = self._levels(images, silenced)
            maps = self._maps(images, silenced)
        for level in self.levels:
            levels[level]["maps"] = {side: packed(found) for side, found in maps.get(level, {}).items()}
        return {
            "picture": {"height": pixels.shape[1], "width": pixels.shape[2], "png": encoded(pixels)},
            "silenced": [name for name in self.silenceable if name in silenced],
            "heard": heard,
            "weights": weights,
            "belongs": self._belongs(levels),
            "levels": levels,
            "merged": packed(maps[MERGED]["both"]) if MERGED in maps else None,
        }

    @torch.no_grad()
    def _levels(
        self, images: Tensor, silenced: Collection[str]
    ) -> tuple[dict[str, dict[str, Any]], list[str], dict[str, float] | None]:
        """What is said of each level, the sides that are heard, and their weights."""
        with self._without(silenced):
            said = self.network(images)
        [predictions] = named(said.logits, self.description, TOP)
        found: dict[str, dict[str, Any]] = {level: {"predictions": predictions[level]} for level in self.levels}
        with self._without(()):
            before = self.network(images).logits if silenced else None
        heard = [side for side in self.sides if said.features[side].any()]
        for level, values in found.items():
            values["changes"] = before and self._changes(level, before[level][0], said.logits[level][0])
            values["left_share"] = None
            if heard:
                with suppress(NotApplicableError):
                    share = contributions(self.network, level, said.features).share
                    values["left_share"] = round(share.item(), 6)
        return found, heard, shares(said.weights) or None

    def _belongs(self, levels: dict[str, dict[str, Any]]) -> str | None:
        if len(levels) < 2 or self.description.hierarchy is None:
            return None
        fine, coarse = (levels[level]["predictions"][0]["id"] for level in ("fine", "coarse"))
        own = self.description.hierarchy.coarse_of_fine[fine]
        return None if own == coarse else label_names(self.description, "coarse")[own]

    @contextmanager
    def _without(self, silenced: Collection[str]) -> Iterator[None]:
        """Silence what is named, and heal the lesions that are, for one pass; what draws draws the same in each."""
        seed_everything(next(self.network.parameters()).device, EVALUATION_SEED)
        healed = [name.removeprefix(_OWN) for name in silenced if name.startswith(_OWN)]
        with self.network.lesioned({name: _SILENCE for name in silenced if not name.startswith(_OWN)}, healed):
            yield

    def _changes(self, level: str, before: Tensor, after: Tensor) -> dict[str, Any]:
        """What silencing changes in a head's logits (classes,).

        best_before: the intact network's answer. probability_now: of that label. same: whether it is still the answer.
        before: what the intact network gave the labels that are named now.
        """
        names = label_names(self.description, level)
        old, new = before.softmax(0), after.softmax(0)
        best = int(old.argmax())
        shown = new.topk(min(TOP, len(new))).indices
        return {
            "best_before": entry(names, best, old[best].item()),
            "probability_now": round(new[best].item(), 6),
            "same": best == int(shown[0]),
            "before": [round(probability, 6) for probability in old[shown].tolist()],
        }

    def _maps(self, images: Tensor, silenced: Collection[str]) -> dict[str, dict[str, Tensor]]:
        """Maps (H, W), 0 to 1, by level and side, and by MERGED and "both" if there are two heads; or none."""
        if not self.has_maps:
            return {}
        with self._without(silenced):
            found, _ = class_activation_maps(self.network, images, self._stages)
        size = self.description.image_size
        maps = {level: {side: merge(found, size, level, [side])[0] for side in self.sides} for level in self.levels}
        if len(self.levels) == 2:
            maps[MERGED] = {"both": merge(found, size)[0]}
        return maps


def _silenceable(network: Network) -> dict[str, str]:
    """By name, what it is; hemispheres first, which are none where there is one alone."""
    sides, kinds = list(network.hemispheres), {}
    for name in network.targets:
        if name in network.bridges:
            kinds[name] = "bridge"
        elif name.split(".")[0] in network.bridges:
            kinds[name] = "direction"
        elif name not in sides:
            kinds[name] = "part"
        elif len(sides) > 1:
            kinds[name] = "hemisphere"
    return kinds | {f"{_OWN}{name}": "lesion" for name in network.lesions}


def _stages(network: Network, size: tuple[int, int]) -> dict[str, list[str]]:
    """The stages that maps are made of, by side; none for backbones that do not give any."""
    what = f"a network for images of {size[0]}x{size[1]} pixels"
    check_memory(size[0] * size[1] * _BYTES_OF_A_PIXEL, what, "use a machine with more, or smaller images")

    def find() -> dict[str, list[str]]:
        try:
            return chosen_stages(network, size)
        except NotApplicableError:
            return {}

    return call(find, "the network", CheckpointError)
