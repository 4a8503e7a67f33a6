"""Real HTTP against a real server."""

import http.client
import json
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.parse
import urllib.request

import pytest

from bilateral.base.errors import ConfigError, OutputError
from bilateral.cli import explore_command
from bilateral.explore.hosts import is_loopback, is_own_name
from bilateral.explore.server import MAX_UPLOAD, ExploreServer


def request(server, method, path, body=None, **headers):
    """The status, the headers and the body, from JSON if it is that."""
    connection = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=30)
    connection.request(method, path, body, {name.replace("_", "-"): value for name, value in headers.items()})
    response = connection.getresponse()
    content = response.read()
    connection.close()
    kind = response.headers["Content-Type"]
    return response.status, response.headers, json.loads(content) if kind == "application/json" else content


def test_a_picture_gets_what_predict_says(server, runs):
    status, _, said = request(server, "POST", "/answer", runs.picture.read_bytes())
    assert status == 200
    assert {level: found["predictions"] for level, found in said["levels"].items()} == runs.predicted


def test_a_hemisphere_is_silenced_by_the_address(server, runs):
    content = runs.picture.read_bytes()
    status, _, said = request(server, "POST", "/answer?silenced=left&silenced=right", content)
    assert status == 200 and said == server.explorer.answer(content, ["left", "right"])
    status, _, said = request(server, "POST", "/answer?silenced=middle", content)
    assert status == 400 and said["error"] == "cannot silence 'middle'; allowed: left or right"


def test_the_page_is_whole_and_asks_for_nothing_elsewhere(server, runs):
    kinds = {"/": "html", "/explore.css": "css", "/explore.js": "javascript", "/maps.js": "javascript"}
    for path, kind in kinds.items():
        status, headers, content = request(server, "GET", path)
        assert status == 200 and headers["Content-Type"] == f"text/{kind}; charset=utf-8" and content
        assert headers["X-Content-Type-Options"] == "nosniff"
        policy = headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy and "unsafe" not in policy and "*" not in policy
    status, _, about = request(server, "GET", "/about")
    assert (status, about["run"], about["counts"]) == (200, runs.bilateral.name, {"fine": 40, "coarse": 8})
    assert about["architecture"] == "bilateral, left and right resnet9 at width 0.0625"


@pytest.mark.parametrize("host", ["evil.example", "evil.example:80", "127.0.0.1.evil.example", "", "[::1", "10.0.0.7"])
@pytest.mark.parametrize(("method", "path"), [("GET", "/"), ("GET", "/about"), ("POST", "/answer")])
def test_another_host_name_is_refused(server, method, path, host):
    status, _, said = request(server, method, path, b"", Host=host)
    assert (status, said) == (403, {"error": "this server does not go by that host name"})


def test_a_page_of_another_site_may_not_ask(server, runs):
    content, own = runs.picture.read_bytes(), f"127.0.0.1:{server.server_port}"
    assert request(server, "POST", "/answer", content, Origin=f"http://{own}")[0] == 200
    for origin in ("http://evil.example", "null", f"https://{own}", f"http://{own}.evil.example", "http://127.0.0.1:1"):
        status, _, said = request(server, "POST", "/answer", content, Origin=origin)
        assert status == 403 and "another site" in said["error"]


def test_a_picture_that_is_too_large_is_refused(server):
    status, _, said = request(server, "POST", "/answer", bytes(MAX_UPLOAD + 2**20))
    assert status == 413 and said["error"] == "the picture has 21 MB, and 20 MB is the most that is taken"


@pytest.mark.parametrize("length", ["", "-1", "many", "²"])
def test_a_picture_without_a_length_is_refused(server, length):
    with socket.create_connection(("127.0.0.1", server.server_port), timeout=30) as connection:
        connection.sendall(f"POST /answer HTTP/1.0\r\nHost: localhost\r\nContent-Length: {length}\r\n\r\n".encode())
        with connection.makefile("rb") as answer:
            assert b" 411 " in answer.readline()


