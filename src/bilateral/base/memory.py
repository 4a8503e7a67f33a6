"""How much memory there is, asked before it is taken, and how its end becomes a sentence."""

import errno
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from .errors import OutOfMemoryError

_LIMIT, _USED = Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory.current")

# PyTorch has a kind of its own on GPUs alone.
_ENDED = re.compile(r"out of memory|can(?:'|no)t allocate memory", re.IGNORECASE)


def check_memory(needed: float, what: str, remedy: str) -> None:
    """Raise OutOfMemoryError if `what` needs more bytes than there are. remedy: a clause that says what needs fewer."""
    free = available_bytes()
    if free is not None and needed > free:
        raise OutOfMemoryError(
            f"{what} needs {needed / 1e9:,.1f} GB of memory, and {free / 1e9:,.1f} GB are free; {remedy}"
        )


@contextmanager
def memory_errors(doing: str) -> Iterator[None]:
    """Turn the refusal of memory in a block into an OutOfMemoryError. doing: what the block does, a clause."""
    try:
        yield
    except Exception as error:
        if not is_out_of_memory(error):
            raise
        raise OutOfMemoryError(
            f"not enough memory for {doing}; a smaller training.batch_size, narrower hemispheres (model.left.width) or "
            "fewer workers need less"
        ) from error


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an exception, of Python, of the system or of PyTorch, says that memory has ended."""
    if isinstance(error, OSError):
        return error.errno == errno.ENOMEM
    return isinstance(error, MemoryError) or (isinstance(error, RuntimeError) and bool(_ENDED.search(str(error))))


def available_bytes() -> int | None:
    """Give the bytes that this process may still take, by the system's word; None where it does not say."""
    found = []
    with suppress(OSError, KeyError, ValueError):
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
        fields = dict(line.split(":", 1) for line in lines if ":" in line)
        found.append(int(fields["MemAvailable"].split()[0]) * 1024)
    with suppress(OSError, ValueError):  # no limit, or no such file
        found.append(int(_LIMIT.read_text(encoding="ascii")) - int(_USED.read_text(encoding="ascii")))
    return max(0, min(found)) if found else None
