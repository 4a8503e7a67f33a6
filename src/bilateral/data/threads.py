"""Many small jobs done in threads, with a progress bar for the person who waits."""

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")

_CHUNK = 128
_PATIENCE_S = 1.5


def for_each(
    function: Callable[[_Item], _Result], items: Sequence[_Item], what: str, num_workers: int
) -> list[_Result]:
    """Give `function` of every item, in order, computed by `num_workers` threads (0: by the calling one alone).

    Of several errors the one that comes first in the items' order is raised. A bar named `what` appears on stderr,
    only if that is a terminal and the work takes more than a moment.
    """

    def work(start: int) -> list[_Result]:
        return [function(item) for item in items[start : start + _CHUNK]]

    results: list[_Result] = []
    starts = range(0, len(items), _CHUNK)
    with _progress(what, len(items)) as advance, ThreadPoolExecutor(max(num_workers, 1)) as executor:
        for chunk in executor.map(work, starts) if num_workers > 0 else map(work, starts):
            results += chunk
            advance(len(chunk))
    return results


@contextmanager
def _progress(what: str, total: int) -> Iterator[Callable[[int], None]]:
    if not sys.stderr.isatty():
        yield lambda count: None
        return

    from rich.console import Console
    from rich.progress import Progress

    bar = Progress(console=Console(stderr=True), transient=True)
    task = bar.add_task(what, total=total)
    start = time.monotonic()

    def advance(count: int) -> None:
        bar.advance(task, count)
        if not bar.live.is_started and time.monotonic() - start > _PATIENCE_S:
            bar.start()

    try:
        yield advance
    finally:
        if bar.live.is_started:
            bar.stop()
