"""Whatever comes to its socket, the server answers in HTTP with JSON or closes, and goes on to answer good requests."""

import http.client
import io
import json
import logging
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from bilateral.explore.server import Handler
from doors import many


@pytest.fixture(autouse=True)
def impatient(monkeypatch):
    """What does not come is not waited for long."""
    monkeypatch.setattr(Handler, "timeout", 2)
    monkeypatch.setattr(Handler, "whole_request", 3.0)


@pytest.fixture
def quiet(capfd):
    """What is asked leaves nothing on the terminal."""
    yield
    told = "".join(capfd.readouterr())
    assert "Traceback" not in told and "Exception" not in told


def raw(server, content: bytes, wait: float = 20) -> bytes:
    """Send bytes, then no more, and give what comes back until the server closes."""
    with socket.create_connection(("127.0.0.1", server.server_port), timeout=wait) as connection:
        answer = b""
        try:
            connection.sendall(content)
            connection.shutdown(socket.SHUT_WR)
            while part := connection.recv(2**16):
                answer += part
        except TimeoutError:
            raise
        except OSError:  # the server has closed
            pass
        return answer


def status_of(answer: bytes, method: str = "GET") -> int | None:
    """The status of an answer, which must be whole HTTP, with JSON unless it is the page; None for no answer."""
    if not answer:
        return None
    head, _, body = answer.partition(b"\r\n\r\n")
    first, *lines = head.split(b"\r\n")
    version, status, _ = first.split(b" ", 2)
    headers = dict(line.split(b": ", 1) for line in lines)
    assert version == b"HTTP/1.0" and headers[b"X-Content-Type-Options"] == b"nosniff"
    if method != "HEAD":
        assert len(body) == int(headers[b"Content-Length"])
        assert headers[b"Content-Type"] != b"application/json" or json.loads(body)
    return int(status)


def assert_answers(server) -> None:
    answer = raw(server, b"GET /about HTTP/1.0\r\nHost: localhost\r\n\r\n")
    assert status_of(answer) == 200 and b'"run"' in answer


@pytest.fixture(scope="module")
def good(runs) -> bytes:
    content = runs.picture.read_bytes()
    head = (
        f"POST /answer?silenced=left&name=a.png HTTP/1.0\r\nHost: localhost\r\nContent-Length: {len(content)}\r\n\r\n"
    )
    return head.encode() + content


@many
@given(content=st.binary(max_size=400))
def test_any_bytes(server, quiet, content):
    status_of(raw(server, content), content[:4].decode("latin-1"))
    assert_answers(server)


PARTS = st.one_of(
    st.binary(max_size=40),
    st.sampled_from(
        [
            b"\r\n",
            b"\0",
            b"//[",
            b"%00%ff",
            b"HTTP/9.9",
            b"Host: a\r\n",
            b"Content-Length: 5\r\n",
            b"-1",
            b"?silenced=",
            b"9" * 50,
        ]
    ),
)


@many
@given(data=st.data())
def test_a_good_request_that_was_changed(server, quiet, good, data):
    head = len(good.split(b"\r\n\r\n")[0]) + 4
    content = bytearray(good)
    for _ in range(data.draw(st.integers(1, 4))):
        most = data.draw(st.sampled_from([head, len(content)]))
        place = data.draw(st.integers(0, most))
        content[place : place + data.draw(st.integers(0, 30))] = data.draw(PARTS)
    status = status_of(raw(server, bytes(content)), bytes(content[:4]).decode("latin-1"))
    assert status in (None, 200, 400, 403, 404, 408, 411, 413, 414, 431, 501, 505)
    assert_answers(server)


def post(*headers: bytes, path: bytes = b"/answer", body: bytes = b"") -> bytes:
    return b"\r\n".join([b"POST " + path + b" HTTP/1.0", b"Host: localhost", *headers, b"", body])


@pytest.mark.parametrize(
    ("request_bytes", "status"),
    [
        (post(b"Content-Length: " + b"9" * 5000), 413),
        (post(b"Content-Length: " + b"0" * 5000), 400),
        (post(b"Content-Length: -5"), 411),
        (post(b"Content-Length: 1 0"), 411),
        (post(b"Content-Length: +5"), 411),
        (post(b"Content-Length: 5_0"), 411),
        (post(b"Content-Length: 5", b"Content-Length: 50"), 411),
        (post(b"Content-Length: 5", b"Transfer-Encoding: chunked", body=b"5\r\nabcde\r\n0\r\n\r\n"), 411),
        (post(b"Transfer-Encoding: chunked", body=b"5\r\nabcde\r\n0\r\n\r\n"), 411),
        (post(b"Host: localhost", b"Content-Length: 0"), 403),
        (b"GET / HTTP/1.0\r\n\r\n", 403),
        (b"GET / HTTP/1.0\r\nHost: \xff\xfe[\r\n\r\n", 403),
        (b"GET http://[ HTTP/1.0\r\nHost: localhost\r\n\r\n", 400),
        (b"GET /" + b"x" * 70_000 + b" HTTP/1.0\r\nHost: localhost\r\n\r\n", 414),
        (b"GET / HTTP/1.0\r\nHost: localhost\r\nA: " + b"x" * 70_000 + b"\r\n\r\n", 431),
        (b"GET / HTTP/1.0\r\n" + b"A: x\r\n" * 200 + b"\r\n", 431),
        (b"BREW / HTTP/1.0\r\nHost: localhost\r\n\r\n", 501),
        (b"HEAD / HTTP/1.0\r\nHost: localhost\r\n\r\n", 501),
        (b"GET /\r\n\r\n", 403),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", 400),
        (post(b"Content-Length: 0", path=b"/answer?silenced=%ff%00%1b&name=%1b[31m" + b"n" * 9000), 400),
    ],
)
def test_requests_of_every_bad_kind_are_refused_at_once(server, quiet, request_bytes, status):
    started = time.monotonic()
    answer = raw(server, request_bytes)
    assert status_of(answer, request_bytes[:4].decode("latin-1")) == status and b"\\u001b" not in answer
    assert time.monotonic() - started < 1.9
    assert_answers(server)


