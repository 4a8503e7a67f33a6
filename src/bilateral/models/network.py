"""The network: hemispheres with their parts, bridges, a join, heads; and the one walk through them."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

from torch import Tensor, nn

from .bridges.base import Bridge
from .joins.concatenation import Concatenation
from .lesions.base import Lesion
from .output import Output
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


class Network(nn.Module):
    """One or two hemispheres, their features joined under the heads.

    hemispheres: by side, in the order in which their features are joined. A backbone may have `stages` (see
    `Backbone`); its `parts` are those of the hemisphere.
    heads: by level ("fine", "coarse"), each from the joined features to logits.
    frozen: the sides that are never trained: their tensors get no gradients, and they stay in evaluation mode
    whatever mode the network is in.
    bridges: by name. join: from features by side to what the heads get. lesions: by name; they act in evaluation alone.
    outputs_features: give the features alone (`mode_out: feature`).

    Raises ValueError for bridges that cross, a part or a bridge at a place that there is not, or a lesion of nothing.
    """

    def __init__(
        self,
        hemispheres: Mapping[str, nn.Module],
        heads: Mapping[str, nn.Module],
        frozen: Iterable[str] = (),
        bridges: Mapping[str, Bridge] | None = None,
        join: nn.Module | None = None,
        lesions: Mapping[str, Lesion] | None = None,
        outputs_features: bool = False,
    ) -> None:
        super().__init__()
        self.hemispheres = nn.ModuleDict(hemispheres)
        self.bridges = nn.ModuleDict(bridges or {})
        sizes = {side: int(hemisphere.num_features) for side, hemisphere in hemispheres.items()}  # type: ignore[arg-type]
        self.join = join or Concatenation(Concatenation.Options(), sizes)
        self.heads = nn.ModuleDict(heads)
        self.lesions = nn.ModuleDict(lesions or {})
        self._passing: Mapping[str, Lesion] = {}
        self.frozen = frozenset(frozen)
        self.outputs_features = outputs_features
        self.normalise: Callable[[Tensor], Tensor] | None = None
        """Turns uint8 images (B, 3, H, W) into this network's input, where it comes from a checkpoint."""
        targets = self._targets()  # which refuses what the steps cannot be
        for lesion in (lesions or {}).values():
            _check_target(lesion.at, targets)
        for side in self.frozen:
            self.hemispheres[side].requires_grad_(False)
        self.train(self.training)

    @property
    def steps(self) -> list[Step]:
        """All steps in order: each side up to the next bridge, then this; without bridges left, then right."""
        return _steps(self.hemispheres, dict(self.bridges.items()))  # type: ignore[arg-type]

    def forward(self, images: Tensor) -> Output:
        """Pass images (B, 3, H, W), normalised floats, through hemispheres and heads."""
        return self.classify(self.features(images))

    def features(self, images: Tensor) -> Values:
        """Features of images (B, 3, H, W) by hemisphere, each (B, D): what the heads hear."""
        return self.walk(dict.fromkeys(self.hemispheres, images))

    def walk(self, values: Values, start: int = 0, stop: int | None = None, watch: Watch | None = None) -> Values:
        """Do the steps `start` to `stop` (the end) on the values of all sides, and give what they then are.

        This is the one way through the hemispheres: whoever wants to know what they compute at some point watches it.
        """
        values = dict(values)
        for step in self.steps[start:stop]:
            before, changed = values, step(values)
            for lesion in self._lesions_of(step.name):
                changed = {side: before[side] + lesion(after - before[side]) for side, after in changed.items()}
            values = {**values, **changed}
            if watch is not None:
                watch(step, values)
        if stop is None:
            for side in values:
                for lesion in self._lesions_of(side):
                    values[side] = lesion(values[side])
        return values

    def activations(self, images: Tensor) -> dict[tuple[str, str], Tensor]:
        """What stands after every stage, its parts and bridges included, by (side, stage), of images (B, 3, H, W)."""
        found: dict[tuple[str, str], Tensor] = {}

        def keep(step: Step, values: Values) -> None:
            found.update({(side, stage): values[side] for side, stage in step.places.items() if stage != INPUT})

        self.walk(dict.fromkeys(self.hemispheres, images), watch=keep)
        return {(side, stage): found[side, stage] for side in self.hemispheres for stage in self.stages(side)}

    def stages(self, side: str) -> tuple[str, ...]:
        """The names of a hemisphere's stages, in the order of the pass."""
        return stage_names(self.hemispheres[side])

    def classify(self, features: Values) -> Output:
        """Run join and heads on features by hemisphere, each (B, D); these may have been computed before."""
        if self.outputs_features:
            return Output(None, None, features)
        joined = self.join(features)
        logits = {level: head(joined) for level, head in self.heads.items()}
        return Output(logits.get("fine"), logits.get("coarse"), features)

    @property
    def fixed_until_join(self) -> bool:
        """Whether an image has the same features at every step of a training.

        So it is if nothing before the join is trained or draws random numbers. Then features may be kept.
        """
        before = [*self.hemispheres.modules(), *self.bridges.modules()]
        return (
            self.frozen == set(self.hemispheres)
            and not any(parameter.requires_grad for parameter in self.bridges.parameters())
            and not any(module.draws for module in before if isinstance(module, Part | Bridge))
        )

    @contextmanager
    def lesioned(self, lesions: Mapping[str, Lesion]) -> Iterator[None]:
        """Add lesions, by what they are at (a side, a bridge, "left.noise"), for the time of a `with` block."""
        for target in lesions:
            _check_target(target, self._targets())
        self._passing = dict(lesions)
        try:
            yield
        finally:
            self._passing = {}

    def train(self, mode: bool = True) -> "Network":
        """Set training or evaluation mode everywhere but in frozen hemispheres, which stay in evaluation."""
        super().train(mode)
        for side in self.frozen:
            self.hemispheres[side].eval()
        return self

    def _lesions_of(self, target: str) -> list[Lesion]:
        if self.training:
            return []
        own: list[Lesion] = [lesion for lesion in self.lesions.values() if lesion.at == target]  # type: ignore[misc]
        return [*own, self._passing[target]] if target in self._passing else own

    def _targets(self) -> list[str]:
        """What may be lesioned."""
        stages = {f"{side}.{stage}" for side in self.hemispheres for stage in self.stages(side)}
        return [*self.hemispheres, *(step.name for step in self.steps if step.name not in stages)]


