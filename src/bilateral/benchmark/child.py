"""A process of its own for what others before it in the same process would distort."""

import multiprocessing
import os
import threading
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import ParamSpec, TypeVar

from ..base.errors import WorkerError

Parameters = ParamSpec("Parameters")
Result = TypeVar("Result")


def in_child(
    function: Callable[Parameters, Result], *arguments: Parameters.args, **options: Parameters.kwargs
) -> Result:
    """Call a module's function in a new process, and give what it returns or raise what it raises.

    The process ends with ours. Raises WorkerError where the system ended it.
    """
    start_method = multiprocessing.get_start_method()
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn"), _start, (start_method,)) as pool:
        try:
            return pool.submit(function, *arguments, **options).result()
        except BrokenProcessPool as error:
            raise WorkerError("the system ended the measuring process, perhaps for want of memory") from error


def _start(start_method: str) -> None:
    """End with the parent, and start what is started in turn (a loader's workers) as it would from the parent."""
    threading.Thread(target=_end_with_parent, daemon=True).start()
    multiprocessing.set_start_method(start_method, force=True)


def _end_with_parent() -> None:
    if (parent := multiprocessing.parent_process()) is not None:
        parent.join()
        os._exit(1)
