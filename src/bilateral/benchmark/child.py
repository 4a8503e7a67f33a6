"""A process of its own for what others before it in the same process would distort."""

import multiprocessing
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

    Raises WorkerError where the system ended the process.
    """
    start_method = multiprocessing.get_start_method()
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn"), _set_start_method, (start_method,)) as pool:
        try:
            return pool.submit(function, *arguments, **options).result()
        except BrokenProcessPool as error:
            raise WorkerError("the system ended the measuring process, perhaps for want of memory") from error


def _set_start_method(name: str) -> None:
    """Have what the child starts in turn (a loader's workers) start as it would from the parent."""
    multiprocessing.set_start_method(name, force=True)
