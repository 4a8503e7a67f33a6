"""The command that trains one network."""

from collections.abc import Sequence
from shlex import quote

from ..base.errors import ConfigError
from ..base.files import to_json
from ..runs.stored import StoredRun
from ..runs.train import train as train_network
from .arguments import config_and_overrides, of_seeds
from .terminal import echo, echo_metrics, suggest


def train(*arguments: str, seeds: int | None = None, own_code: Sequence[str] = (), json: bool = False) -> None:
    """Do `bilateral train` and print each seed's test metrics."""
    path, overrides = config_and_overrides(arguments)
    if path is None and not overrides:
        raise ConfigError("train needs a config file, such as configs/example1/1_left.yaml, or key=value settings")
    train_network(path, [*overrides, *of_seeds(seeds)], own_code or (), _print_json if json else _print)


def _print(runs: Sequence[StoredRun]) -> None:
    for run in runs:
        echo(f"seed {run.seed}: {run.folder}")
        echo_metrics(run.metrics, "  ")
    folder = runs[0].folder
    suggest(f"bilateral explore {quote(str(folder))}", f"tensorboard --logdir {quote(str(folder.parent))}")


def _print_json(runs: Sequence[StoredRun]) -> None:
    echo(to_json([{"seed": run.seed, "folder": str(run.folder), **run.metrics} for run in runs], indent=1))
