"""The network: hemispheres with their parts, bridges, a join, heads; and the one walk through them."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor, nn

from ..base.errors import CheckpointError, DataError
from .bridges.base import Bridge
from .component import Component
from .joins.base import Join
from .joins.concatenation import Concatenation
from .lesions.base import Lesion
from .output import Output
from .parts.base import INPUT
from .plasticity import Plasticity
from .prediction import Images, LevelPrediction, Prediction, as_batch
from .steps import Step, Values, Watch, plan_steps, stage_names


class Hierarchy(Protocol):
    """Names of classes on two levels."""

    @property
    def fine_names(self) -> tuple[str, ...]:
        """Of the fine classes, by number."""

    @property
    def coarse_names(self) -> tuple[str, ...]:
        """Of the coarse classes, by number."""


@dataclass(frozen=True)
class Trained:
    """What a trained network's images and labels mean.

    normalise: uint8 images (B, 3, H, W) to its input. image_size: (H, W). hierarchy: None where its file has none.
    """

    normalise: Callable[[Tensor], Tensor]
    image_size: tuple[int, int]
    hierarchy: Hierarchy | None


class Network(nn.Module):
    """One or two hemispheres, their features joined under the heads.

    hemispheres: by side, in the order in which their features are joined. A backbone may have `stages` (see
    `Backbone`); its `parts` are those of the hemisphere.
    heads: by level ("fine", "coarse"), each from the joined features to logits.
    own_heads: by side and level, each from the features of one side to logits; only training and the join hear them.
    frozen: the sides that are never trained: their tensors get no gradients, and they stay in evaluation mode
    whatever mode the network is in.
    bridges: by name. join: from features by side to what the heads get. lesions: by name; see `Lesion`.
    plasticity: by side, how fast it learns; only training reads it.
    outputs_features: give the features alone (`mode_out: feature`).

    Raises ValueError for bridges that cross, a part or a bridge at a place that there is not, or a lesion of nothing.
    """

    def __init__(
        self,
        hemispheres: Mapping[str, nn.Module],
        heads: Mapping[str, nn.Module],
        frozen: Iterable[str] = (),
        bridges: Mapping[str, Bridge] | None = None,
        join: Join | None = None,
        lesions: Mapping[str, Lesion] | None = None,
        outputs_features: bool = False,
        own_heads: Mapping[str, Mapping[str, nn.Module]] | None = None,
        plasticity: Mapping[str, Plasticity] | None = None,
    ) -> None:
        super().__init__()
        self.hemispheres = nn.ModuleDict(hemispheres)
        self.bridges = nn.ModuleDict(bridges or {})
        sizes = {side: int(hemisphere.num_features) for side, hemisphere in hemispheres.items()}  # type: ignore[arg-type]
        self.join = join or Concatenation(Concatenation.Options(), sizes)
        self.heads = nn.ModuleDict(heads)
        self.own_heads = nn.ModuleDict({side: nn.ModuleDict(own) for side, own in (own_heads or {}).items()})
        if self.join.needs_own_heads and set(self.own_heads) != set(hemispheres):
            missing = next(side for side in hemispheres if side not in self.own_heads)
            raise ValueError(
                f"join: it weighs the sides by their own heads, and {missing} has none: give {missing}.own_head"
            )
        self.plasticity = dict(plasticity or {})
        self.lesions = nn.ModuleDict(lesions or {})
        self._passing: Mapping[str, Lesion] = {}
        self._healed: frozenset[str] = frozenset()
        self.frozen = frozenset(frozen)
        self.outputs_features = outputs_features
        self.trained: Trained | None = None
        """What its images and labels mean, where it comes from a checkpoint."""
        targets = self._targets()  # which refuses what the steps cannot be
        for name, lesion in (lesions or {}).items():
            _check_target(lesion.at, targets, f"lesions.{name}.at: ")
        for side in self.frozen:
            self.hemispheres[side].requires_grad_(False)
        self.train(self.training)

    @property
    def steps(self) -> list[Step]:
        """All steps in order: each side up to the next bridge, then this; without bridges left, then right."""
        return plan_steps(self.hemispheres, dict(self.bridges.items()))  # type: ignore[arg-type]

    def forward(self, images: Tensor) -> Output:
        """Pass images (B, 3, H, W), normalised floats, through hemispheres and heads. Raises DataError for integers."""
        return self.classify(self.features(images))

    def features(self, images: Tensor) -> Values:
        """Features of images (B, 3, H, W) by hemisphere, each (B, D): what the heads hear."""
        if not images.is_floating_point():
            raise DataError(
                f"the network takes normalised floats, not {images.dtype}; network.normalise(images) gives them"
            )
        return self.walk(dict.fromkeys(self.hemispheres, images))

    def walk(self, values: Values, start: int = 0, stop: int | None = None, watch: Watch | None = None) -> Values:
        """Do the steps `start` to `stop` (the end) on the values of all sides, and give what they then are.

        This is the one way through the hemispheres: whoever wants to know what they compute at some point watches it.
        """
        values = dict(values)
        for step in self.steps[start:stop]:
            before, changed = values, step(values)
            for side in changed:
                for lesion in self._lesions_of(step.name, f"{step.name}.to_{side}"):
                    changed[side] = before[side] + lesion(changed[side] - before[side])
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
        own = self._own_logits(features)
        weights = self.join.weights(features, own)
        joined = self.join(_weighed(features, weights))
        logits = {level: head(joined) for level, head in self.heads.items()}
        return Output(logits.get("fine"), logits.get("coarse"), features, own, weights, self.join.cost(weights))

    def joined(self, features: Values) -> Tensor:
        """What the heads get of features by hemisphere, each (B, D)."""
        joined: Tensor = self.join(_weighed(features, self.join.weights(features, self._own_logits(features))))
        return joined

    def _own_logits(self, features: Values) -> dict[str, dict[str, Tensor]]:
        return {
            side: {level: head(features[side]) for level, head in heads.items()}  # type: ignore[operator]
            for side, heads in self.own_heads.items()
        }

    @property
    def normalise(self) -> Callable[[Tensor], Tensor]:
        """What turns uint8 images (B, 3, H, W) into its input. Raises CheckpointError without a checkpoint."""
        return self._training().normalise

    @property
    def hierarchy(self) -> Hierarchy | None:
        """Names of its fine and coarse labels, and how they go together; None where its checkpoint names none."""
        return self._training().hierarchy

    @torch.no_grad()  # not inference_mode, whose tensors cannot be used in later training
    def predict(self, images: Images) -> Prediction:
        """Say what is to be seen in uint8 images, (N, H, W, 3) or (N, 3, H, W), of NumPy or PyTorch, or in one image.

        `predict(images).fine.names` are the names of the most probable fine classes, `.fine.top(5)` those of the best
        five with probabilities. Raises DataError for other images, CheckpointError for a network without a checkpoint.
        """
        trained = self._training()
        pixels = as_batch(images, trained.image_size).to(next(self.parameters()).device)
        was_training = self.training
        logits = self.eval()(trained.normalise(pixels)).logits
        self.train(was_training)
        said = {}
        for level, values in logits.items():
            names = trained.hierarchy and getattr(trained.hierarchy, f"{level}_names")
            said[level] = LevelPrediction(values.softmax(1).cpu(), names or [str(n) for n in range(values.shape[1])])
        return Prediction(said.get("fine"), said.get("coarse"))

    def _training(self) -> Trained:
        if self.trained is None:
            raise CheckpointError("the network does not come from a checkpoint, which alone says what its labels mean")
        return self.trained

    @property
    def fixed_until_join(self) -> bool:
        """Whether an image has the same features at every step of a training.

        So it is if nothing before the join is trained, draws random numbers or changes with the epochs. Then features
        may be kept.
        """
        before = [*self.hemispheres.modules(), *self.bridges.modules(), *self.lesions.modules()]
        return (
            self.frozen == set(self.hemispheres)
            and not any(parameter.requires_grad for parameter in self.bridges.parameters())
            and not any(module.draws or module.changes for module in before if isinstance(module, Component))
        )

    def enter_epoch(self, epoch: int) -> None:
        """Begin an epoch of a training, counted from 0: schedules go on, but for those of frozen sides."""
        trained = [hemisphere for side, hemisphere in self.hemispheres.items() if side not in self.frozen]
        for component in (
            each for part in (*trained, self.bridges, self.join, self.lesions) for each in part.modules()
        ):
            if isinstance(component, Component) and component.changes:
                component.epoch.fill_(epoch)

    @property
    def targets(self) -> list[str]:
        """What may be lesioned, each thing once: sides, parts, bridges, and each direction of those that have two."""
        one_way = [
            name for name, bridge in self.bridges.items() if getattr(bridge.options, "direction", "both") != "both"
        ]
        return [target for target in self._targets() if target.rpartition(".to_")[0] not in one_way]

    @contextmanager
    def lesioned(self, lesions: Mapping[str, Lesion], healed: Iterable[str] = ()) -> Iterator[None]:
        """Add lesions, by what they are at (a side, a bridge, "left.noise"), for the time of a `with` block.

        healed: names of its own lesions that do not act meanwhile.
        """
        for target in lesions:
            _check_target(target, self._targets())
        self._passing, self._healed = dict(lesions), frozenset(healed)
        try:
            yield
        finally:
            self._passing, self._healed = {}, frozenset()

    def train(self, mode: bool = True) -> "Network":
        """Set training or evaluation mode everywhere but in frozen hemispheres, which stay in evaluation."""
        super().train(mode)
        for side in self.frozen:
            self.hemispheres[side].eval()
        return self

    def _lesions_of(self, *targets: str) -> list[Lesion]:
        own: list[Lesion] = [
            lesion  # type: ignore[misc]
            for name, lesion in self.lesions.items()
            if name not in self._healed and lesion.at in targets and lesion.acts
        ]
        if self.training:
            return own
        return [*own, *(self._passing[target] for target in targets if target in self._passing)]

    def _targets(self) -> list[str]:
        """By which names lesions reach what is here; a direction of a bridge that has one alone is the same as it."""
        stages = {f"{side}.{stage}" for side in self.hemispheres for stage in self.stages(side)}
        found = list(self.hemispheres)
        for step in self.steps:
            if step.name not in stages:
                found += [step.name, *(f"{step.name}.to_{side}" for side in step.places if len(step.places) > 1)]
        return found


def _weighed(features: Values, weights: Mapping[str, Tensor]) -> Values:
    if not weights:
        return features
    return {side: len(weights) * weights[side][:, None].to(values.dtype) * values for side, values in features.items()}


def _check_target(target: str, targets: Iterable[str], key: str = "") -> None:
    if target not in targets:
        raise ValueError(f"{key}there is no {target!r} to lesion; there are: {', '.join(targets)}")
