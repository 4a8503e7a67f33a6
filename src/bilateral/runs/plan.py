"""Runs: which one takes its hemispheres from which, and what makes two of them the same."""

import ast
import hashlib
import inspect
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from ..base.files import file_digest
from ..models.backbones import find_backbone
from ..models.config import ModelConfig
from ..training import distributed
from ..training.checkpoint import find
from .config import Config

# The code that what a run computes depends on, beside its backbones. What only reads configs or reports is left out.
_COMPUTING = (
    *(
        "base/streams.py",
        "data/augment.py",
        "data/batches.py",
        "data/hierarchy.py",
        "data/splits.py",
        "models/*.py",
        "training/*.py",
    ),
    *("runs/execution.py",),
)
_NOT_COMPUTING = {"__init__.py", "config.py", "cost.py", "event_file.py", "progress.py", "records.py"}


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
        return code_fingerprint(tuple(hemisphere.arch for hemisphere in self.config.model.hemispheres.values()))

    def identity(self, data_fingerprint: str) -> str:
        """Digest of all that determines the run's result: kind, seed, parents, the checkpoints that it starts from."""
        determining = {
            "kind": self.kind(data_fingerprint),
            "seed": self.seed,
            "files": {where: file_digest(path) for where, path in checkpoint_files(self.config.model).items()},
            "parents": {prefix: parent.identity(data_fingerprint) for prefix, parent in self.parents.items()},
        }
        return _digest(determining)

    def kind(self, data_fingerprint: str) -> str:
        """Digest of what runs of several seeds have in common: config, data, code, and the same of their parents."""
        config = self.config
        unread = {"device", "feature_memory_gb", "log_every_steps", "recipe"}
        if not all(hemisphere.freeze for hemisphere in config.model.hemispheres.values()):
            unread.add("feature_views")
        data = [data_fingerprint, config.data.validation_fraction, config.data.split_seed]
        weights = {"checkpoint": True, "members": True}
        common: dict[str, object] = {
            "parents": {prefix: parent.kind(data_fingerprint) for prefix, parent in self.parents.items()},
            "protocol": config.protocol,
            "data": data,
            "model": config.model.model_dump(
                mode="json", exclude=weights | {"left": {"checkpoint"}, "right": {"checkpoint"}}
            ),
            "training": config.training.model_dump(mode="json", exclude=unread),
            "checkpoints": config.checkpoints.model_dump(mode="json", exclude={"save_last"}),
            "code": self.code,
        }
        if not config.train:
            common["train"] = False
        if distributed.world_size() > 1:  # which draw other masks where there is dropout
            common["processes"] = distributed.world_size()
        return _digest(common)


def alone(model: ModelConfig, side: str) -> ModelConfig:
    """One hemisphere of a network by itself, not frozen, under heads for its own labels."""
    hemisphere = model.hemispheres[side].model_dump() | {"freeze": False, "checkpoint": None}
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


def checkpoint_files(model: ModelConfig) -> dict[str, Path]:
    """Every checkpoint file that a network's config names, by where it names it. Raises CheckpointError."""
    named = {"network": model.checkpoint}
    named |= {side: hemisphere.checkpoint for side, hemisphere in model.hemispheres.items()}
    named |= {str(number): path for number, path in enumerate(model.members or [])}
    return {where: find(path) for where, path in named.items() if path is not None}


@cache
def code_fingerprint(archs: tuple[str, ...]) -> str:
    """Digest of the code that computes a run's result: its syntax, so that comments and docstrings do not count."""
    package = Path(__file__).parent.parent
    sources = {path for pattern in _COMPUTING for path in package.glob(pattern) if path.name not in _NOT_COMPUTING}
    for arch in archs:
        bases = inspect.getmro(find_backbone(arch))
        sources |= {Path(inspect.getfile(base)) for base in bases if base.__module__.split(".")[0] not in _LIBRARIES}
    digest = hashlib.sha256()
    for source in sorted(sources):
        tree = ast.parse(source.read_text(encoding="utf-8"))
        for node in ast.walk(tree):
            if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef):
                node.body = [statement for statement in node.body if not _is_text(statement)]
        digest.update(ast.dump(tree).encode())
    return digest.hexdigest()


_LIBRARIES = {"torch", "builtins"}


def _is_text(statement: ast.stmt) -> bool:
    """Whether it is a docstring, of a module, class, function or attribute."""
    return (
        isinstance(statement, ast.Expr)
        and isinstance(statement.value, ast.Constant)
        and isinstance(statement.value.value, str)
    )


def _digest(values: object) -> str:
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()[:12]
