"""Several runs at once, each in a worker process with its share of the threads."""

import logging
import multiprocessing
import os
import signal
import threading
import warnings
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from functools import partial
from logging.handlers import QueueHandler
from multiprocessing.connection import Connection
from pathlib import Path
from queue import Empty
from typing import Any, Literal

import torch

from ..base.errors import WorkerError
from ..base.own_code import describe
from ..training import distributed
from ..training.device import choose_device
from ..training.progress import TerminalProgress
from .mapped_dataset import load_mapped, mapped
from .plan import Run
from .runner import Runner, RunResult
from .scheduling import Executor, ExecutorLostError, Submit, run_plan, sendable, told, with_parents

_SPAWN = multiprocessing.get_context("spawn")
START_S = 300.0
"""How long all worker processes together may take until the first of them is ready."""
_STARTS = 2
"""How often in a row they may die before one of them is ready."""


def run_all(runner: Runner, runs: Sequence[Run], workers: int | Literal["auto"]) -> list[RunResult]:
    """Do all runs, and before them their parents, several at a time; give their results in the order of `runs`.

    workers: as for `local`. Raises what a run raises, and then ends the others at once; WorkerError if a worker is
    killed.
    """
    runner.check(runs)
    done = run_plan(runner, with_parents(runner, runs), local(runner, runs, workers))
    results = [done[runner.identity(run)] for run in runs]
    return [result for result in results if isinstance(result, RunResult)]


def local(runner: Runner, runs: Sequence[Run], workers: int | Literal["auto"]) -> Executor:
    """Execute in worker processes of this machine, each with an equal share of this process's threads, or a GPU.

    auto: as many as were fastest on two cores (docs/performance.md), or as there are GPUs. A run's result depends on
    its number of threads in the last bits, so their number is decided by all `runs`, whatever of them is finished.
    With one worker, and where torchrun started us, runs are done in this process.
    """
    plan = with_parents(runner, runs)
    wanted = _automatic(plan.values()) if workers == "auto" else workers
    count = 1 if distributed.world_size() > 1 else min(wanted, len(plan))

    @contextmanager
    def execute(missing: Mapping[str, Run]) -> Iterator[Submit]:
        if count == 1:
            yield partial(_run_here, runner)
        else:
            with _worker_processes(runner, count) as submit:
                yield submit

    return Executor(execute, count)


def _automatic(plan: Collection[Run]) -> int:
    """As many as there are runs that wait for no other one, and threads; elsewhere than on the CPU one a GPU."""
    for run in plan:
        if choose_device(run.config.training.device).type != "cpu":
            return max(1, torch.cuda.device_count())
    return min(sum(not run.parents for run in plan), torch.get_num_threads())


def _run_here(runner: Runner, run: Run) -> "Future[RunResult]":
    future: Future[RunResult] = Future()
    try:
        future.set_result(runner.run(run, check=False))
    except (Exception, SystemExit) as error:  # own code may exit
        future.set_exception(told(run, error) if isinstance(error, Exception) else sendable(error))
    return future


