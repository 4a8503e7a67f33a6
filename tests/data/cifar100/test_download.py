import contextlib
import hashlib
import itertools
import os
import re
import socket
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from bilateral.base.errors import DataError, OutputError
from bilateral.data.cifar100.download import download

CONTENT = bytes(range(256)) * 4096
MD5 = hashlib.md5(CONTENT).hexdigest()


@dataclass
class Site:
    """What the server does, and which ranges it was asked for."""

    url: str = ""
    content: bytes = CONTENT
    honours_range: bool = True
    states_length: bool = True
    cut_after: int | None = None
    status: int | None = None
    silent_s: float = 0
    asked: list[str | None] = field(default_factory=list)


@pytest.fixture
def site(monkeypatch) -> Iterator[Site]:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    site = Site()
    stop = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked = self.headers["Range"]
            site.asked.append(asked)
            start = int(asked.removeprefix("bytes=").removesuffix("-")) if asked and site.honours_range else None
            stop.wait(site.silent_s)
            if site.status or (start is not None and start >= len(site.content)):
                self.send_error(site.status or 416)
                return
            self.send_response(200 if start is None else 206)
            body = site.content[start:]
            if start is not None:
                end, total = len(site.content) - 1, len(site.content)
                self.send_header("Content-Range", f"bytes {start}-{end}/{total}")
            if site.states_length:
                self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            # A client that refuses what it is told hangs up in the middle.
            with contextlib.suppress(ConnectionError):
                self.wfile.write(body[: site.cut_after])

        def log_message(self, *arguments: object) -> None:
            time.sleep(0.01)

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        site.url = f"http://127.0.0.1:{server.server_port}/archive.tar.gz"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield site
        stop.set()
        server.shutdown()
        thread.join()


@pytest.fixture
def target(tmp_path) -> Path:
    return tmp_path / "new folder" / "archive.tar.gz"


@pytest.fixture
def partial(target) -> Path:
    target.parent.mkdir()
    return target.with_name("archive.tar.gz.partial")


def assert_whole(target: Path) -> None:
    assert target.read_bytes() == CONTENT
    assert {path.name for path in target.parent.iterdir()} <= {target.name, f".{target.name}.lock"}


@pytest.mark.parametrize("states_length", [True, False])
def test_the_whole_file_is_fetched(site, target, states_length, capsys):
    site.states_length = states_length
    download(site.url, target, MD5)
    assert_whole(target)
    assert site.asked == [None]
    assert capsys.readouterr() == ("", "")  # no bar where nobody looks


def test_a_terminal_gets_a_progress_bar(site, target, capsys, monkeypatch):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    download(site.url, target, MD5)
    output = capsys.readouterr()
    assert output.out == ""
    assert "archive.tar.gz" in output.err
    assert "1.0/1.0 MB" in output.err


def test_a_cut_connection_keeps_the_part_and_the_next_call_goes_on_from_it(site, target):
    site.cut_after = 300_001
    with pytest.raises(DataError, match=r"broke off.*archive\.tar\.gz\.partial, run the same command again"):
        download(site.url, target, MD5)
    assert not target.exists()
    assert target.with_name("archive.tar.gz.partial").read_bytes() == CONTENT[:300_001]
    site.cut_after = 400_000
    with pytest.raises(DataError, match="broke off"):
        download(site.url, target, MD5)
    site.cut_after = None
    download(site.url, target, MD5)
    assert_whole(target)
    assert site.asked == [None, "bytes=300001-", "bytes=700001-"]


def test_a_server_without_ranges_starts_again(site, target, partial):
    partial.write_bytes(CONTENT[:1000])
    site.honours_range = False
    download(site.url, target, MD5)
    assert_whole(target)
    assert site.asked == ["bytes=1000-"]


@pytest.mark.parametrize("held", [b"of another file" * 30, CONTENT + b"and more", bytes(len(CONTENT))])
def test_a_part_of_something_else_is_fetched_again(site, target, partial, held):
    partial.write_bytes(held)
    download(site.url, target, MD5)
    assert_whole(target)
    assert site.asked == [f"bytes={len(held)}-", None]


def test_a_part_that_is_already_whole_is_enough(site, target, partial):
    partial.write_bytes(CONTENT)
    download(site.url, target, MD5)
    assert_whole(target)


@pytest.mark.parametrize("held", [0, 1000])
def test_a_wrong_checksum_leaves_nothing_behind(site, target, partial, held):
    site.content = CONTENT[:-1] + b"?"
    partial.write_bytes(CONTENT[:held])
    with pytest.raises(DataError, match=f"wrong checksum: MD5 {hashlib.md5(site.content).hexdigest()}, not {MD5}"):
        download(site.url, target, MD5)
    assert not target.exists()
    assert not partial.exists()


def test_no_more_than_the_allowed_bytes_are_taken(site, target):
    site.content = CONTENT * 20
    with pytest.raises(DataError, match="wrong checksum"):
        download(site.url, target, hashlib.md5(site.content).hexdigest(), max_bytes=len(CONTENT))
    assert [path.name for path in target.parent.iterdir()] == [f".{target.name}.lock"]


@pytest.mark.parametrize("status", [403, 404, 500, 503])
def test_an_answer_that_refuses_is_an_error_that_names_it(site, target, status):
    site.status = status
    with pytest.raises(DataError, match=f"cannot download {re.escape(site.url)}: the server answers {status} "):
        download(site.url, target, MD5)
    assert not target.exists()


