"""A server for one person's browser: the page, what the network is, and what it says of a picture."""

import logging
import socket
import socketserver
import threading
from http.server import ThreadingHTTPServer
from importlib.resources import files
from typing import Any

from ..base.errors import ConfigError, OutputError
from .answering import Explorer
from .handler import MAX_UPLOAD, PART, Handler

log = logging.getLogger(__name__)
MOST_HELD = 2**28
"""Bytes of pictures that are held at once, of all requests together."""


class ExploreServer(ThreadingHTTPServer):
    """Serves the page for one network at `host` and `port` (0: any free one).

    about: what the page says of the network. Raises OutputError for a port that is taken or not allowed, ConfigError
    for a host or port that there cannot be.
    """

    allow_reuse_port = False
    request_queue_size = 512
    """Connections that may wait until they are taken."""

    def __init__(self, explorer: Explorer, about: dict[str, Any], host: str, port: int) -> None:
        self.explorer = explorer
        self.about = {**about, "max_upload": MAX_UPLOAD}
        self.host = host
        self.room = threading.Semaphore(MOST_HELD // PART)
        page = files("bilateral.explore") / "page"
        self.files = {file.name: file.read_bytes() for file in page.iterdir()}
        if ":" in host:
            self.address_family = socket.AF_INET6
        try:
            super().__init__((host, port), Handler)
        except (socket.gaierror, OverflowError, ValueError) as error:
            raise ConfigError(f"cannot serve at --host {host} --port {port}: {_reason(error)}") from error
        except OSError as error:
            raise OutputError(
                f"cannot serve at port {port} of {host}: {_reason(error)}; give another one with --port, or "
                "--port 0 for any that is free"
            ) from error

    def server_bind(self) -> None:
        """Bind, without the look-up of the host's full name, which can take long."""
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = self.host, self.server_address[1]

    @property
    def url(self) -> str:
        """Where a browser on this machine finds the page."""
        return f"http://{f'[{self.host}]' if ':' in self.host else self.host}:{self.server_port}"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A browser that went away is no error."""
        log.debug("the connection to %s broke", client_address, exc_info=True)


def _reason(error: Exception) -> str:
    return (isinstance(error, OSError) and error.strerror) or str(error)
