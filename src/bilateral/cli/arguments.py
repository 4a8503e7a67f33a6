"""How the arguments of a command line are told apart."""

from collections.abc import Sequence
from pathlib import Path


def config_and_overrides(arguments: Sequence[str]) -> tuple[Path | None, list[str]]:
    """Tell a config file, if the first argument is one (`lr=0.1/config.yaml` is if it is there), from the overrides."""
    if arguments and ("=" not in arguments[0] or Path(arguments[0]).exists()):
        return Path(arguments[0]), list(arguments[1:])
    return None, list(arguments)