def test_no_server_is_an_error_and_keeps_what_has_arrived(target, partial, monkeypatch):
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    partial.write_bytes(CONTENT[:1000])
    with pytest.raises(DataError, match=r"cannot download .*: Connection refused; what has arrived is kept in"):
        download("http://127.0.0.1:9/archive.tar.gz", target, MD5, timeout_s=5)
    assert partial.read_bytes() == CONTENT[:1000]


def test_a_silent_server_is_given_up(site, target):
    site.silent_s = 5
    with pytest.raises(DataError, match=r"cannot download .*timed out"):
        download(site.url, target, MD5, timeout_s=0.2)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full to write to")
def test_a_full_disk_is_an_output_error(site, target, partial):
    partial.symlink_to("/dev/full")
    with pytest.raises(OutputError, match="no space left to write"):
        download(site.url, target, MD5)


def test_a_pipe_in_place_of_the_part_is_an_output_error_at_once(site, target, partial):
    os.mkfifo(partial)
    with pytest.raises(OutputError, match="is a pipe"):
        download(site.url, target, MD5)


def test_a_folder_that_cannot_be_made_is_an_output_error(site, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot write"):
        download(site.url, tmp_path / "file" / "archive.tar.gz", MD5)
    assert site.asked == []


def test_two_processes_never_write_one_file(site, target):
    site.silent_s = 5
    failures: list[Exception] = []

    def second() -> None:
        while not site.asked:
            time.sleep(0.01)
        try:
            download(site.url, target, MD5)
        except OutputError as error:
            failures.append(error)

    thread = threading.Thread(target=second)
    thread.start()
    with pytest.raises(DataError, match="timed out"):
        download(site.url, target, MD5, timeout_s=0.5)
    thread.join()
    assert len(failures) == 1
    assert "being written by another process" in str(failures[0])


def test_a_file_that_is_there_already_is_left_alone(site, target):
    target.parent.mkdir()
    target.write_bytes(CONTENT)
    download(site.url, target, MD5)
    assert site.asked == []


def answer_with(parts: Iterator[bytes], pause_s: float) -> tuple[str, socket.socket]:
    """A server that answers anything with these bytes, one part after the other."""
    door = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        with contextlib.suppress(OSError):
            while True:
                caller, _ = door.accept()
                with caller, contextlib.suppress(OSError):
                    caller.recv(65536)
                    for part in parts:
                        caller.sendall(part)
                        time.sleep(pause_s)

    threading.Thread(target=serve, daemon=True).start()
    return f"http://127.0.0.1:{door.getsockname()[1]}/archive.tar.gz", door


HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n"


@pytest.mark.parametrize(
    ("first", "then", "pause_s", "message"),
    [
        (HEAD, b"x", 0.05, r"broke off: timed out: the server is too slow, less than 65,536 bytes in 1 s; what has"),
        (b"", b"H", 0.05, "cannot download .*: timed out: the server is too slow"),
        (b"HTTP/1.1 200 OK\r\n", b"a", 0.05, "cannot download .*: timed out: the server is too slow"),
        (b"", b"HTTP/1.1 100 Continue\r\n\r\n", 0, "cannot download .*: timed out: the server is too slow"),
        (b"HTTP/1.1 200 OK\r\n", b"a: b\r\n", 0, "cannot download .*: got more than 100 headers"),
        (b"HTTP/1.1 200 OK\r\na: ", b"b" * 9999, 0, "cannot download .*: got more than 65536 bytes"),
        (b"HTTP/1.1 404 ", b"\x1b[31m \t", 0, "cannot download .*"),
    ],
)
def test_a_server_that_drips_or_never_ends_is_given_up(tmp_path, monkeypatch, first, then, pause_s, message):
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    url, door = answer_with(itertools.chain([first], itertools.repeat(then)), pause_s)
    started = time.monotonic()
    with door, pytest.raises(DataError, match=message) as caught:
        download(url, tmp_path / "archive.tar.gz", MD5, patience_s=1)
    assert time.monotonic() - started < 5
    assert str(caught.value).isprintable()


def test_a_server_that_redirects_for_ever_is_given_up(tmp_path, monkeypatch):
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    count = itertools.count()
    answers = (b"HTTP/1.1 302 \x1b[31m\r\nLocation: /%d\r\nContent-Length: 0\r\n\r\n" % next(count) for _ in count)
    door = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        with contextlib.suppress(OSError):
            for answer in answers:
                caller, _ = door.accept()
                with caller:
                    caller.recv(65536)
                    caller.sendall(answer)

    threading.Thread(target=serve, daemon=True).start()
    url = f"http://127.0.0.1:{door.getsockname()[1]}/archive.tar.gz"
    with door, pytest.raises(DataError, match=r"the server answers 302 .*infinite loop") as caught:
        download(url, tmp_path / "archive.tar.gz", MD5, patience_s=5)
    assert str(caught.value).isprintable()


def test_a_slow_server_that_goes_on_is_waited_for(site, target):
    url, door = answer_with(
        iter(
            [b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(CONTENT)]
            + [CONTENT[at : at + 2**17] for at in range(0, len(CONTENT), 2**17)]
        ),
        0.2,
    )
    with door:
        download(url, target, MD5, patience_s=0.6)
    assert_whole(target)
