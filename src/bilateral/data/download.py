"""One file from the network: whole and right, or not there."""

import hashlib
import os
import sys
import threading
import time
import urllib.error
import urllib.request
from contextlib import suppress
from email.message import Message
from http import HTTPStatus
from pathlib import Path
from queue import Empty, Queue

from ..base.errors import DataError, OutputError
from ..base.files import sole_writer, writing
from ..base.text import shown

LEAST_BYTES = 2**16
"""Bytes that a server must send in every minute of its answer."""
_CHUNK_BYTES = 2**18


def download(
    url: str, target: Path, md5: str, max_bytes: int = 2**30, timeout_s: float = 30, patience_s: float = 60
) -> None:
    """Fetch `url` to `target`, which appears only once its MD5 is right.

    What has arrived stays in `target`.partial; the next call goes on from there if the server allows it.
    No more than `max_bytes` are taken; `timeout_s` (seconds) is how long the server may stay silent, `patience_s` how
    long it may take to begin, and then for every LEAST_BYTES.
    Raises DataError where the server cannot be reached, refuses, breaks off, or sends something else;
    OutputError where `target` cannot be written, or another process is fetching it.
    """
    partial = target.with_name(f"{target.name}.partial")
    with sole_writer(target.with_name(f".{target.name}.lock"), str(target)):
        if target.exists():
            return  # another process fetched it while this one was on its way here
        resumed = _fetch(url, target, partial, max_bytes, timeout_s, patience_s)
        if resumed and _md5(partial) != md5:
            # The beginning may have been another file's.
            _remove(partial)
            _fetch(url, target, partial, max_bytes, timeout_s, patience_s)
        actual = _md5(partial)
        if actual != md5:
            _remove(partial)
            raise DataError(
                f"{url} sent a file with the wrong checksum: MD5 {actual}, not {md5}; it was removed, try "
                f"again later, or put the right one at {target}"
            )
        with writing(target):
            partial.replace(target)


def _fetch(url: str, target: Path, partial: Path, max_bytes: int, timeout_s: float, patience_s: float) -> bool:
    """Bring `partial` to its full length; True where what it held before was kept."""
    if partial.is_fifo():
        raise OutputError(f"{partial} is a pipe, where the file should be written; remove it")
    with writing(partial):
        held = partial.stat().st_size if partial.exists() else 0
    request = urllib.request.Request(url, headers={"Range": f"bytes={held}-"} if held else {})
    with _Transfer(request, timeout_s, patience_s) as transfer:
        try:
            headers = transfer.headers()
        except urllib.error.HTTPError as error:
            error.close()
            if held and error.code == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
                return True  # nothing is left to fetch
            raise DataError(f"cannot download {url}: the server answers {error.code} {_line(error.reason)}") from error
        except Exception as error:
            raise DataError(
                f"cannot download {url}: {_reason(error)}{_kept(partial)}; you may also put that file at {target} "
                "yourself"
            ) from error
        resumed = headers.get("Content-Range", "").startswith(f"bytes {held}-")
        _receive(transfer, headers, url, partial, held if resumed else 0, max_bytes)
    return resumed


class _Transfer:
    """An answer read by a thread of its own, so that whoever waits for it can give up, whatever the server does."""

    def __init__(self, request: urllib.request.Request, timeout_s: float, patience_s: float) -> None:
        self._request, self._timeout_s, self._patience_s = request, timeout_s, patience_s
        self._arrived: Queue[Message | bytes | Exception] = Queue(maxsize=8)
        self._given_up = False
        self._deadline, self._bytes = time.monotonic() + patience_s, 0

    def __enter__(self) -> "_Transfer":
        # A daemon, since a server that never ends must not keep the process alive.
        threading.Thread(target=self._read, daemon=True).start()
        return self

    def __exit__(self, *failure: object) -> None:
        self._given_up = True
        with suppress(Empty):
            while True:  # room for what the thread wants to put, so that it goes on and sees that it may end
                self._arrived.get_nowait()

    def headers(self) -> Message:
        """Wait for the answer's headers. Raises what `urlopen` raises, TimeoutError where they take too long."""
        headers = self._next()
        assert isinstance(headers, Message)
        self._deadline = time.monotonic() + self._patience_s
        return headers

    def chunk(self) -> bytes:
        """Wait for some of the body, empty at its end. Raises what reading raises, TimeoutError where that is slow."""
        chunk = self._next()
        assert isinstance(chunk, bytes)
        self._bytes += len(chunk)
        if self._bytes >= LEAST_BYTES:
            self._deadline, self._bytes = time.monotonic() + self._patience_s, 0
        return chunk

    def _next(self) -> Message | bytes:
        try:
            arrived = self._arrived.get(timeout=max(0, self._deadline - time.monotonic()))
        except Empty:
            raise TimeoutError(
                f"timed out: the server is too slow, less than {LEAST_BYTES:,} bytes in {self._patience_s:g} s"
            ) from None
        if isinstance(arrived, Exception):
            raise arrived
        return arrived

    def _read(self) -> None:
        try:
            with urllib.request.urlopen(self._request, timeout=self._timeout_s) as response:
                self._arrived.put(response.headers)
                while not self._given_up:
                    chunk = response.read1(_CHUNK_BYTES)
                    self._arrived.put(chunk)
                    if not chunk:
                        return
        except Exception as error:
            self._arrived.put(error)


def _receive(transfer: _Transfer, headers: Message, url: str, partial: Path, start: int, max_bytes: int) -> None:
    """Write the response's body to `partial` from byte `start` on, with a progress bar on a terminal."""
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        DownloadColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
        TransferSpeedColumn,
    )

    length = headers.get("Content-Length", "")
    total = start + int(length) if length.isdecimal() and len(length) < 20 else None
    received = start
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    progress = Progress(*columns, TimeRemainingColumn(), console=Console(stderr=True), disable=not sys.stderr.isatty())
    with writing(partial), partial.open("ab" if start else "wb") as file, progress:
        task = progress.add_task(partial.stem, total=total, completed=start)
        while received <= max_bytes and (chunk := _next_chunk(transfer, url, partial)):
            file.write(chunk)
            received += len(chunk)
            progress.update(task, completed=received)
        file.flush()
        os.fsync(file.fileno())
    if total is not None and received < min(total, max_bytes):
        raise DataError(f"{url} broke off after {received} of {total} bytes{_kept(partial)}")


def _next_chunk(transfer: _Transfer, url: str, partial: Path) -> bytes:
    try:
        return transfer.chunk()
    except Exception as error:
        raise DataError(f"{url} broke off: {_reason(error)}{_kept(partial)}") from error


def _kept(partial: Path) -> str:
    if not partial.exists():
        return ""
    return f"; what has arrived is kept in {partial}, run the same command again to go on from there"


def _reason(error: Exception) -> str:
    reason = getattr(error, "reason", error)  # a URLError wraps the system's own error
    return _line(getattr(reason, "strerror", None) or str(reason) or type(reason).__name__)


def _line(text: str) -> str:
    """What a server says, in one line that can be shown."""
    return shown(" ".join(text.split())[:200])


def _remove(partial: Path) -> None:
    with writing(partial):
        partial.unlink(missing_ok=True)


def _md5(path: Path) -> str:
    with writing(path), path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
