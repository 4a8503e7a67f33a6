"""The steps of a pass through a network's hemispheres, in the order in which they are computed."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from torch import Tensor, nn

from .bridges.base import Bridge
from .parts.base import INPUT, Part

Values = dict[str, Tensor]
"""By side: what the pass has made of a batch so far, (B, C, H, W) or (B, D)."""


@dataclass(frozen=True)
class Step:
    """One step of the walk: a stage of a hemisphere, a part, or a bridge.

    name: of a stage or a part with its side ("left.conv2", "left.noise"), or of a bridge. places: by side whose values
    the step changes, the stage after which they then stand. module: what changes them.
    """

    name: str
    places: Mapping[str, str]
    module: nn.Module

    def __call__(self, values: Values) -> Values:
        """Give the changed values of the sides that the step concerns."""
        if isinstance(self.module, Bridge):
            return self.module({side: values[side] for side in self.places})
        return {side: self.module(values[side]) for side in self.places}


Watch = Callable[[Step, Values], None]
"""Called after every step, with the values as they then are. It may put other values in place of those of a side."""


def stage_names(hemisphere: nn.Module) -> tuple[str, ...]:
    """The names of a backbone's stages; one that names none is a single stage, `features`."""
    return tuple(getattr(hemisphere, "stages", ())) or ("features",)


def plan_steps(hemispheres: nn.ModuleDict, bridges: Mapping[str, Bridge]) -> list[Step]:
    """Put all steps in order: each side up to the next bridge, then this; without bridges left, then right.

    Raises ValueError for bridges that cross, and for a part or a bridge at a place that there is not.
    """
    places = {side: [INPUT, *stage_names(hemisphere)] for side, hemisphere in hemispheres.items()}
    reached = dict.fromkeys(places, -1)
    steps: list[Step] = []

    def advance(side: str, to: int) -> None:
        hemisphere = hemispheres[side]
        parts: Mapping[str, Part] = getattr(hemisphere, "parts", {})
        for number in range(reached[side] + 1, to + 1):
            place = places[side][number]
            if place != INPUT:
                module = getattr(hemisphere, place) if hasattr(hemisphere, "stages") else hemisphere
                steps.append(Step(f"{side}.{place}", {side: place}, module))
            steps.extend(
                Step(f"{side}.{name}", {side: place}, part) for name, part in parts.items() if part.after == place
            )
        reached[side] = max(reached[side], to)

    wanted = {
        f"{side}.parts.{name}.after": (side, part.after)
        for side, hemisphere in hemispheres.items()
        for name, part in getattr(hemisphere, "parts", {}).items()
    }
    for name, bridge in bridges.items():
        wanted |= {f"bridges.{name}.between.{side}": (side, place) for side, place in bridge.between.items()}
    for key, (side, place) in wanted.items():
        if place not in places[side]:
            raise ValueError(f"{key}: there is no stage {place!r}; there are: {', '.join(places[side])}")
    ends = {name: [places[side].index(each.between[side]) for side in places] for name, each in bridges.items()}
    previous = ""
    for name in sorted(ends, key=ends.__getitem__):
        if previous and any(here < before for here, before in zip(ends[name], ends[previous])):
            raise ValueError(
                f"bridges.{name}: it crosses the bridge {previous}: one must come before the other on both sides"
            )
        for side, end in zip(places, ends[name]):
            advance(side, end)
        steps.append(Step(name, bridges[name].between, bridges[name]))
        previous = name
    for side in places:
        advance(side, len(places[side]) - 1)
    return steps