def _check_target(target: str, targets: Iterable[str]) -> None:
    if target not in targets:
        raise ValueError(f"there is no {target!r} to lesion; there are: {', '.join(targets)}")


def stage_names(hemisphere: nn.Module) -> tuple[str, ...]:
    """The names of a backbone's stages; one that names none is a single stage, `features`."""
    return tuple(getattr(hemisphere, "stages", ())) or ("features",)


def _steps(hemispheres: nn.ModuleDict, bridges: Mapping[str, Bridge]) -> list[Step]:
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

    for side, hemisphere in hemispheres.items():
        for name, part in getattr(hemisphere, "parts", {}).items():
            if part.after not in places[side]:
                raise ValueError(f"{side}.parts.{name}.after: {_no_place(part.after, places[side])}")
    ends: dict[str, tuple[int, ...]] = {}
    for name, bridge in bridges.items():
        for side, place in bridge.between.items():
            if place not in places[side]:
                raise ValueError(f"bridges.{name}.between.{side}: {_no_place(place, places[side])}")
        ends[name] = tuple(places[side].index(bridge.between[side]) for side in places)
    previous = ""
    for name in sorted(ends, key=ends.__getitem__):
        if previous and any(here < before for here, before in zip(ends[name], ends[previous])):
            raise ValueError(
                f"bridges.{name}: it crosses the bridge {previous}: one of them must end later on both sides"
            )
        for side, end in zip(places, ends[name]):
            advance(side, end)
        steps.append(Step(name, bridges[name].between, bridges[name]))
        previous = name
    for side in places:
        advance(side, len(places[side]) - 1)
    return steps


def _no_place(place: str, places: Iterable[str]) -> str:
    return f"there is no stage {place!r}; there are: {', '.join(places)}"
