"""How the arguments of a command line are told apart."""

from collections.abc import Sequence
from pathlib import Path


def is_override(text: str) -> bool:
    """Whether an argument is a `key=value`, and not the path of a file that is there, such as `lr=0.1/config.yaml`."""
    return "=" in text and not Path(text).exists()


def config_and_overrides(arguments: Sequence[str]) -> tuple[Path | None, list[str]]:
    """Tell a config file, if the first argument is one, from the overrides."""
    if arguments and not is_override(arguments[0]):
        return Path(arguments[0]), list(arguments[1:])
    return None, list(arguments)
