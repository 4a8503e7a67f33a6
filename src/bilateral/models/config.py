"""What a network is made of: its hemispheres, heads and output."""

from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from pydantic import AfterValidator, BeforeValidator, Field, model_validator
from torch import nn

from ..base.errors import ConfigError
from ..base.own_code import is_own
from ..base.registry import Registry, read_options
from ..base.run_folders import only_run
from ..base.section import Section, Text, UserPath, Whole, user_path
from .bridges import BRIDGES
from .connections import ConnectionsConfig
from .joins import JOINS
from .lesions import LESIONS
from .parts import PARTS
from .plasticity import Plasticity
from .schedule import is_schedule


def _plain(name: str) -> str:
    if not name.isidentifier():
        raise ValueError(f"{name!r} cannot be a name; choose one of letters, digits and _")
    if hasattr(nn.ModuleDict, name):
        raise ValueError(f"{name!r} is a word that PyTorch's modules use; choose another name, such as my_{name}")
    return name


Name = Annotated[Text, AfterValidator(_plain)]
"""Of a part, a bridge or a lesion, which is also its name among the modules of a network."""
RunPath = Annotated[UserPath, AfterValidator(only_run)]
"""A checkpoint file, a run's folder, or a folder of one run alone."""
Share = Annotated[float, Field(gt=0, le=1)]
SIDES = ("left", "right")
LEVEL_OF_SIDE = {"left": "fine", "right": "coarse"}


def _with_kinds(named: Any) -> Any:
    if not isinstance(named, dict):
        return named
    return {name: {"kind": name, **each} if isinstance(each, dict) else each for name, each in named.items()}


_NamedKinds = BeforeValidator(_with_kinds)
"""Gives each entry without a kind its name as the kind."""


class SparsityConfig(Section):
    """k-winners-take-all (see `models.parts.kwta`)."""

    k: Share
    """Share of each feature map's positions that win within the map."""
    per_k: Share
    """Share of those winners that stay in the second stage."""
    variant: Literal["per_image", "original"] = "per_image"
    """Second stage within each image, or over the whole batch as the original code does."""


class KindConfig(Section):
    """Something that is chosen by its kind, with settings that this kind alone knows.

    These stand beside the others or, as in what is written of a finished run, under `options`. Those of a registered
    kind are checked here and completed with defaults; those of the user's own code, where the network is built.
    """

    registry: ClassVar[Registry]
    kind: Text
    """A registered kind, or `package.module:Class` for one of your own."""
    options: dict[str, Any] = Field(default={})
    """The settings of the kind."""

    @model_validator(mode="before")
    @classmethod
    def _gather_options(cls, given: Any) -> Any:
        if isinstance(given, str):  # a kind alone
            given = {"kind": given}
        if not isinstance(given, dict) or not isinstance(given.get("options", {}), dict):
            return given
        plain = {key: value for key, value in given.items() if key in cls.model_fields}
        beside = {key: value for key, value in given.items() if key not in plain}
        if twice := sorted(beside.keys() & given.get("options", {}).keys()):
            raise ValueError(f"{twice[0]} stands here and under `options`; give it once")
        options = given.get("options", {}) | beside
        kind = plain.get("kind")
        if isinstance(kind, str) and not is_own(kind):
            try:
                options = read_options(cls.registry.find(kind, "kind"), options, "").model_dump(mode="json")
            except ConfigError as error:
                raise ValueError(str(error)) from None
        return {**plain, "options": options}


class PartConfig(KindConfig):
    """A part of a hemisphere: changes its values at one place, such as `{kind: noise, after: conv2, std: 0.1}`."""

    registry = PARTS
    after: Text
    """The stage that it follows; `input`: before the first one."""


class BridgeConfig(KindConfig):
    """What the hemispheres tell each other, such as `{kind: additive, between: {left: res1, right: res1}}`."""

    registry = BRIDGES
    between: dict[str, Text]
    """The stage on each side after which it stands."""


class JoinConfig(KindConfig):
    """What the heads get of the hemispheres' features."""

    registry = JOINS
    kind: Text = "concat"


class LesionConfig(KindConfig):
    """Damage, such as `{kind: silence, at: left}`."""

    registry = LESIONS
    at: Text
    """A side (left), a bridge (callosum), one direction of it (callosum.to_left), or a part (left.noise)."""
    from_epoch: Annotated[Whole, Field(ge=1)] | None = None
    """The epoch, counted from 1, from which on training goes on with the damage; None: damage in evaluation alone."""


class OwnHeadConfig(Section):
    """A head that hears one hemisphere alone, while both are trained together."""

    weight: Annotated[float, Field(gt=0, le=1000)] = 1.0
    """Of its loss, beside those of the joined heads, which have the weight 1."""