@contextmanager
def _worker_processes(runner: Runner, count: int) -> Iterator[Submit]:
    messages = _SPAWN.Queue()
    # Nobody else holds this end: when it is closed, by us or by our death, the workers end.
    workers_end, lifeline = _SPAWN.Pipe(duplex=False)
    threads = max(1, torch.get_num_threads() // count)
    with _shown(messages), mapped(runner.dataset) as path:
        pool = _Pool(count, (path, runner.waits, threads, messages, workers_end))

        def submit(run: Run) -> "Future[RunResult]":
            with _uninterrupted():
                return pool.submit(run)

        try:
            yield submit
        except BaseException as error:
            lifeline.close()
            if not isinstance(error, BrokenProcessPool):
                raise
            raise pool.loss() or WorkerError(
                "a worker process was killed, perhaps for want of memory; the same command goes on from the last "
                "checkpoints, and with workers=1 it needs less"
            ) from error
        finally:
            pool.shutdown()


class _Pool:
    """Worker processes, started anew when one of them was killed; but not if they never get as far as their work."""

    def __init__(self, count: int, arguments: tuple[Any, ...]) -> None:
        self.count, self.arguments, self.failed_starts = count, arguments, 0
        self._start()

    def submit(self, run: Run) -> "Future[RunResult]":
        """Begin a run. Raises ExecutorLostError where no worker gets as far as its work."""
        try:
            return self.executor.submit(_run, run)
        except BrokenProcessPool:  # by a run before this one
            self.shutdown()
            self.failed_starts = 0 if self.ready.is_set() else self.failed_starts + 1
            if (lost := self.loss()) is not None:
                raise lost from None
            self._start()
            return self.executor.submit(_run, run)

    def loss(self) -> ExecutorLostError | None:
        """Say why there will be no worker, if that is so."""
        if self.hung.is_set():
            return ExecutorLostError(
                f"no worker process was ready within {START_S:g} s; the machine may be overloaded, or a file system "
                "may not answer; give the same command again, or use workers=1"
            )
        if self.failed_starts >= _STARTS:
            return ExecutorLostError(
                f"worker processes died at their start {self.failed_starts} times, perhaps for want of memory; use "
                "workers=1"
            )
        return None

    def shutdown(self) -> None:
        """End when no run is left."""
        self.closed.set()
        self.executor.shutdown(cancel_futures=True)

    def _start(self) -> None:
        numbers, got_ready = _SPAWN.Queue(), _SPAWN.Semaphore(0)
        for number in range(self.count):
            numbers.put(number)
        self.executor = ProcessPoolExecutor(self.count, _SPAWN, _start, (*self.arguments, numbers, got_ready))
        self.ready, self.hung, self.closed = ready, hung, closed = [threading.Event() for _ in range(3)]
        others = set(multiprocessing.active_children())

        def watch() -> None:
            """Note that a worker is ready; if none is in time, end them all."""
            if got_ready.acquire(timeout=START_S):
                ready.set()
            elif not closed.is_set() and (workers := set(multiprocessing.active_children()) - others):
                hung.set()
                for worker in workers:
                    worker.kill()

        threading.Thread(target=watch, daemon=True).start()


class MessengerProgress:
    """The progress display of a worker: it sends every call to the main process."""

    def __init__(self, messages: Any) -> None:
        self.messages = messages

    def __getattr__(self, name: str) -> Callable[..., None]:
        return lambda *arguments: self.messages.put((name, arguments))


class _Forward(QueueHandler):
    def emit(self, record: logging.LogRecord) -> None:
        self.queue.put_nowait(("log", (record.getMessage(),)))


_runner: Runner
_failure: Exception | None = None


def _start(
    path: Path, waits: bool, threads: int, messages: Any, lifeline: Connection, numbers: Any, ready: Any
) -> None:
    """Set up a worker process."""
    global _runner, _failure  # noqa: PLW0603, an executor's worker has no other place for it
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # where no mask is inherited; the main process ends us
    threading.Thread(target=_end_with, args=(lifeline,), daemon=True).start()
    progress = MessengerProgress(messages)
    logging.basicConfig(level=logging.INFO, handlers=[_Forward(messages)], force=True)
    warnings.showwarning = lambda message, *_, **__: progress.log(f"warning: {message}")
    try:
        torch.set_num_threads(threads)
        if torch.cuda.is_available():
            torch.cuda.set_device(numbers.get() % torch.cuda.device_count())
        _runner = Runner(load_mapped(path), progress, waits)
    except Exception as error:
        # The executor would print it and break; so the first run tells it.
        _failure = ExecutorLostError(f"a worker process cannot start: {describe(error)}; use workers=1")
    ready.release()


def _run(run: Run) -> RunResult:
    if _failure is not None:
        raise _failure
    try:
        return _runner.run(run, check=False)
    except (Exception, SystemExit) as error:
        raise sendable(told(run, error)) from None


def _end_with(lifeline: Connection) -> None:
    try:
        lifeline.poll(None)
    finally:
        os._exit(1)


@contextmanager
def _uninterrupted() -> Iterator[None]:
    """Put Ctrl-C off until the end of the block; processes that are started in it never hear of it."""
    if not hasattr(signal, "pthread_sigmask") or threading.current_thread() is not threading.main_thread():
        yield
        return
    came: list[int] = []
    # The mask is what new processes inherit; it does not keep another thread of ours from taking the signal.
    handler = signal.signal(signal.SIGINT, lambda number, _: came.append(number))
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        signal.signal(signal.SIGINT, handler)
        if came:
            signal.raise_signal(signal.SIGINT)


@contextmanager
def _shown(messages: Any) -> Iterator[None]:
    """Show what the workers send while the block lasts."""
    display: TerminalProgress | None = TerminalProgress()
    over = threading.Event()

    def show() -> None:
        nonlocal display
        while True:
            try:
                name, arguments = messages.get(timeout=0.1)
            except Empty:
                if over.is_set():
                    return
                continue
            try:
                if display is not None:
                    getattr(display, name)(*arguments)
            except (Exception, SystemExit):
                # A terminal that has gone is no reason to stop: the workers wait until their messages are taken.
                display = None

    thread = threading.Thread(target=show, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join(timeout=2)  # a worker that was killed may have sent half a message
        if display is not None:
            display.close()
