"""What makes two runs the same: digests of the settings, the data, the checkpoints and the code that they use."""

import hashlib
import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path

from ..base.files import file_digest
from ..base.used_code import code_digest
from ..models.backbones import find_backbone
from ..models.config import ModelConfig
from ..training import distributed
from ..training.checkpoint import find
from .config import Config

ROOTS = [f"bilateral.runs.execution:{name}" for name in ("resolve", "train_run", "evaluate_run")]
"""What is done in a run. All that these use counts, and all that the classes use which the run's config names."""
APART = (
    # Settings are digested by their values, and a plan by the runs in it.
    *("bilateral.data.config", "bilateral.models.config", "bilateral.training.config", "bilateral.runs.config"),
    *("bilateral.base.section", "bilateral.runs.plan", "bilateral.runs.identity"),
    # Finds code by its name; what it finds is a root.
    *("bilateral.base.own_code", "bilateral.base.registry"),
    # Refuses a run, or says why one has failed.
    *("bilateral.base.errors", "bilateral.base.memory", "bilateral.base.text", "bilateral.runs.checks"),
    # Shows how far a training is, and writes and reads what is told of it.
    *("bilateral.training.progress", "bilateral.training.records", "bilateral.training.tracker"),
    *("bilateral.training.run_record", "bilateral.base.files", "bilateral.base.yaml_files"),
    # Makes it quick, and nothing else.
    "bilateral.base.openmp",
)
"""Modules that do not change what comes of a run; code that only they use does not count either."""


def run(kind: str, seed: int, model: ModelConfig, parents: Mapping[str, str]) -> str:
    """Digest all that determines a run's result. parents: their identities. Raises CheckpointError."""
    named = {"network": model.checkpoint}
    named |= {side: hemisphere.checkpoint for side, hemisphere in model.hemispheres.items()}
    named |= {str(number): path for number, path in enumerate(model.members or [])}
    files = {where: file_digest(find(path)) for where, path in named.items() if path is not None}
    pretrained = {f"{side}.pretrained": hemisphere.pretrained for side, hemisphere in model.hemispheres.items()}
    files |= {where: file_digest(path) for where, path in pretrained.items() if isinstance(path, Path)}
    return _digest({"kind": kind, "seed": seed, "files": files, "parents": parents})


def kind(config: Config, data_fingerprint: str, parents: Mapping[str, str]) -> str:
    """Digest what runs of several seeds have in common. parents: their kinds."""
    unread = {"device", "feature_memory_gb", "log_every_steps", "recipe"}
    if not all(hemisphere.freeze for hemisphere in config.model.hemispheres.values()):
        unread.add("feature_views")
    common: dict[str, object] = {
        "parents": parents,
        "protocol": config.protocol,
        "data": [data_fingerprint, config.data.validation_fraction, config.data.split_seed],
        "model": config.model.model_dump(
            mode="json",
            exclude={"checkpoint": True, "members": True, "left": {"checkpoint"}, "right": {"checkpoint"}},
        ),
        "training": config.training.model_dump(mode="json", exclude=unread),
        "checkpoints": config.checkpoints.model_dump(mode="json", exclude={"save_last"}),
        "code": code(named_code(config.model)),
    }
    if not config.train:
        common["train"] = False
    if distributed.world_size() > 1:  # which draw other masks where there is dropout
        common["processes"] = distributed.world_size()
    return _digest(common)


def named_code(model: ModelConfig) -> tuple[str, ...]:
    """Where the classes stand that a network's config names. Raises ConfigError for one that is not there."""
    found = [*map(find_backbone, model.archs), *(each.registry.find(each.kind, "kind") for each in model.chosen)]
    return tuple(sorted({f"{each.__module__}:{each.__qualname__}" for each in found}))


@cache
def code(classes: tuple[str, ...]) -> str:
    """Digest the code that computes a run whose config names these classes, `package.module:Class`."""
    return code_digest([*ROOTS, *classes], APART)


def _digest(values: object) -> str:
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()[:12]
