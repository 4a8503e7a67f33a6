"""Does the runs of a plan, parents before their children, by whatever executes them."""

import logging
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from ..base.errors import BilateralError
from .plan import Run
from .runner import FAILURE, Runner, RunResult, find_folder

log = logging.getLogger(__name__)

Submit = Callable[[Run], "Future[RunResult]"]
"""Begins a run whose parents are finished."""
Executor = Callable[[Mapping[str, Run]], AbstractContextManager[Submit]]
"""Gets ready for the runs of a plan (by identity), and cleans up after them."""


@dataclass(frozen=True)
class Failure:
    """A run that came to nothing. log: where its traceback is, if it got as far as a folder."""

    run: Run
    reason: str
    log: Path | None = None

    def __str__(self) -> str:
        where = f" ({self.log})" if self.log else ""
        return f"{self.run.title} failed: {self.reason}{where}"


def with_parents(runner: Runner, runs: Sequence[Run]) -> dict[str, Run]:
    """The runs and all that they depend on by identity, each once, parents before their children."""
    plan: dict[str, Run] = {}
    for run in runs:
        plan |= with_parents(runner, list(run.parents.values()))
        plan.setdefault(runner.identity(run), run)
    return plan


def run_plan(
    runner: Runner, plan: Mapping[str, Run], executor: Executor, keep_going: bool = False
) -> dict[str, RunResult | Failure]:
    """Do what of a plan is not finished; give each run's result, by identity. The plan must have been checked.

    keep_going: a run that fails, and those that need it, are Failures in the result, while all others go on.
    Otherwise the first failure is raised, and what else goes on is ended.
    """
    done: dict[str, RunResult | Failure] = {}
    for identity, run in plan.items():
        if (finished := runner.find(run)) is not None:
            log.info("%s: finished before, reused: %s", run.title, finished.folder)
            done[identity] = finished
    waiting = {
        identity: {runner.identity(parent) for parent in run.parents.values()}
        for identity, run in plan.items()
        if identity not in done
    }
    if not waiting:
        return done
    running: dict[Future[RunResult], str] = {}
    with executor({identity: plan[identity] for identity in waiting}) as submit:
        while waiting or running:
            for identity in [name for name, parents in waiting.items() if parents <= set(done)]:
                failed = [done[parent] for parent in waiting.pop(identity) if isinstance(done[parent], Failure)]
                if failed:
                    _note(done, identity, Failure(plan[identity], f"{failed[0].run.title}, which it needs, failed"))
                else:
                    running[submit(plan[identity])] = identity
            for future in wait(running, return_when=FIRST_COMPLETED).done if running else ():
                identity = running.pop(future)
                try:
                    done[identity] = future.result()
                    if len(plan) > 1:
                        log.info("%d of %d runs done: %s", len(done), len(plan), plan[identity].title)
                except BrokenProcessPool:
                    raise
                except Exception as error:
                    if not keep_going:
                        raise
                    _note(done, identity, _failure(runner, plan[identity], identity, error))
    return done


def _failure(runner: Runner, run: Run, identity: str, error: Exception) -> Failure:
    folder = find_folder(run, identity)
    path = folder / FAILURE if folder and (folder / FAILURE).exists() else None
    lines = str(error).strip().splitlines() or [repr(error)]
    # An unforeseen error comes with its traceback, whose last line says what it is.
    return Failure(run, lines[0] if isinstance(error, BilateralError) else lines[-1], path)


def _note(done: dict[str, RunResult | Failure], identity: str, failure: Failure) -> None:
    log.warning("%s", failure)
    done[identity] = failure
