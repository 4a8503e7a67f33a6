"""Runs: which one takes its hemispheres from which."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from ..models.config import ModelConfig
from . import identity
from .config import Config


@dataclass(frozen=True)
class Run:
    """One network with one seed, to be trained (or, an ensemble, only tested).

    parents: the runs that its weights come from, by the prefix of its state that each gives: `prefix_of` a side, or ""
    for the whole network. role: what it is in its plan ("left", "right", ...).
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
        parents = {prefix: parent.identity(data_fingerprint) for prefix, parent in self.parents.items()}
        return identity.run(self.kind(data_fingerprint), self.seed, self.config.model, parents)

    def kind(self, data_fingerprint: str) -> str:
        """Digest of what runs of several seeds have in common: config, data, code, and the same of their parents."""
        parents = {prefix: parent.kind(data_fingerprint) for prefix, parent in self.parents.items()}
        return identity.kind(self.config, data_fingerprint, parents)


def alone(model: ModelConfig, side: str) -> ModelConfig:
    """One hemisphere of a network by itself, not frozen, under heads for its own labels."""
    hemisphere = model.hemispheres[side].model_dump() | {"freeze": False, "checkpoint": None, "own_head": None}
    values = {"mode_hemis": "unilateral", "mode_heads": hemisphere["level"], "dropout": model.dropout, side: hemisphere}
    return ModelConfig.model_validate(values)


def prefix_of(side: str) -> str:
    """The prefix of a hemisphere's tensors in the state of a network."""
    return f"hemispheres.{side}"


def named_weights(model: ModelConfig) -> dict[str, Path]:
    """The checkpoints that a network is to start from, by the prefix of the state that each gives."""
    given = {"": model.checkpoint}
    given |= {prefix_of(side): hemisphere.checkpoint for side, hemisphere in model.hemispheres.items()}
    return {prefix: path for prefix, path in given.items() if path is not None}


def with_weights(model: ModelConfig, weights: Mapping[str, Path | None]) -> ModelConfig:
    """The network that starts from these checkpoints, by prefix."""
    update: dict[str, object] = {
        side: hemisphere.model_copy(update={"checkpoint": weights[prefix_of(side)]})
        for side, hemisphere in model.hemispheres.items()
        if prefix_of(side) in weights
    }
    return model.model_copy(update=update | ({"checkpoint": weights[""]} if "" in weights else {}))
