"""The command that shows a network in the browser."""

import logging
import warnings
import webbrowser
from collections.abc import Sequence
from pathlib import Path

from .. import networks
from ..base.errors import BilateralError
from ..base.run_folders import named_run
from ..explore.about import describe, run_name
from ..explore.answering import Explorer
from ..explore.hosts import is_loopback
from ..explore.samples import samples
from ..explore.server import ExploreServer
from ..runs.config import Config
from ..runs.export import CONFIG
from ..runs.stored import read_stored_config
from ..training import checkpoint
from ..training.run_record import CHECKPOINTS
from .terminal import echo
from .use_commands import read_and_tell

log = logging.getLogger(__name__)


def _config(path: Path, overrides: Sequence[str], own_code: list[str]) -> Config | None:
    """The config that lies beside a checkpoint, in its run's folder or where it was exported; None where none does."""
    file = checkpoint.find(path).resolve()
    folder = file.parent.parent if file.parent.name == CHECKPOINTS else file.parent
    try:
        config = read_stored_config(folder / CONFIG, overrides, own_code) if (folder / CONFIG).is_file() else None
    except BilateralError as error:
        if overrides:
            raise
        log.debug("no config of the network: %s", error)
        return None
    exported = networks.find(path)
    return config.model_copy(update={"name": exported.name}) if config and exported else config


def explore(
    path: Path, *overrides: str, host: str, port: int, open: bool, row: str | None, own_code: list[str] | None
) -> None:
    """Do `bilateral explore`."""
    path = named_run(path, row)
    read = read_and_tell(path)
    explorer = Explorer(checkpoint.build(read, path, own_code=own_code or []), read.description)
    config = _config(path, overrides, own_code or [])
    name = config.name if config else run_name(path)
    if row and not name.endswith(f".{row}"):
        name = f"{name}, {row}"
    with ExploreServer(
        explorer,
        describe(explorer, path, name),
        host,
        port,
        lambda: samples(config.data if config else None),
    ) as server:
        if not is_loopback(host):
            warnings.warn(f"whoever reaches {host} over the network can use this page too", stacklevel=1)
        echo(f"exploring {run_name(path)} at {server.url} (Ctrl-C ends)")
        if open:
            webbrowser.open(server.url)
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            echo()
