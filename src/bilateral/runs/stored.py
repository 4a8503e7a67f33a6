"""A finished run, opened from its folder."""

import json
from collections.abc import Collection
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from ..base.errors import OutputError
from ..models.macro import HemisphericNetwork
from ..training import checkpoint
from ..training.checkpoint import Description
from .config import Config, read_config
from .predictions import Predictions
from .runner import PREDICTIONS, read_record


@dataclass(frozen=True)
class StoredRun:
    """A finished run: its folder, and its record (`run.yaml`). Everything else is read when it is asked for.

    own_backbones: `package.module:Class` backbones that its checkpoint may name.
    """

    folder: Path
    record: dict[str, Any]
    own_backbones: Collection[str] = ()

    @classmethod
    def open(cls, folder: Path, own_backbones: Collection[str] = ()) -> "StoredRun":
        """Open a run's folder. Raises OutputError where there is none, or the run is not finished."""
        record = read_record(folder)
        if record is None:
            raise OutputError(f"{folder} is no finished run (it has no run.yaml); run its command again")
        return cls(folder, record, own_backbones)

    @property
    def seed(self) -> int:
        """The run's seed."""
        return int(self.record["seed"])

    @cached_property
    def config(self) -> Config:
        """The resolved config."""
        return read_config(self.folder / "config.yaml")

    @cached_property
    def predictions(self) -> Predictions:
        """What it said of the test images. Raises OutputError where it was not tested."""
        return Predictions.load(self.folder / PREDICTIONS)

    @cached_property
    def description(self) -> Description:
        """What its network is."""
        return checkpoint.read(self.folder).description

    def network(self) -> HemisphericNetwork:
        """Its tested network, in evaluation mode, on the CPU. Raises CheckpointError."""
        return checkpoint.load(self.folder, own_code=self.own_backbones)

    def epochs(self) -> list[dict[str, float]]:
        """The metrics of every epoch, as in metrics.jsonl; none where there is no such file."""
        path = self.folder / "metrics.jsonl"
        return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()] if path.is_file() else []

    def parents(self) -> dict[str, "StoredRun"]:
        """The runs that it was made from, by side."""
        return {
            part: StoredRun.open(beside(self.folder.parent.parent, Path(folder)), self.own_backbones)
            for part, folder in self.record.get("parents", {}).items()
        }


def beside(save_dir: Path, recorded: Path) -> Path:
    """Where a run is now that was recorded at another place: in the same `save_dir`, which may have been moved."""
    here = save_dir / recorded.parent.name / recorded.name
    return here if here.is_dir() or not recorded.is_dir() else recorded
