"""Libraries that come with an extra of the package, and not with its base install."""

from importlib.util import find_spec

from .errors import ConfigError


def need(library: str, extra: str, what: str) -> None:
    """Raise ConfigError, with the command that installs it, if a library is not there. what: needs it."""
    if find_spec(library) is None:
        raise ConfigError(f'{library} is not installed, which {what} needs: pip install "bilateral[{extra}]"')