def test_what_is_no_picture_gets_a_message(server):
    path = f"/answer?{urllib.parse.urlencode({'name': 'my notes & more.png'})}"
    for content in (b"some text", b"", b"\x89PNG\r\n\x1a\n" + bytes(100)):
        status, _, said = request(server, "POST", path, content)
        assert status == 400 and said["error"].startswith("cannot read image my notes & more.png: ")


def test_an_error_of_ours_says_nothing_of_the_code(server, monkeypatch, caplog):
    def broken(*arguments):
        raise RuntimeError("secret")

    monkeypatch.setattr(server.explorer, "answer", broken)
    status, _, said = request(server, "POST", "/answer", b"")
    assert status == 500 and list(said) == ["error"] and "secret" not in said["error"]
    assert "secret" in caplog.text


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/nothing", 404),
        ("GET", "/../answering.py", 404),
        ("GET", "/page/index.html", 404),
        ("GET", "/answer", 404),
        ("POST", "/", 404),
        ("PUT", "/answer", 501),
    ],
)
def test_anything_else_is_refused(server, method, path, status):
    found, headers, said = request(server, method, path, b"")
    assert found == status and list(said) == ["error"] and "Python" not in str(headers)
    assert headers["X-Content-Type-Options"] == "nosniff"


def test_a_connection_that_breaks_harms_nobody(server, runs):
    with socket.create_connection(("127.0.0.1", server.server_port)) as connection:
        connection.sendall(b"POST /answer HTTP/1.0\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\nshort")
    assert request(server, "POST", "/answer", runs.picture.read_bytes())[0] == 200


def test_whose_names_are_our_own():
    for name in ("localhost", "localhost:80", "LOCALHOST", "127.0.0.1:8765", "127.1.2.3", "[::1]:8765"):
        assert is_own_name(name, "127.0.0.1")
    for bound in ("", "0.0.0.0", "::"):
        assert is_own_name("192.168.1.5:8765", bound) and is_own_name(f"{socket.gethostname()}:1", bound)
        assert not is_own_name("evil.example", bound) and not is_own_name("", bound)
    assert is_own_name("box.lan:80", "box.lan") and not is_own_name("192.168.1.5", "box.lan")
    assert all(is_loopback(host) for host in ("localhost", "::1", "127.0.0.9"))
    assert not any(is_loopback(host) for host in ("0.0.0.0", "box.lan", "10.0.0.7"))


def test_a_place_that_cannot_be_served_at_is_told(server, runs):
    with pytest.raises(OutputError, match=rf"cannot serve at port {server.server_port} of 127\.0\.0\.1: .*--port 0"):
        explore_command.explore(
            runs.bilateral, host="127.0.0.1", port=server.server_port, open=False, row=None, own_code=None
        )
    with pytest.raises(ConfigError, match=r"--port 70000: .*0-65535"):
        ExploreServer(server.explorer, {}, "127.0.0.1", 70000)


def test_closing_waits_for_the_answer_that_is_being_made(server):
    begun, ended = threading.Event(), threading.Event()

    def slow():
        begun.set()
        time.sleep(0.3)
        ended.set()
        return []

    other = ExploreServer(server.explorer, {}, "127.0.0.1", 0, slow)
    threading.Thread(target=other.serve_forever, daemon=True).start()
    asking = threading.Thread(target=lambda: urllib.request.urlopen(f"{other.url}/samples", timeout=30).read())
    asking.start()
    assert begun.wait(10)
    other.shutdown()
    other.server_close()
    assert ended.is_set()
    asking.join()


def test_the_command_serves_until_it_is_interrupted(runs):
    command = [sys.executable, "-m", "bilateral", "explore", str(runs.bilateral), "--host", "0.0.0.0", "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        line = process.stdout.readline()
        try:
            assert line.startswith(f"exploring {runs.bilateral.name} at http://0.0.0.0:") and "Ctrl-C" in line
            with urllib.request.urlopen(f"{line.split()[3]}/about", timeout=30) as answer:
                assert json.load(answer)["run"] == runs.bilateral.name
        finally:
            process.send_signal(signal.SIGINT)
        _, told = process.communicate(timeout=30)
    assert process.returncode == 0 and "Traceback" not in told
    assert "warning: whoever reaches 0.0.0.0 over the network can use this page too" in told
