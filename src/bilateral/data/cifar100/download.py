"""One file from the network: whole and right, or not there."""

import os
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Generator, Iterator
from contextlib import closing, suppress
from email.message import Message
from http import HTTPStatus
from pathlib import Path
from queue import Empty, Queue
from typing import Any

from ...base.errors import DataError, OutputError
from ...base.files import file_digest, sole_writer, writing
from ...base.text import shown

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
        for last in (False, True):
            resumed = _fetch(url, target, partial, max_bytes, timeout_s, patience_s)
            with writing(partial):
                actual = file_digest(partial, "md5")
                if actual != md5:
                    partial.unlink()
            if actual == md5:
                with writing(target):
                    partial.replace(target)
                return
            if last or not resumed:  # else the beginning may have been another file's
                raise DataError(
                    f"{url} sent a file with the wrong checksum: MD5 {actual}, not {md5}; it was removed, try "
                    f"again later, or put the right one at {target}"
                )


def _fetch(url: str, target: Path, partial: Path, max_bytes: int, timeout_s: float, patience_s: float) -> bool:
    """Bring `partial` to its full length; True where what it held before was kept."""
    if partial.is_fifo():
        raise OutputError(f"{partial} is a pipe, where the file should be written; remove it")
    with writing(partial):
        held = partial.stat().st_size if partial.exists() else 0
    request = urllib.request.Request(url, headers={"Range": f"bytes={held}-"} if held else {})
    with closing(_arriving(request, timeout_s, patience_s)) as pieces:
        try:
            headers = next(pieces)
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
        _receive(pieces, headers, url, partial, held if resumed else 0, max_bytes)
    return resumed


def _arriving(request: urllib.request.Request, timeout_s: float, patience_s: float) -> Generator[Any, None, None]:
    """Give an answer's headers, then its body piece by piece.

    A thread of its own reads it, so that whoever waits for it can give up, whatever the server does.
    Raises what `urlopen` and reading raise, TimeoutError where that is too slow.
    """
    arrived: Queue[Message | bytes | Exception] = Queue(maxsize=8)
    given_up = threading.Event()

    def read() -> None:
        try:
            with urllib.request.urlopen(request, timeout=timeout_s) as response:
                arrived.put(response.headers)
                while not given_up.is_set():
                    chunk = response.read1(_CHUNK_BYTES)
                    arrived.put(chunk)
                    if not chunk:
                        return
        except Exception as error:
            arrived.put(error)

    # A daemon, since a server that never ends must not keep the process alive.
    threading.Thread(target=read, daemon=True).start()
    deadline, count = time.monotonic() + patience_s, 0
    try:
        while True:
            piece = arrived.get(timeout=max(0, deadline - time.monotonic()))
            if isinstance(piece, Exception):
                raise piece
            count += len(piece) if isinstance(piece, bytes) else LEAST_BYTES
            if count >= LEAST_BYTES:
                deadline, count = time.monotonic() + patience_s, 0
            yield piece
    except Empty:
        raise TimeoutError(
            f"timed out: the server is too slow, less than {LEAST_BYTES:,} bytes in {patience_s:g} s"
        ) from None
    finally:
        given_up.set()
        with suppress(Empty):
            while True:  # room for what the thread wants to put, so that it goes on and sees that it may end
                arrived.get_nowait()


def _receive(pieces: Iterator[bytes], headers: Message, url: str, partial: Path, start: int, max_bytes: int) -> None:
    """Write the response's body to `partial` from byte `start` on, with a progress bar on a terminal."""
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

    length = headers.get("Content-Length", "")
    total = start + int(length) if length.isdecimal() and len(length) < 20 else None
    received = start
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    progress = Progress(*columns, TimeRemainingColumn(), console=Console(stderr=True), disable=not sys.stderr.isatty())
    with writing(partial), partial.open("ab" if start else "wb") as file, progress:
        task = progress.add_task(partial.stem, total=total, completed=start)
        while received <= max_bytes and (chunk := _next_chunk(pieces, url, partial)):
            file.write(chunk)
            received += len(chunk)
            progress.update(task, completed=received)
        file.flush()
        os.fsync(file.fileno())
    if total is not None and received < min(total, max_bytes):
        raise DataError(f"{url} broke off after {received} of {total} bytes{_kept(partial)}")


def _next_chunk(pieces: Iterator[bytes], url: str, partial: Path) -> bytes:
    try:
        return next(pieces)
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