class HemisphereConfig(Section):
    """One hemisphere. What differs between left and right is an asymmetry."""

    arch: Text = "resnet9"
    """A registered backbone, or `package.module:Backbone` for one of your own."""
    level: Literal["fine", "coarse", "both"] = "fine"
    """The labels that the hemisphere is trained on before it is joined; left: fine, right: coarse."""
    width: Annotated[float, Field(gt=0, le=16)] = 1.0
    """Factor on the channels of every layer."""
    batch_norm_momentum: Annotated[float, Field(gt=0, le=1)] | Literal["original"] | None = None
    """Of the running statistics, in PyTorch's sense. None: by the recipe (`original`: the original code's)."""
    sparsity: SparsityConfig | None = None
    freeze: bool | Literal["untrained"] | None = None
    """Never train it: no gradients, evaluation mode at all times. None: where `system` joins it, yes; else no.
    untrained: freeze it as it is initialised, to see what the heads can do alone."""
    checkpoint: RunPath | None = None
    """Where its trained weights come from."""
    connections: ConnectionsConfig | None = None
    """Receptive fields and connectivity."""
    plasticity: Plasticity | None = None
    """How fast it learns, and until when."""
    own_head: OwnHeadConfig | None = None
    """A head of its own, for the labels of `level`, which is trained with the network."""
    parts: Annotated[dict[Name, PartConfig], _NamedKinds] = Field(default={})
    """What changes its values at some place, by a name of your choice; the name is the kind if none is given."""
    options: dict[str, Any] = Field(default={})
    """The settings of a model of timm, or of a backbone of your own."""

    @property
    def pretrained(self) -> bool | Path:
        """Whether a model of timm starts from timm's weights, or from which file."""
        given = not is_own(self.arch) and self.options.get("pretrained", False)
        return user_path(Path(given)) if isinstance(given, str) else bool(given)


