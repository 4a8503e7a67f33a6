"""What no input may do, at any door: see `passes`."""

import contextlib
import os
import resource
import signal
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from bilateral.base.errors import BilateralError

EXAMPLES = int(os.environ.get("BILATERAL_FUZZ_EXAMPLES", "30"))
"""Inputs of each property: few in the test suite, thousands in `make fuzz`."""
SECONDS, BYTES = 20, 10**9
many = settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))

_writable: list[str] | None = None
_seen: list[str] = []
_STARTS = ("subprocess.Popen", "os.system", "os.exec", "os.posix_spawn", "os.spawn", "pty.spawn", "webbrowser.open")
_CHANGES = ("os.remove", "os.rename", "os.rmdir", "os.mkdir", "os.link", "os.symlink", "os.chmod", "shutil.rmtree")


_STRANGE = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-3, 10**20),
    st.floats(),
    st.text(max_size=8),
    st.sampled_from(["../..", "/etc/passwd", "evil:load", "nan", "9" * 5000, "\0", "$x$", "<script>", "\ud800"]),
    st.lists(st.integers(), max_size=2),
    st.dictionaries(st.text(max_size=3), st.integers(), max_size=2),
)


def strange(values, data):
    """Plain values, in one place of which stands something else, or nothing."""
    if isinstance(values, dict | list) and values and data.draw(st.integers(0, 9)):
        key = data.draw(st.sampled_from(sorted(values) if isinstance(values, dict) else range(len(values))))
        if data.draw(st.integers(0, 5)) == 0:
            del values[key]
        else:
            values[key] = strange(values[key], data)
        return values
    return data.draw(_STRANGE)


def passes(door: Callable[[], object], writable: Path) -> str:
    """Let an input through a door, and give the sentence by which it was refused; "" if it was taken.

    It fails if anything but a BilateralError comes out, the sentence is empty or holds a traceback, it takes more than
    SECONDS or BYTES of memory, a module named evil is imported, a program is started, or anything outside `writable`
    is written, removed or renamed.
    """
    before = _resident()
    with _watched(writable), _alarm(), warnings.catch_warnings(action="ignore"):
        try:
            door()
            sentence = ""
        except BilateralError as error:
            sentence = str(error)
            assert sentence.strip() and "Traceback" not in sentence
            assert error.exit_code in (1, 2)
    assert not _seen, _seen
    assert _resident() - before < BYTES
    return sentence


@contextlib.contextmanager
def _watched(writable: Path) -> Iterator[None]:
    global _writable  # noqa: PLW0603, an audit hook stays for ever
    if _audit not in _hooks:
        _hooks.append(_audit)
        sys.addaudithook(_audit)
    _seen.clear()
    _writable = [str(writable.resolve()), str(writable), "/dev/null", "/dev/shm", "/proc/self"]
    try:
        yield
    finally:
        _writable = None


_hooks: list[object] = []


def _audit(event: str, arguments: tuple) -> None:
    if _writable is None or threading.current_thread() is not threading.main_thread():
        return
    if event == "import" and str(arguments[0]).startswith("evil"):
        _seen.append(f"import {arguments[0]}")
    elif event in _STARTS and str(arguments[0]) not in ("git", "uname"):  # which say what code and machine these are
        _seen.append(f"{event} {arguments[:2]}")
    elif event in _CHANGES or (event == "open" and _writes(arguments)):
        _note(event, arguments[0])


def _writes(arguments: tuple) -> bool:
    mode, flags = arguments[1], arguments[2]
    if isinstance(mode, str):
        return any(letter in mode for letter in "wax+")
    return bool(flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC))


def _note(event: str, path: object) -> None:
    if not isinstance(path, str | bytes | os.PathLike):
        return
    full = str(Path(os.fsdecode(path)).absolute())
    if "__pycache__" not in full and not any(full.startswith(place) for place in _writable or ()):
        _seen.append(f"{event} {full}")


@contextlib.contextmanager
def _alarm() -> Iterator[None]:
    def end(*_: object) -> None:
        raise TimeoutError(f"it takes more than {SECONDS} s")

    previous = signal.signal(signal.SIGALRM, end)
    signal.setitimer(signal.ITIMER_REAL, SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, previous)


def _resident() -> int:
    """The most memory that this process has had, bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
