"""Which checkpoints of a run stay on disk."""

import re
from pathlib import Path

from ..base.errors import ConfigError
from ..base.files import writing
from ..models.network import Network
from . import checkpoint
from .checkpoint import Description
from .config import CheckpointConfig
from .header import KEPT_NAME


class KeptCheckpoints:
    """The best checkpoints of a run by the monitored metric, and its last one.

    best.safetensors is always the best one. With save_top_k other than 1 each kept epoch has a file of its own
    beside it, named with its epoch and score. A tie goes to the earlier epoch.
    """

    def __init__(self, folder: Path, config: CheckpointConfig) -> None:
        self.folder, self.config = folder, config
        self.last_path, self.best_path = folder / "last.safetensors", folder / "best.safetensors"
        """The last epoch's checkpoint, with all that resuming needs, and the best epoch's."""
        self.scores: dict[str, float] = {}

    def offer(self, epoch: int, metrics: dict[str, float], network: Network, description: Description) -> None:
        """Keep this epoch's network if it is among the best; drop what it displaces.

        Raises ConfigError if the monitored metric is not among `metrics`.
        """
        config = self.config
        if config.monitor not in metrics:
            raise ConfigError(
                f"checkpoints.monitor: there is no metric {config.monitor!r}; there are: {', '.join(metrics)}"
            )
        if config.save_top_k == 0:
            return
        score = metrics[config.monitor]
        name = f"epoch={epoch:03d}-{config.monitor}={score:.3f}.safetensors"
        sign = -1 if config.mode == "max" else 1
        ranked = sorted({**self.scores, name: score}.items(), key=lambda item: (sign * item[1], item[0]))
        kept = ranked if config.save_top_k == -1 else ranked[: config.save_top_k]
        if name == ranked[0][0]:
            checkpoint.save(self.best_path, network, description)
        if config.save_top_k != 1 and name in dict(kept):
            checkpoint.save(self.folder / name, network, description)
        for displaced in set(self.scores) - set(dict(kept)):
            (self.folder / displaced).unlink(missing_ok=True)
        self.scores = dict(kept)

    def take_up(self, scores: dict[str, float]) -> None:
        """Go on with the `scores` of an interrupted run. Raises CheckpointError where their files cannot be read."""
        if scores:
            checkpoint.read(self.best_path)
        if self.config.save_top_k != 1:
            for name in scores:
                checkpoint.read(self.folder / name)
        self.scores = dict(scores)

    def start_anew(self) -> None:
        """Remove what an earlier training kept."""
        with writing(self.folder):
            for path in self.folder.glob("*.safetensors"):
                if path == self.best_path or re.match(KEPT_NAME, path.name):
                    path.unlink()
