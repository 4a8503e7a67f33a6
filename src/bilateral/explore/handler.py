"""One request of a browser, checked and answered. A file that is no picture is a message, never a crash."""

import json
import logging
from collections.abc import Callable
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

from ..base.errors import BilateralError
from .hosts import is_own_name

if TYPE_CHECKING:
    from .server import ExploreServer

log = logging.getLogger(__name__)
MAX_UPLOAD = 20 * 2**20
"""Bytes of the largest picture that is taken."""
MAX_DISCARDED = 10 * MAX_UPLOAD
"""Bytes of a larger one that are read to be able to refuse it."""
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


class Refusal(Exception):
    """A request that is not answered: the status and the text that the browser gets."""

    def __init__(self, status: HTTPStatus, message: str) -> None:
        super().__init__(message)
        self.status = status


class Handler(BaseHTTPRequestHandler):
    """GET the page, its files and `/about`; POST the bytes of a picture to `/answer?silenced=SIDE&name=FILE`."""

    server: "ExploreServer"
    # How many seconds a browser may keep us waiting.
    timeout = 30

    def do_GET(self) -> None:
        """Give the page, a file of it, or what it says of the network."""
        self._respond(self._get)

    def do_POST(self) -> None:
        """Say all about the picture in the body."""
        self._respond(self._post)

    def _get(self) -> Content:
        path = urlsplit(self.path).path
        if path == "/about":
            return _json(self.server.about)
        name = path.removeprefix("/") or "index.html"
        if name not in self.server.files:
            raise Refusal(HTTPStatus.NOT_FOUND, f"there is no {path} here")
        return f"{TYPES[name.rpartition('.')[2]]}; charset=utf-8", self.server.files[name]

    def _post(self) -> Content:
        origin = self.headers.get("Origin")
        if origin is not None and origin != f"http://{self.headers['Host']}":
            raise Refusal(HTTPStatus.FORBIDDEN, "a page of another site may not ask this server")
        address = urlsplit(self.path)
        if address.path != "/answer":
            raise Refusal(HTTPStatus.NOT_FOUND, f"there is no {address.path} here")
        asked = parse_qs(address.query)
        name = asked.get("name", ["without a name"])[0]
        return _json(self.server.explorer.answer(self._body(), set(asked.get("silenced", ())), name))

    def _respond(self, answer: Callable[[], Content]) -> None:
        status = HTTPStatus.OK
        try:
            if not is_own_name(self.headers.get("Host", ""), self.server.host):
                raise Refusal(HTTPStatus.FORBIDDEN, "this server does not go by that host name")
            content = answer()
        except Refusal as refusal:
            status, content = refusal.status, _json({"error": str(refusal)})
        except BilateralError as error:
            status, content = HTTPStatus.BAD_REQUEST, _json({"error": str(error)})
        except OSError:
            raise  # the connection's own
        except Exception:  # a bug of ours, which must not end the server
            log.exception("unforeseen, at %s", self.path)
            message = "something unforeseen went wrong; the terminal of this program says what"
            status, content = HTTPStatus.INTERNAL_SERVER_ERROR, _json({"error": message})
        self._send(status, content)

    def _body(self) -> bytes:
        given = self.headers.get("Content-Length", "")
        if not (given.isascii() and given.isdigit()):
            raise Refusal(HTTPStatus.LENGTH_REQUIRED, "a picture must come with its length")
        length = int(given)
        if length > MAX_UPLOAD:
            # A browser reads no answer before it has sent all.
            self._discard(min(length, MAX_DISCARDED))
            raise Refusal(
                HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
                f"the picture has {length / 2**20:.0f} MB, and {MAX_UPLOAD // 2**20} MB is the most that is taken",
            )
        return self.rfile.read(length)

    def _discard(self, count: int) -> None:
        while count > 0:
            part = self.rfile.read(min(count, 2**20))
            if not part:
                return
            count -= len(part)

    def _send(self, status: int, content: Content) -> None:
        kind, body = content
        self.send_response(status)
        for name, value in {**HEADERS, "Content-Type": kind, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
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
    return "application/json", json.dumps(values).encode()
