"""A server for one person's browser: the page, what the network is, and what it says of a picture.

Every request is checked. A file that is no picture is a message, never a crash.
"""

import io
import logging
import re
import socket
import socketserver
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from functools import cache
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.resources import files
from typing import Any
from urllib.parse import SplitResult, parse_qs, urlsplit

from ..base.errors import BilateralError, ConfigError, OutputError
from ..base.files import to_json
from ..base.own_code import describe
from ..base.text import shown, shown_all
from .answering import Explorer
from .hosts import is_own_name

log = logging.getLogger(__name__)
MOST_HELD = 2**28
"""Bytes of pictures that are held at once, of all requests together."""
MAX_UPLOAD = 20 * 2**20
"""Bytes of the largest picture that is taken."""
MAX_DISCARDED = 10 * MAX_UPLOAD
"""Bytes of a larger one that are read at most to be able to refuse it."""
PART = 2**20
"""Bytes of it that are read at once."""
LINGER = 1.0
"""Seconds for which what comes after the answer is taken."""
LONGEST_NAME = 200
TYPES = {"html": "text/html", "css": "text/css", "js": "text/javascript"}
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}
Content = tuple[str, bytes]
"""A type and the bytes."""


class ExploreServer(ThreadingHTTPServer):
    """Serves the page for one network at `host` and `port` (0: any free one).

    about: what the page says of the network. samples: gives pictures to try, when the page asks.
    Raises OutputError for a port that is taken or not allowed, ConfigError for a host or port that there cannot be.
    """

    allow_reuse_port = False
    request_queue_size = 512
    """Connections that may wait until they are taken."""

    def __init__(
        self,
        explorer: Explorer,
        about: dict[str, Any],
        host: str,
        port: int,
        samples: Callable[[], list[dict[str, Any]]] = list,
    ) -> None:
        self.samples = cache(samples)
        self.explorer = explorer
        self.about = {**about, "max_upload": MAX_UPLOAD}
        self.host = host
        self.room = threading.Semaphore(MOST_HELD // PART)
        self._at_work: set[threading.Thread] = set()
        page = files("bilateral.explore") / "page"
        self.files = {file.name: file.read_bytes() for file in page.iterdir()}
        if ":" in host:
            self.address_family = socket.AF_INET6
        try:
            super().__init__((host, port), Handler)
        except (socket.gaierror, OverflowError, ValueError) as error:
            reason = getattr(error, "strerror", None) or error
            raise ConfigError(f"cannot serve at --host {host} --port {port}: {reason}") from error
        except OSError as error:
            raise OutputError(
                f"cannot serve at port {port} of {host}: {error.strerror or error}; give another one with --port, or "
                "--port 0 for any that is free"
            ) from error

    def server_bind(self) -> None:
        """Bind, without the look-up of the host's full name, which can take long."""
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = self.host, self.server_address[1]

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Answer a request in a thread of its own."""
        self._at_work.add(threading.current_thread())
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._at_work.discard(threading.current_thread())

    def server_close(self) -> None:
        """Listen no more. Threads at work get a moment: those that live when the interpreter ends may abort it."""
        super().server_close()
        end = time.monotonic() + 2 * LINGER
        for thread in list(self._at_work):
            thread.join(max(0.0, end - time.monotonic()))

    @property
    def url(self) -> str:
        """Where a browser on this machine finds the page."""
        return f"http://{f'[{self.host}]' if ':' in self.host else self.host}:{self.server_port}"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A browser that went away is no error."""
        log.debug("the connection to %s broke", client_address, exc_info=True)


class Refusal(Exception):
    """A request that is not answered: the status and the text that the browser gets."""

    def __init__(self, status: HTTPStatus, message: str) -> None:
        super().__init__(message)
        self.status = status


class Handler(BaseHTTPRequestHandler):
    """GET the page, its files, `/about`, `/samples`; POST a picture's bytes to `/answer?silenced=SIDE&name=FILE`."""

    server: ExploreServer
    timeout = 30
    """Seconds that a browser may keep us waiting, for a next byte or for taking the answer."""
    whole_request = 60.0
    """Seconds in which a request must have come, however steadily it drips."""
    # Also what cannot be read as a request gets an answer with a status.
    default_request_version = "HTTP/1.0"

    def setup(self) -> None:
        """Read the request against a deadline."""
        super().setup()
        self.rfile.close()
        self.rfile = io.BufferedReader(_UntilDeadline(self.connection, self.timeout, self.whole_request))

    def finish(self) -> None:
        """Take what still comes, for a little while: who is hung up on while sending may never see the answer."""
        super().finish()
        end = time.monotonic() + LINGER
        with suppress(OSError):
            self.connection.shutdown(socket.SHUT_WR)
            self.connection.settimeout(LINGER)
            while time.monotonic() < end and self.connection.recv(PART):
                pass

    def do_GET(self) -> None:
        """Give the page, a file of it, or what it says of the network."""
        self._respond(self._get)

    def do_POST(self) -> None:
        """Say all about the picture in the body."""
        self._respond(self._post)

    def _get(self) -> Content:
        path = self._address().path
        if path == "/about":
            return _json(self.server.about)
        if path == "/samples":
            return _json(self.server.samples())
        name = path.removeprefix("/") or "index.html"
        if name not in self.server.files:
            raise Refusal(HTTPStatus.NOT_FOUND, f"there is no {path} here")
        return f"{TYPES[name.rpartition('.')[2]]}; charset=utf-8", self.server.files[name]

    def _post(self) -> Content:
        origin = self.headers.get("Origin")
        if origin is not None and origin != f"http://{self.headers['Host']}":
            raise Refusal(HTTPStatus.FORBIDDEN, "a page of another site may not ask this server")
        address = self._address()
        if address.path != "/answer":
            raise Refusal(HTTPStatus.NOT_FOUND, f"there is no {address.path} here")
        asked = parse_qs(address.query)
        name = shown(asked.get("name", ["without a name"])[0])[:LONGEST_NAME]
        silenced = {shown(side)[:LONGEST_NAME] for side in asked.get("silenced", ())}
        with ExitStack() as held:
            return _json(self.server.explorer.answer(self._body(held), silenced, name))

    def _address(self) -> SplitResult:
        try:
            return urlsplit(self.path)
        except ValueError:
            raise Refusal(HTTPStatus.BAD_REQUEST, "that is no address") from None

    def _respond(self, answer: Callable[[], Content]) -> None:
        status = HTTPStatus.OK
        try:
            hosts = self.headers.get_all("Host", [])
            if len(hosts) != 1 or not is_own_name(hosts[0], self.server.host):
                raise Refusal(HTTPStatus.FORBIDDEN, "this server does not go by that host name")
            content = answer()
        except Refusal as refusal:
            status, content = refusal.status, _json({"error": str(refusal)})
        except BilateralError as error:
            status, content = HTTPStatus.BAD_REQUEST, _json({"error": str(error)})
        except OSError:
            raise  # the connection's own
        except Exception as error:  # a bug of ours, or too little memory, which must not end the server
            log.error("unforeseen, at %s: %s", shown(self.path)[:LONGEST_NAME], shown(describe(error)))
            log.debug("its traceback:", exc_info=True)
            message = "something unforeseen went wrong; the terminal of this program says what"
            status, content = HTTPStatus.INTERNAL_SERVER_ERROR, _json({"error": message})
        self._send(status, content)

    def _body(self, held: ExitStack) -> bytes:
        """The picture's bytes, for which there is room until `held` ends."""
        length = self._length()
        if length > MAX_UPLOAD:
            if length <= MAX_DISCARDED:  # a browser reads no answer before it has sent all
                for _ in self._parts(length):
                    pass
            raise Refusal(
                HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
                f"the picture has {length / 2**20:.0f} MB, and {MAX_UPLOAD // 2**20} MB is the most that is taken",
            )
        body = bytearray()
        for part in self._parts(length):
            if not self.server.room.acquire(blocking=False):
                raise Refusal(HTTPStatus.SERVICE_UNAVAILABLE, "too many pictures come at once; try again")
            held.callback(self.server.room.release)
            body += part
        return bytes(body)

    def _length(self) -> int:
        given = self.headers.get_all("Content-Length", [])
        if "Transfer-Encoding" in self.headers or len(given) != 1 or not re.fullmatch("[0-9]+", given[0].strip()):
            raise Refusal(HTTPStatus.LENGTH_REQUIRED, "a picture must come with its length")
        digits = given[0].strip().lstrip("0") or "0"
        return int(digits) if len(digits) < 16 else 10**15

    def _parts(self, count: int) -> Iterator[bytes]:
        while count > 0:
            try:
                part = self.rfile.read(min(count, PART))
            except TimeoutError:
                raise Refusal(HTTPStatus.REQUEST_TIMEOUT, "the picture took too long to come; try again") from None
            if not part:
                return
            count -= len(part)
            yield part

    def _send(self, status: int, content: Content) -> None:
        kind, body = content
        self.send_response(status)
        for name, value in {**HEADERS, "Content-Type": kind, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """Refuse what is no request that we know."""
        self._send(code, _json({"error": HTTPStatus(code).phrase}))

    def version_string(self) -> str:
        """Say no versions."""
        return "bilateral"

    def log_message(self, format: str, *arguments: object) -> None:
        """Tell of requests only when debugging."""
        log.debug(format, *arguments)


def _json(values: Any) -> Content:
    return "application/json", to_json(shown_all(values)).encode()


class _UntilDeadline(io.RawIOBase):
    """What comes over a connection, until the time is up; then TimeoutError.

    between, whole: seconds, for the next bytes and for all.
    """

    def __init__(self, connection: socket.socket, between: float, whole: float) -> None:
        self._connection, self._between, self._end = connection, between, time.monotonic() + whole

    def readable(self) -> bool:
        """Always."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Wait for some bytes."""
        left = self._end - time.monotonic()
        if left <= 0:
            raise TimeoutError
        self._connection.settimeout(min(left, self._between))
        try:
            return self._connection.recv_into(buffer)
        finally:
            self._connection.settimeout(self._between)
