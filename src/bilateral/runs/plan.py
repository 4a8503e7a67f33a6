"""Runs: which one takes its hemispheres from which."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from ..models.config import HemisphereConfig, ModelConfig
from . import identity
from .config import Config

WHOLE = "network"
"""Among a run's parents: the one whose whole network, heads included, its training starts from."""


@dataclass(frozen=True)
class Run:
    """One network with one seed, to be trained (or, an ensemble, only tested).

    parents: the runs that train its hemispheres, by side, or by WHOLE the one that it goes on from. role: what it is
    in its plan ("left", "right", ...).
    """

    config: Config
    seed: int
    role: str = "network"
    parents: Mapping[str, "Run"] = field(default_factory=dict)

    @property
    def title(self) -> str:
        """For progress and messages."""
        return f"{self.role}, seed {self.seed}"

    @property
    def group(self) -> str:
        """The name of the folder that holds the runs of all seeds."""
        model = self.config.model
        hemispheres = "-".join(hemisphere.arch.replace(":", ".") for hemisphere in model.hemispheres.values())
        arch = hemispheres or f"{len(model.members or [])}members"
        return f"{self.config.name}-{model.mode_hemis}-{arch}-{model.mode_heads}"

    @property
    def code(self) -> str:
        """Digest of the code that computes its result."""
        return identity.code(identity.named_code(self.config.model))

    def identity(self, data_fingerprint: str) -> str:
        """Digest of all that determines the run's result: kind, seed, parents, the checkpoints that it starts from."""
        parents = {side: parent.identity(data_fingerprint) for side, parent in self.parents.items()}
        return identity.run(self.kind(data_fingerprint), self.seed, self.config.model, parents)

    def kind(self, data_fingerprint: str) -> str:
        """Digest of what runs of several seeds have in common: config, data, code, and the same of their parents."""
        parents = {side: parent.kind(data_fingerprint) for side, parent in self.parents.items()}
        return identity.kind(self.config, data_fingerprint, parents)


def hemisphere_config(config: Config, side: str) -> Config:
    """The config by which one hemisphere of a bilateral network is trained alone, on its own labels."""
    hemisphere = config.model.hemispheres[side]
    alone = HemisphereConfig.model_validate(hemisphere.model_dump() | {"freeze": False, "checkpoint": None})
    model = ModelConfig.model_validate(
        {
            "mode_hemis": "unilateral",
            "mode_heads": hemisphere.level,
            "dropout": config.model.dropout,
            side: alone.model_dump(),
        }
    )
    training = getattr(config.pretraining, side)
    return config.model_copy(update={"model": model, "training": training})
