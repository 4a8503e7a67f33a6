"""Runs: which one takes its hemispheres from which, and what makes two of them the same."""

import ast
import hashlib
import inspect
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from ..models.backbones import find_backbone
from ..models.config import HemisphereConfig, ModelConfig
from ..training.checkpoint import find
from .config import Config

# The code that what a run computes depends on, beside its backbones.
_COMPUTING = [
    "data/augment.py",
    "data/batches.py",
    "data/splits.py",
    "models/build.py",
    "models/heads.py",
    "models/kwta.py",
    "models/macro.py",
    "training/evaluation.py",
    "training/inputs.py",
    "training/keeping.py",
    "training/loop.py",
    "training/objective.py",
    "training/optimisation.py",
]


@dataclass(frozen=True)
class Run:
    """One network with one seed, to be trained (or, an ensemble, only tested).

    parents: the runs that train its hemispheres, by side. role: what it is in its plan ("left", "right", ...).
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

    def identity(self, data_fingerprint: str) -> str:
        """Digest of all that determines the run's result: config, seed, data, parents, checkpoints used, code."""
        config = self.config
        determining = {
            "seed": self.seed,
            "protocol": config.protocol,
            "evaluate": config.evaluate,
            "data": [data_fingerprint, config.data.validation_fraction, config.data.split_seed],
            "model": config.model.model_dump(mode="json"),
            "training": config.training.model_dump(mode="json", exclude={"device", "log_every_steps", "recipe"}),
            "checkpoints": config.checkpoints.model_dump(mode="json"),
            "files": {str(path): _file_digest(find(path)) for path in checkpoint_paths(config.model)},
            "parents": {side: parent.identity(data_fingerprint) for side, parent in self.parents.items()},
            "code": code_fingerprint(tuple(h.arch for h in config.model.hemispheres.values())),
        }
        return hashlib.sha256(json.dumps(determining, sort_keys=True).encode()).hexdigest()[:12]


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


def checkpoint_paths(model: ModelConfig) -> list[Path]:
    """Every checkpoint file that a network's config names."""
    named = [model.checkpoint, *(hemisphere.checkpoint for hemisphere in model.hemispheres.values())]
    return [path for path in [*named, *(model.members or [])] if path is not None]


@cache
def code_fingerprint(archs: tuple[str, ...]) -> str:
    """Digest of the code that computes a run's result: its syntax, so that comments and layout do not count."""
    package = Path(__file__).parent.parent
    sources = {package / name for name in _COMPUTING}
    sources |= {Path(inspect.getfile(find_backbone(arch))) for arch in archs}
    digest = hashlib.sha256()
    for source in sorted(sources):
        digest.update(ast.dump(ast.parse(source.read_text(encoding="utf-8"))).encode())
    return digest.hexdigest()


def _file_digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
