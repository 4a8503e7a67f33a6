"""The command that shows a network in the browser."""

import logging
import warnings
import webbrowser
from pathlib import Path

from ..base.run_folders import named_run
from ..explore.about import describe, run_name
from ..explore.answering import Explorer
from ..explore.hosts import is_loopback
from ..explore.server import ExploreServer
from ..training import checkpoint
from .terminal import echo
from .use_commands import read_and_tell

log = logging.getLogger(__name__)


def explore(path: Path, *, host: str, port: int, open: bool, own_code: list[str] | None) -> None:
    """Do `bilateral explore`."""
    path = named_run(path)
    read = read_and_tell(path)
    explorer = Explorer(checkpoint.build(read, path, own_code=own_code or []), read.description)
    with ExploreServer(explorer, describe(explorer, path), host, port) as server:
        if not is_loopback(host):
            warnings.warn(f"whoever reaches {host} over the network can use this page too", stacklevel=1)
        echo(f"exploring {run_name(path)} at {server.url} (Ctrl-C ends)")
        if open:
            webbrowser.open(server.url)
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            echo()
