"""What a network is made of: its hemispheres, heads and output."""

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from ..base.section import Section, Text, UserPath

Share = Annotated[float, Field(gt=0, le=1)]
SIDES = ("left", "right")
LEVEL_OF_SIDE = {"left": "fine", "right": "coarse"}


class SparsityConfig(Section):
    """k-winners-take-all after each convolution (see `models.kwta`)."""

    k: Share
    """Share of each feature map's positions that win within the map."""
    per_k: Share
    """Share of those winners that stay in the second stage."""
    variant: Literal["per_image", "original"] = "per_image"
    """Second stage within each image, or over the whole batch as the original code does."""


class HemisphereConfig(Section):
    """One hemisphere. An asymmetry between the two is a field here that differs between left and right."""

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
    checkpoint: UserPath | None = None
    """Where its trained weights come from."""


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
    checkpoint: UserPath | None = None
    """A whole network, heads included, that training starts from or that is evaluated."""
    members: list[UserPath] | None = None
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
        if self.checkpoint and any(hemisphere.checkpoint for hemisphere in self.hemispheres.values()):
            raise ValueError("`checkpoint` of the whole network and of a hemisphere exclude each other")
        return self

    @property
    def hemispheres(self) -> dict[str, HemisphereConfig]:
        """The hemispheres that the network has, by side, left first."""
        both = {"left": self.left, "right": self.right}
        return {side: config for side, config in both.items() if config is not None}

    @property
    def archs(self) -> tuple[str, ...]:
        """The names of its hemispheres' backbones, each once."""
        return tuple(dict.fromkeys(hemisphere.arch for hemisphere in self.hemispheres.values()))

    @property
    def levels(self) -> tuple[str, ...]:
        """The label levels that have a head."""
        return ("fine", "coarse") if self.mode_heads == "both" else (self.mode_heads,)
