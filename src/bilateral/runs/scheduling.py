"""Does the runs of a plan, parents before their children, by whatever executes them."""

import logging
import pickle
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass
from pathlib import Path

from ..base.errors import BilateralError, OutOfMemoryError, WorkerError
from ..base.memory import is_out_of_memory
from ..base.own_code import describe
from ..base.run_folders import FAILURE
from ..base.text import duration
from ..training import distributed
from .plan import Run
from .runner import Runner, RunResult, find_folder

log = logging.getLogger(__name__)
KILLED = "its worker process was killed, perhaps for want of memory"


class ExecutorLostError(WorkerError):
    """Whoever did the runs can do no more of them."""


Submit = Callable[[Run], "Future[RunResult]"]
"""Begins a run whose parents are finished."""


@dataclass(frozen=True)
class Executor:
    """Where runs are done. open: gets ready for the runs of a plan (by identity), and cleans up after them.

    capacity: how many it does at the same time; None: it keeps a queue of its own. name: for records.
    """

    open: Callable[[Mapping[str, Run]], AbstractContextManager[Submit]]
    capacity: int | None = None
    name: str = "local"


@dataclass(frozen=True)
class Failure:
    """A run that came to nothing. log: where its traceback is, if it got as far as a folder."""

    run: Run
    reason: str
    log: Path | None = None

    def __str__(self) -> str:
        where = f" ({self.log})" if self.log else ""
        return f"{self.run.title} failed: {self.reason}{where}"


def told(run: Run, error: BaseException) -> BaseException:
    """Give what a run raised; the end of memory, which may come from anywhere, as OutOfMemoryError."""
    if isinstance(error, BilateralError) or not is_out_of_memory(error):
        return error
    return OutOfMemoryError(
        f"memory has ended in {run.title}: {describe(error)}; a smaller training.batch_size, a smaller model or fewer "
        "workers need less"
    )


def sendable(error: BaseException) -> Exception:
    """Give what a run raised in another process as an exception that survives the way to this one.

    BilateralError and OSError stay as they are; any other is a RuntimeError whose text is the traceback.
    """
    if isinstance(error, BilateralError | OSError):
        with suppress(Exception):
            pickle.loads(pickle.dumps(error))
            return error
    if isinstance(error, BilateralError):  # of a kind of the user's own
        kind = next(each for each in type(error).__mro__ if each.__module__ == BilateralError.__module__)
        return kind(str(error))
    return RuntimeError("".join(traceback.format_exception(error)))


def with_parents(runner: Runner, runs: Sequence[Run]) -> dict[str, Run]:
    """The runs and all that they depend on by identity, each once, parents before their children."""
    plan: dict[str, Run] = {}
    for run in runs:
        for identity, parent in with_parents(runner, list(run.parents.values())).items():
            plan.setdefault(identity, parent)  # under the name that it has where it stands first
        plan.setdefault(runner.identity(run), run)
    return plan


def run_plan(
    runner: Runner,
    plan: Mapping[str, Run],
    executor: Executor,
    keep_going: bool = False,
    work: Mapping[str, float] | None = None,
) -> dict[str, RunResult | Failure]:
    """Do what of a plan is not finished; give each run's result, by identity. The plan must have been checked.

    work: of each run, in any unit, from which the time left is estimated; its epochs if not given.

    keep_going: a run that fails, and those that need it, are Failures in the result, while all others go on; runs whose
    worker process is killed are tried once more, each alone. Otherwise, and where torchrun started us, the first
    failure is raised, and what else goes on is ended. ExecutorLostError is raised in any case.
    """
    schedule = _Schedule(
        runner, plan, keep_going, work or {identity: run.config.training.epochs for identity, run in plan.items()}
    )
    if schedule.waiting:
        with executor.open({identity: plan[identity] for identity in schedule.waiting}) as submit:
            while schedule.begin(submit, executor.capacity):
                schedule.finish()
    return schedule.done


class _Schedule:
    """What of a plan is done, runs, or waits for its parents."""

    def __init__(self, runner: Runner, plan: Mapping[str, Run], keep_going: bool, work: Mapping[str, float]) -> None:
        self.runner, self.plan, self.keep_going, self.work = runner, plan, keep_going, work
        self.done: dict[str, RunResult | Failure] = {}
        for identity, run in plan.items():
            if (finished := runner.find(run)) is not None:
                log.info("%s: finished before, reused: %s", run.title, finished.folder)
                self.done[identity] = finished
        self.waiting = {
            identity: {runner.identity(parent) for parent in run.parents.values()}
            for identity, run in plan.items()
            if identity not in self.done
        }
        self.started, self.to_do = time.monotonic(), list(self.waiting)
        self.running: dict[Future[RunResult], str] = {}
        self.interrupted: list[str] = []
        """Runs whose worker process was killed, by their own need of memory or by that of one beside them."""
        self.retried: set[str] = set()

    def begin(self, submit: Submit, capacity: int | None) -> bool:
        """Submit what can begin, in the order of the plan; say whether anything is running."""
        self._give_up_children()
        alone = bool(self.interrupted) or any(identity in self.retried for identity in self.running.values())
        ready = self.interrupted or [each for each, parents in self.waiting.items() if parents <= self.done.keys()]
        free = (1 if alone else capacity or len(self.plan)) - len(self.running)
        for identity in ready[: max(0, free)]:
            if self.interrupted:
                self.interrupted.remove(identity)
                self.retried.add(identity)
            self.waiting.pop(identity, None)
            self.running[submit(self.plan[identity])] = identity
        return bool(self.running)

    def finish(self) -> None:
        """Wait until some run ends, and note what came of it."""
        for future in wait(self.running, return_when=FIRST_COMPLETED).done:
            identity = self.running.pop(future)
            try:
                self.done[identity] = future.result()
                if len(self.plan) > 1:
                    counts = len(self.done), len(self.plan)
                    log.info("%d of %d runs done: %s%s", *counts, self.plan[identity].title, self._time_left())
            except ExecutorLostError:
                raise
            except BrokenProcessPool:
                if not self.keep_going:
                    raise
                if identity in self.retried:
                    self._fail(identity, WorkerError(KILLED))
                else:
                    self.interrupted.append(identity)
            except Exception as error:
                # Processes that train together must not disagree on what comes next: they end.
                if not self.keep_going or distributed.world_size() > 1:
                    raise
                self._fail(identity, error)

    def _time_left(self) -> str:
        """By the time that what is done has taken."""
        left = sum(self.work[identity] for identity in self.to_do if identity not in self.done)
        done = sum(self.work[identity] for identity in self.to_do) - left
        return f"; about {duration((time.monotonic() - self.started) * left / done)} left" if left and done else ""

    def _give_up_children(self) -> None:
        for identity, parents in list(self.waiting.items()):
            failed = sorted(self.plan[each].title for each in parents if isinstance(self.done.get(each), Failure))
            if failed:
                del self.waiting[identity]
                self._note(identity, Failure(self.plan[identity], f"{failed[0]}, which it needs, failed"))

    def _fail(self, identity: str, error: Exception) -> None:
        run = self.plan[identity]
        folder = find_folder(run, identity)
        path = folder / FAILURE if folder and (folder / FAILURE).exists() else None
        lines = str(error).strip().splitlines() or [repr(error)]
        # An unforeseen error comes with its traceback, whose last line says what it is.
        self._note(identity, Failure(run, lines[0] if isinstance(error, BilateralError) else lines[-1], path))

    def _note(self, identity: str, failure: Failure) -> None:
        log.warning("%s", failure)
        self.done[identity] = failure
