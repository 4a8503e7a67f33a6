"""What a Dask worker is asked: whether it has the code and the data of the command, and then to do a run."""

import asyncio
import pickle
import threading
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

import torch

from .. import __version__
from ..base.errors import BilateralError
from ..base.own_code import load_object
from ..data import sources
from ..data.config import DataConfig
from ..data.images import HierarchicalDataset
from . import identity
from .plan import Run
from .runner import Runner, RunResult
from .scheduling import sendable, told

SHOWN = 12
"""How many digits of a digest are shown."""


@dataclass(frozen=True)
class Code:
    """The code that computes runs on a machine: the package's version, and digests of it with and without `classes`."""

    version: str
    classes: tuple[str, ...]
    digests: tuple[str, str]

    @classmethod
    def here(cls, classes: Iterable[str]) -> "Code":
        """The code of this process with these classes, `package.module:Class`. Raises ConfigError without one."""
        classes = tuple(sorted(set(classes)))
        for name in classes:
            load_object(name, "its code")
        # A process that has lasted longer than its files notes the first digest when it is first asked.
        return cls(__version__, classes, (identity.code(()), identity.code(classes)))

    def __str__(self) -> str:
        return f"bilateral {self.version} ({' '.join(digest[:SHOWN] for digest in dict.fromkeys(self.digests))})"


@dataclass(frozen=True)
class Task:
    """A run for a worker: resolved, with absolute paths; code and identity as the machine has them that gives it.

    identity: None where it is not known.
    """

    run: Run
    identity: str | None
    code: Code
    threads: int

    def call(self) -> bytes:
        """Give what `pickle.loads` makes the run's result of.

        That function is known to every worker and scheduler; one that has no `bilateral` then fails in the task, and
        not in Dask, which would try again and again.
        """
        return pickle.dumps(_Call(self))


@dataclass(frozen=True)
class Refusal:
    """Why a worker, by its address, must not do a run: a clause that says what it does."""

    worker: str
    reason: str


@dataclass(frozen=True)
class Answer:
    """What a worker says to a task: the reason why it must not do it, if any, and its version of torch."""

    reason: str | None
    torch: str


class _Call:
    def __init__(self, task: Task) -> None:
        self.task = task

    def __reduce__(self) -> tuple[object, tuple[Task]]:
        return do_run, (self.task,)


def do_run(task: Task) -> RunResult | Refusal:
    """Do one run in a worker, if it has our code and data."""
    from distributed import get_worker

    with _ALONE:
        torch.set_num_threads(task.threads)
        if (reason := _refusal(task)) is not None:
            return Refusal(get_worker().address, reason)
        try:
            # A worker that the scheduler has given up, or one of a command that was stopped, may still be at it.
            return Runner(_load(task.run.config.data), waits=True).run(task.run, check=False)
        except (Exception, SystemExit) as error:
            raise sendable(told(task.run, error)) from None


async def answer(task: Task) -> Answer:
    """Say in a worker whether it could do a run."""
    return Answer(await asyncio.to_thread(_refusal, task), str(torch.__version__))


# A process draws random numbers and sets its threads for one run at a time, however many tasks Dask gives it.
_ALONE = threading.Lock()


@lru_cache(maxsize=1)
def _load(data: DataConfig) -> HierarchicalDataset:
    return sources.load(data)


def _refusal(task: Task) -> str | None:
    try:
        code = Code.here(task.code.classes)
    except BilateralError as error:
        return f"cannot do the run: {error}"
    if code.digests != task.code.digests:
        return f"has other code: {code} there, {task.code} here; install the same version, and start it again"
    if task.identity is None:
        return None
    data = task.run.config.data
    for _ in range(2):
        try:
            found = task.run.identity(_load(data).fingerprint)
        except (BilateralError, OSError) as error:
            return f"cannot read what the run needs: {error}"
        if found == task.identity:
            return None
        _load.cache_clear()  # the files may have changed since they were read
    where = f"at {data.root}" if data.root is not None else f"for {data.name}"
    return f"sees other data {where}: the run is {found} there, {task.identity} here; give all machines the same files"