class ModelConfig(Section):
    """The macro-architecture. Keys and values have the names that the original code documents."""

    mode_hemis: Literal["unilateral", "bilateral", "ensemble"] = "bilateral"
    mode_heads: Literal["fine", "coarse", "both"] = "both"
    mode_out: Literal["pred", "feature"] = "pred"
    """pred: the heads' logits; feature: the features that the heads would get."""
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.6
    """Before each head's linear layer."""
    left: HemisphereConfig | None = None
    right: HemisphereConfig | None = None
    bridges: Annotated[dict[Name, BridgeConfig], _NamedKinds] = Field(default={})
    """What the hemispheres tell each other, by a name of your choice; the name is the kind if none is given."""
    join: JoinConfig = JoinConfig()
    """What the heads get of the hemispheres' features."""
    lesions: Annotated[dict[Name, LesionConfig], _NamedKinds] = Field(default={})
    """Damage, by a name of your choice; the name is the kind if none is given."""
    checkpoint: RunPath | None = None
    """A whole network, heads included, that training starts from or that is evaluated."""
    members: list[RunPath] | None = None
    """Checkpoints of an ensemble's two-headed networks."""
    average: Literal["logits", "probabilities"] = "logits"
    """What an ensemble takes the mean of."""

    @model_validator(mode="before")
    @classmethod
    def _complete_hemispheres(cls, given: Any) -> Any:
        if not isinstance(given, dict):
            return given
        given = dict(given)
        mode = given.get("mode_hemis", "bilateral")
        if mode == "bilateral" or (mode == "unilateral" and all(given.get(side) is None for side in SIDES)):
            for side in SIDES if mode == "bilateral" else SIDES[:1]:
                given[side] = given.get(side) or {}
        for side in SIDES:
            if isinstance(given.get(side), dict):
                given[side] = {"level": LEVEL_OF_SIDE[side], **given[side]}
        return given

    @model_validator(mode="after")
    def _check_consistency(self) -> "ModelConfig":
        if self.mode_hemis == "ensemble":
            if self.hemispheres or self.checkpoint:
                raise ValueError("an ensemble is made of `members` alone; left, right and checkpoint do not apply")
            if not self.members or len(self.members) < 2:
                raise ValueError("an ensemble needs `members`: a list of two or more checkpoints")
            if len(set(self.members)) < len(self.members):
                raise ValueError("an ensemble's members must differ; a checkpoint is listed twice")
            if self.mode_heads != "both" or self.mode_out != "pred":
                raise ValueError("an ensemble averages the logits of both heads: mode_heads: both, mode_out: pred")
        elif self.members:
            raise ValueError(f"`members` belong to mode_hemis: ensemble, not {self.mode_hemis}")
        elif self.average != "logits":
            raise ValueError(f"`average` belongs to mode_hemis: ensemble, not {self.mode_hemis}")
        if self.mode_hemis == "unilateral" and len(self.hemispheres) == 2:
            raise ValueError("a unilateral network has one hemisphere; give left or right, not both")
        for name, bridge in self.bridges.items():
            if set(bridge.between) != set(SIDES):
                raise ValueError(f"bridges.{name}.between must name a stage of left and one of right")
        if self.bridges and len(self.hemispheres) < 2:
            raise ValueError("`bridges` need two hemispheres: mode_hemis: bilateral")
        if self.join.kind != "concat" and len(self.hemispheres) < 2:
            raise ValueError(f"`join`: {self.join.kind} needs two hemispheres: mode_hemis: bilateral")
        for side, hemisphere in self.hemispheres.items():
            if hemisphere.own_head and self.mode_hemis == "unilateral":
                raise ValueError(f"{side}.own_head: a unilateral network's heads hear this side alone; leave it out")
            if hemisphere.freeze and hemisphere.plasticity:
                raise ValueError(f"{side}.plasticity: a frozen side learns nothing; leave plasticity or freeze out")
        if self.checkpoint and any(hemisphere.checkpoint for hemisphere in self.hemispheres.values()):
            raise ValueError("`checkpoint` of the whole network and of a hemisphere exclude each other")
        return self

    @property
    def hemispheres(self) -> dict[str, HemisphereConfig]:
        """The hemispheres that the network has, by side, left first."""
        both = {"left": self.left, "right": self.right}
        return {side: config for side, config in both.items() if config is not None}

    def without_pretrained(self) -> "ModelConfig":
        """The same network, for weights that come from a checkpoint."""
        update = {
            side: hemisphere.model_copy(update={"options": {**hemisphere.options, "pretrained": False}})
            for side, hemisphere in self.hemispheres.items()
            if hemisphere.pretrained
        }
        return self.model_copy(update=update)

    def of_side(self, side: str) -> HemisphereConfig:
        """The hemisphere that weights for a side are taken from: the one of this side, or the only one."""
        return self.hemispheres.get(side) or next(iter(self.hemispheres.values()))

    @property
    def archs(self) -> tuple[str, ...]:
        """The names of its hemispheres' backbones, each once."""
        return tuple(dict.fromkeys(hemisphere.arch for hemisphere in self.hemispheres.values()))

    @property
    def chosen(self) -> list[KindConfig]:
        """All of its parts, bridges and lesions, and its join."""
        parts = [part for hemisphere in self.hemispheres.values() for part in hemisphere.parts.values()]
        return [*parts, *self.bridges.values(), self.join, *self.lesions.values()]

    @property
    def additions(self) -> list[str]:
        """What it has beside plain hemispheres and heads, by the config's names, for people.

        >>> parts = {"noise": {"after": "conv2", "std": 0.1}}
        >>> lesion = {"kind": "silence", "at": "right"}
        >>> ModelConfig(left={"parts": parts}, join={"kind": "gate"}, lesions={"loss": lesion}).additions
        ['left.noise', 'join gate', 'lesion loss at right']
        """
        own = [
            f"{side}.{name}"
            for side, hemisphere in self.hemispheres.items()
            for name in (*_asymmetries(hemisphere), *hemisphere.parts)
        ]
        join = [] if self.join.kind == "concat" else [f"join {self.join.kind}"]
        return [*own, *self.bridges, *join, *(f"lesion {name} at {each.at}" for name, each in self.lesions.items())]

    @property
    def lesions_in_training(self) -> dict[str, LesionConfig]:
        """Those that act in training, from an epoch on; the others are for tests alone."""
        return {name: lesion for name, lesion in self.lesions.items() if lesion.from_epoch is not None}

    @property
    def schedules(self) -> dict[str, int]:
        """The epochs that settings of the network speak of, by the settings' keys."""
        found: dict[str, int] = {}
        for side, hemisphere in self.hemispheres.items():
            if hemisphere.freeze:
                continue
            if plasticity := hemisphere.plasticity:
                found |= _epochs(f"{side}.plasticity", plasticity.model_dump())
                if plasticity.until is not None:
                    found[f"{side}.plasticity.until"] = plasticity.until
            for name, part in hemisphere.parts.items():
                found |= _epochs(f"{side}.parts.{name}", part.options)
        for name, bridge in self.bridges.items():
            found |= _epochs(f"bridges.{name}", bridge.options)
        found |= _epochs("join", self.join.options)
        for name, lesion in self.lesions.items():
            found |= _epochs(f"lesions.{name}", lesion.options)
            if lesion.from_epoch is not None:
                found[f"lesions.{name}.from_epoch"] = lesion.from_epoch
        return found

    @property
    def kinds(self) -> tuple[str, ...]:
        """The names of all code that it is made of, the user's own among them, each once."""
        return tuple(dict.fromkeys([*self.archs, *(each.kind for each in self.chosen)]))

    @property
    def levels(self) -> tuple[str, ...]:
        """The label levels that have a head."""
        return ("fine", "coarse") if self.mode_heads == "both" else (self.mode_heads,)


def _asymmetries(hemisphere: HemisphereConfig) -> list[str]:
    """The settings that a hemisphere has and another one may lack."""
    names = ("sparsity", "connections", "plasticity", "own_head")
    return [name for name in names if getattr(hemisphere, name) is not None]


def _epochs(key: str, options: dict[str, Any]) -> dict[str, int]:
    """The lengths of the schedules among options."""
    return {f"{key}.{name}.epochs": int(value["epochs"]) for name, value in options.items() if is_schedule(value)}