def test_a_picture_that_stops_or_drips_is_ended_by_the_deadline(server, quiet):
    head = post(b"Content-Length: 1000")
    for pause in (60.0, 0.2):
        started = time.monotonic()
        with socket.create_connection(("127.0.0.1", server.server_port), timeout=20) as connection:
            connection.sendall(head)
            done = threading.Event()

            def drip(connection=connection, pause=pause, done=done):
                while not done.wait(pause):
                    try:
                        connection.sendall(b"x")
                    except OSError:
                        return

            dripping = threading.Thread(target=drip)
            dripping.start()
            answer = b""
            try:
                while part := connection.recv(2**16):
                    answer += part
            except ConnectionError:
                pass
            done.set()
            dripping.join()
        assert status_of(answer) in (408, None) and 1.5 < time.monotonic() - started < 10
        assert_answers(server)


def test_a_head_that_drips_is_ended_too(server, quiet):
    started = time.monotonic()
    with socket.create_connection(("127.0.0.1", server.server_port), timeout=20) as connection:
        try:
            while time.monotonic() - started < 15:
                connection.sendall(b"A")
                time.sleep(0.1)
        except ConnectionError:
            pass
    assert time.monotonic() - started < 10
    assert_answers(server)


def test_who_is_refused_while_still_sending_sees_why(server, quiet):
    content = bytes(2 * 2**20)
    for path, status in ((b"/nowhere", 404), (b"/answer", 411)):
        length = b"Content-Length: %d" % len(content) if status == 404 else b"A: b"
        with socket.create_connection(("127.0.0.1", server.server_port), timeout=20) as connection:
            connection.sendall(post(length, path=path, body=content))
            answer = b""
            while part := connection.recv(2**16):
                answer += part
        assert status_of(answer) == status


def test_two_hundred_at_once_are_all_answered(server, quiet, monkeypatch):
    monkeypatch.setattr(Handler, "timeout", 30)
    monkeypatch.setattr(Handler, "whole_request", 30.0)
    together = threading.Barrier(200)

    def ask(_):
        together.wait()
        connection = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=60)
        connection.request("GET", "/about", headers={"Host": "localhost"})
        response = connection.getresponse()
        response.read()
        connection.close()
        return response.status

    with ThreadPoolExecutor(200) as pool:
        assert list(pool.map(ask, range(200))) == [200] * 200


def test_there_is_room_for_so_many_bytes_at_once_and_it_comes_back(server, quiet, good, monkeypatch):
    monkeypatch.setattr(server, "room", threading.Semaphore(1))
    assert [status_of(raw(server, good)) for _ in range(3)] == [200] * 3
    monkeypatch.setattr(server, "room", threading.Semaphore(0))
    assert status_of(raw(server, good)) == 503


def test_bombs_and_damaged_pictures_are_refused(server, quiet):
    bomb = io.BytesIO()
    Image.new("1", (20_000, 20_000)).save(bomb, "PNG")
    whole = io.BytesIO()
    Image.new("RGB", (64, 64)).save(whole, "PNG")
    for content in (bomb.getvalue(), whole.getvalue()[:-40], b"%!PS-Adobe", b"<svg/>", b"\xff\xd8\xff" + bytes(5000)):
        answer = raw(server, post(b"Content-Length: %d" % len(content), body=content))
        assert status_of(answer) == 400 and b"cannot read image" in answer
    assert_answers(server)


@pytest.mark.parametrize("error", [MemoryError(), RuntimeError("DefaultCPUAllocator: can't allocate memory")])
def test_too_little_memory_is_one_line_on_the_terminal(server, good, monkeypatch, caplog, capfd, error):
    def want(*arguments):
        raise error

    monkeypatch.setattr(server.explorer, "answer", want)
    with caplog.at_level(logging.INFO):
        assert status_of(raw(server, good)) == 500
    assert len(caplog.records) == 1 and "Traceback" not in caplog.text + "".join(capfd.readouterr())
    assert "MemoryError" in caplog.text or "allocate memory" in caplog.text
