"""Many small jobs done in threads, with a progress bar for the person who waits."""

import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
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

    from rich.console import Console
    from rich.progress import Progress

    bar = Progress(console=Console(stderr=True), transient=True, disable=not sys.stderr.isatty())
    task = bar.add_task(what, total=len(items))
    results: list[_Result] = []
    starts, began = range(0, len(items), _CHUNK), time.monotonic()
    try:
        with ThreadPoolExecutor(max(num_workers, 1)) as executor:
            for chunk in executor.map(work, starts) if num_workers > 0 else map(work, starts):
                results += chunk
                bar.advance(task, len(chunk))
                if not bar.live.is_started and time.monotonic() - began > _PATIENCE_S:
                    bar.start()
    finally:
        if bar.live.is_started:
            bar.stop()
    return results
