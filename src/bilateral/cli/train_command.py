"""The command that trains one network."""

from collections.abc import Sequence

from ..base.errors import ConfigError
from ..runs.stored import StoredRun
from ..runs.train import train as train_network
from .arguments import config_and_overrides
from .terminal import echo


def train(*arguments: str, own_code: Sequence[str] | None = None) -> None:
    """Do `bilateral train` and print each seed's test metrics."""
    path, overrides = config_and_overrides(arguments)
    if path is None and not overrides:
        raise ConfigError("train needs a config file, such as configs/example1/1_left.yaml, or key=value settings")
    train_network(path, overrides, own_code or [], _print)


def _print(runs: Sequence[StoredRun]) -> None:
    for run in runs:
        echo(f"seed {run.seed}: {run.folder}")
        for name, value in run.metrics.items():
            echo(f"  {name:20} {value:.4f}")
