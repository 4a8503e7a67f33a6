"""A real browser for the tests of pages: headless Chromium, driven by playwright. Skips where either is missing."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import pytest

CHROMIUM = Path("/usr/bin/chromium")
# Nothing of this asks the network for anything but the page.
OPTIONS = [
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
]


@dataclass
class Complaints:
    """What a page did that it must not do."""

    console: list[str] = field(default_factory=list)
    foreign_requests: list[str] = field(default_factory=list)

    def __bool__(self) -> bool:
        return bool(self.console or self.foreign_requests)


@contextmanager
def open_browser() -> Iterator:
    """Give a playwright Browser, and close it."""
    playwright = pytest.importorskip("playwright.sync_api")
    if not CHROMIUM.exists():
        pytest.skip(f"there is no {CHROMIUM}")
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=str(CHROMIUM), args=OPTIONS)
        try:
            yield browser
        finally:
            browser.close()


def watch(page, host: str = "", expected: tuple[str, ...] = ()) -> Complaints:
    """Collect from now on a page's console errors and warnings, uncaught errors, and requests to other hosts.

    host: "name:port" that it may ask; a page from a file may ask none. expected: parts of messages that are no fault.
    """
    complaints = Complaints()

    def note(text: str) -> None:
        if not any(part in text for part in expected):
            complaints.console.append(text)

    def check(request) -> None:
        address = urlsplit(request.url)
        if address.scheme not in ("data", "blob", "file", "about") and address.netloc != host:
            complaints.foreign_requests.append(request.url)

    page.on("console", lambda message: note(message.text) if message.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: note(str(error)))
    page.on("request", check)
    return complaints
