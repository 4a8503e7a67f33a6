"""How the arguments of a command line are told apart, and those that several commands have."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter, Token

from ..base.errors import ConfigError


def _count(_: object, tokens: Sequence[Token]) -> int:
    text = tokens[0].value
    if not text.isdecimal() or int(text) < 1:
        raise ConfigError(f"--seeds: must be 1 or more, to do so many from 0 on, not {text}; for others: seeds=[3,5]")
    return int(text)


Seeds = Annotated[int | None, Parameter(help="Do seeds 0 to N-1, whatever the config lists.", converter=_count)]


@Parameter(name="*")
@dataclass(frozen=True)
class RunOptions:
    """For which seeds, whether, where and how many at once a command does its runs."""

    seeds: Seeds = None
    plan: Annotated[bool, Parameter(help="Show what will run, what is reused, the time left.")] = False
    workers: Annotated[int | None, Parameter(help="Processes, or jobs of a batch system, that work at once.")] = None
    executor: Annotated[
        str, Parameter(help="local, dask (with --address), or a batch system: slurm, pbs, sge, lsf, htcondor, ...")
    ] = "local"
    address: Annotated[str | None, Parameter(help="Of a Dask scheduler, such as tcp://10.0.0.1:8786.")] = None
    demand: Annotated[
        list[str] | None,
        Parameter(help="What a run takes of a Dask worker's resources, such as GPU=1 or CPU=4."),
    ] = None

    def config_and_overrides(self, arguments: Sequence[str], command: str) -> tuple[Path, list[str]]:
        """Give the config file and the overrides of a command that cannot do without the former."""
        path, overrides = config_and_overrides(arguments)
        if path is None:
            raise ConfigError(f"{command} needs a config file, such as configs/experiment/quick.yaml")
        overrides += of_seeds(self.seeds)
        overrides += [] if self.workers is None else [f"workers={self.workers}"]
        return path, [*overrides, "data.download=false"] if self.plan else overrides  # a plan changes nothing


def of_seeds(count: int | None) -> list[str]:
    """The override that `--seeds COUNT` stands for."""
    return [] if count is None else [f"seeds={list(range(count))}"]


def config_and_overrides(arguments: Sequence[str]) -> tuple[Path | None, list[str]]:
    """Tell a config file, if the first argument is one (`lr=0.1/config.yaml` is if it is there), from the overrides."""
    if arguments and not {"=", "/"} & {*arguments[0]} and not arguments[0].endswith((".yaml", ".yml")):
        value = arguments[1] if len(arguments) > 1 else "VALUE"
        if not Path(arguments[0]).exists():
            raise ConfigError(
                f"there is no config file {arguments[0]}; a setting is written as one word, {arguments[0]}={value}"
            )
    if arguments and ("=" not in arguments[0] or Path(arguments[0]).exists()):
        return Path(arguments[0]), list(arguments[1:])
    return None, list(arguments)
