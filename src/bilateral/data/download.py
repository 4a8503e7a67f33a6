"""One file from the network: whole and right, or not there."""

import hashlib
import os
import sys
import urllib.error
import urllib.request
from http import HTTPStatus
from http.client import HTTPException, HTTPResponse
from pathlib import Path

from ..base.errors import DataError
from ..base.files import sole_writer, writing

_CHUNK_BYTES = 2**18


def download(url: str, target: Path, md5: str, max_bytes: int = 2**30, timeout_s: float = 30) -> None:
    """Fetch `url` to `target`, which appears only once its MD5 is right.

    What has arrived stays in `target`.partial; the next call goes on from there if the server allows it.
    No more than `max_bytes` are taken; `timeout_s` (seconds) is how long the server may stay silent.
    Raises DataError where the server cannot be reached, refuses, breaks off, or sends something else;
    OutputError where `target` cannot be written, or another process is fetching it.
    """
    partial = target.with_name(f"{target.name}.partial")
    with sole_writer(target.with_name(f".{target.name}.lock"), str(target)):
        if target.exists():
            return  # another process fetched it while this one was on its way here
        resumed = _fetch(url, target, partial, max_bytes, timeout_s)
        if resumed and _md5(partial) != md5:
            # The beginning may have been another file's.
            _remove(partial)
            _fetch(url, target, partial, max_bytes, timeout_s)
        actual = _md5(partial)
        if actual != md5:
            _remove(partial)
            raise DataError(
                f"{url} sent a file with the wrong checksum: MD5 {actual}, not {md5}; it was removed, try "
                f"again later, or put the right one at {target}"
            )
        with writing(target):
            partial.replace(target)


def _fetch(url: str, target: Path, partial: Path, max_bytes: int, timeout_s: float) -> bool:
    """Bring `partial` to its full length; True where what it held before was kept."""
    with writing(partial):
        held = partial.stat().st_size if partial.exists() else 0
    request = urllib.request.Request(url, headers={"Range": f"bytes={held}-"} if held else {})
    try:
        response = urllib.request.urlopen(request, timeout=timeout_s)
    except urllib.error.HTTPError as error:
        error.close()
        if held and error.code == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
            return True  # nothing is left to fetch
        raise DataError(f"cannot download {url}: the server answers {error.code} {error.reason}") from error
    except (OSError, HTTPException) as error:
        raise DataError(
            f"cannot download {url}: {_reason(error)}{_kept(partial)}; you may also put that file at {target} yourself"
        ) from error
    with response:
        resumed = response.headers.get("Content-Range", "").startswith(f"bytes {held}-")
        _receive(response, url, partial, held if resumed else 0, max_bytes)
    return resumed


def _receive(response: HTTPResponse, url: str, partial: Path, start: int, max_bytes: int) -> None:
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

    length = response.headers.get("Content-Length", "")
    total = start + int(length) if length.isdecimal() else None
    received = start
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    progress = Progress(*columns, TimeRemainingColumn(), console=Console(stderr=True), disable=not sys.stderr.isatty())
    with writing(partial), partial.open("ab" if start else "wb") as file, progress:
        task = progress.add_task(partial.stem, total=total, completed=start)
        while received <= max_bytes and (chunk := _next_chunk(response, url, partial)):
            file.write(chunk)
            received += len(chunk)
            progress.update(task, completed=received)
        file.flush()
        os.fsync(file.fileno())
    if total is not None and received < min(total, max_bytes):
        raise DataError(f"{url} broke off after {received} of {total} bytes{_kept(partial)}")


def _next_chunk(response: HTTPResponse, url: str, partial: Path) -> bytes:
    try:
        return response.read1(_CHUNK_BYTES)
    except (OSError, HTTPException) as error:
        raise DataError(f"{url} broke off: {_reason(error)}{_kept(partial)}") from error


def _kept(partial: Path) -> str:
    if not partial.exists():
        return ""
    return f"; what has arrived is kept in {partial}, run the same command again to go on from there"


def _reason(error: Exception) -> str:
    reason = getattr(error, "reason", error)  # a URLError wraps the system's own error
    return getattr(reason, "strerror", None) or str(reason) or type(reason).__name__


def _remove(partial: Path) -> None:
    with writing(partial):
        partial.unlink(missing_ok=True)


def _md5(path: Path) -> str:
    with writing(path), path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
