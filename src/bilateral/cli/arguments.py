"""How the arguments of a command line are told apart."""

from pathlib import Path


def is_override(text: str) -> bool:
    """Whether an argument is a `key=value`, and not the path of a file that is there, such as `lr=0.1/config.yaml`."""
    return "=" in text and not Path(text).exists()
