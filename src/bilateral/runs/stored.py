"""Finished runs, opened by their folders: what is known of them without training anything."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from ..base.errors import ConfigError, OutputError
from ..base.files import nearest, read_json_lines
from ..base.own_code import refuse_strange
from ..base.run_folders import beside
from ..models.network import Network
from ..training import checkpoint
from ..training.checkpoint import Description
from ..training.run_record import FILE, HELD_OUT, PREDICTIONS, REMEDY, RunRecord, damage, read_record
from .config import Config, read_config
from .predictions import Predictions


@dataclass(frozen=True)
class StoredRun:
    """A finished run: its folder, and its record. Everything else is read, and checked, when it is asked for.

    own_code: `package.module:Object` names that its files may name.
    """

    folder: Path
    record: RunRecord
    own_code: Collection[str] = ()

    @classmethod
    def open(cls, folder: Path, own_code: Collection[str] = ()) -> "StoredRun":
        """Open a run's folder. Raises OutputError where there is none, or the run is not finished."""
        record = read_record(folder)
        if record is None:
            hint = nearest(folder) or "; run its command again"
            raise OutputError(f"{folder} is no finished run (it has no {FILE}){hint}")
        return cls(folder, record, own_code)

    @property
    def seed(self) -> int:
        """The run's seed."""
        return self.record.seed

    @property
    def metrics(self) -> dict[str, float]:
        """Of the test (0 to 1); empty where there was none."""
        return self.record.metrics

    @cached_property
    def config(self) -> Config:
        """The resolved config."""
        return read_stored_config(self.folder / "config.yaml", [], self.own_code)

    @cached_property
    def predictions(self) -> Predictions:
        """What it said of the test images. Raises OutputError where it was not tested, or the file was changed."""
        return self._predictions(PREDICTIONS)

    @cached_property
    def held_out(self) -> Predictions | None:
        """What it said of the images that validated; None where none were held out, or an older version did not ask."""
        return self._predictions(HELD_OUT) if HELD_OUT in self.record.digests else None

    def _predictions(self, name: str) -> Predictions:
        wrong = damage(self.folder, self.record, name)
        if wrong is not None:
            raise OutputError(f"{wrong}; {REMEDY}")
        return Predictions.load(self.folder / name)

    @cached_property
    def description(self) -> Description:
        """What its network is."""
        return checkpoint.read(self._tested).description

    def network(self) -> Network:
        """Its tested network, with its lesions, in evaluation mode, on the CPU. Raises CheckpointError."""
        read = checkpoint.read(self._tested)
        return checkpoint.build(read, self._tested, own_code=self.own_code, lesions=self.config.model.lesions or None)

    @property
    def _tested(self) -> Path:
        """Its folder, or the checkpoint that it was given to test."""
        given = self.config.model.checkpoint if self.record.checkpoint is None else None
        return given or self.folder

    def epochs(self) -> list[dict[str, float]]:
        """The metrics of every epoch, as in metrics.jsonl; none where there is no such file."""
        return read_json_lines(self.folder / "metrics.jsonl")

    def parents(self) -> dict[str, "StoredRun"]:
        """The runs that it was made from, by the prefix of its state that each gave."""
        return {
            prefix: StoredRun.open(beside(self.folder.parent.parent, folder, self.folder / FILE), self.own_code)
            for prefix, folder in self.record.parents.items()
        }


def read_stored_config(path: Path, overrides: Sequence[str], own_code: Collection[str]) -> Config:
    """Read the config that lies in a run's folder, with `data.KEY=VALUE` and `training.device=NAME` on top.

    Unlike a config that somebody trains by, it may come from anybody: it names no code but what the user names too, by
    `own_code` or an override, and fetches nothing. Raises ConfigError.
    """
    return trusted(read_config(path, overrides), overrides, own_code, str(path))


def trusted(config: Config, overrides: Sequence[str], own_code: Collection[str], source: str) -> Config:
    """Give a stored config that names no code but the user's, and fetches nothing but what an override says."""
    typed = {text.partition("=")[2] for text in overrides}
    refuse_strange(config.named_code, {*own_code, *typed}, source, ConfigError)
    if config.data.download and not any(text.startswith("data.download=") for text in overrides):
        return config.model_copy(update={"data": config.data.model_copy(update={"download": False})})
    return config
