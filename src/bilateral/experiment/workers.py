"""Several runs at once, each in a worker process with its share of the threads."""

import logging
import multiprocessing
import os
import signal
import tempfile
import threading
import traceback
import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing.connection import Connection
from pathlib import Path
from queue import Empty
from typing import Any, Literal

import torch

from ..base.errors import BilateralError, WorkerError
from ..training.device import choose_device
from ..training.progress import TerminalProgress
from .plan import Run
from .runner import Runner, RunResult

log = logging.getLogger(__name__)


def run_all(runner: Runner, runs: Sequence[Run], workers: int | Literal["auto"]) -> list[RunResult]:
    """Do all runs, and before them their parents, several at a time; give their results in the order of `runs`.

    workers: processes, each with an equal share of this process's threads; auto: what was fastest on two cores
    (docs/performance.md). A run's result depends on its number of threads in the last bits, so `workers` is decided by
    the plan, whatever of it is finished.
    Raises what a run raises, and then ends the others at once; WorkerError if a worker is killed.
    """
    if not runs:
        return []
    runner.check(runs)
    plan = {runner.identity(run): run for run in _with_parents(runs)}
    finished = [result for run in plan.values() if (result := runner.find(run))]
    for result in finished:
        log.info("%s: finished before, reused: %s", result.run.title, result.folder)
    count = min(_automatic(runs) if workers == "auto" else workers, len(plan))
    if count > 1 and len(finished) < len(plan):
        _run_in_workers(runner, plan, count)
    return [runner.run(run, check=False) for run in runs]


def _automatic(runs: Sequence[Run]) -> int:
    """As many as there are runs that wait for no other one, and threads. On other devices one, for want of figures."""
    if choose_device(runs[0].config.training.device).type != "cpu":
        return 1
    independent = {id(run) for run in _with_parents(runs) if not run.parents}
    return min(len(independent), torch.get_num_threads())


def _with_parents(runs: Sequence[Run]) -> list[Run]:
    return [each for run in runs for each in [*_with_parents(list(run.parents.values())), run]]


def _run_in_workers(runner: Runner, plan: dict[str, Run], count: int) -> None:
    """Do the runs of a plan, by identity; the runner finds their results in their folders."""
    context = multiprocessing.get_context("spawn")
    messages = context.Queue()
    # Nobody else holds this end: when it is closed, by us or by our death, the workers end.
    workers_end, lifeline = context.Pipe(duplex=False)
    threads = max(1, torch.get_num_threads() // count)
    waiting = {name: {runner.identity(parent) for parent in run.parents.values()} for name, run in plan.items()}
    running: dict[Future[None], str] = {}
    done: set[str] = set()
    with _shown(messages), tempfile.TemporaryDirectory() as folder:
        # The workers map one file: shared memory is small in many containers, and a pipe would hold up their start.
        path = Path(folder) / "dataset.pt"
        torch.save(runner.dataset, path)
        executor = ProcessPoolExecutor(count, context, _start, (path, threads, messages, workers_end))
        try:
            while waiting or running:
                for name in [name for name, parents in waiting.items() if parents <= done]:
                    del waiting[name]
                    with _uninterrupted():
                        running[executor.submit(_run, plan[name])] = name
                for future in wait(running, return_when=FIRST_COMPLETED).done:
                    done.add(running.pop(future))
                    future.result()
        except BrokenProcessPool as error:
            raise WorkerError(
                "a worker process was killed, perhaps for want of memory; the same command goes on from the last "
                "checkpoints, and with workers=1 it needs less"
            ) from error
        finally:
            if waiting or running:
                lifeline.close()
            executor.shutdown(cancel_futures=True)


class MessengerProgress:
    """The progress display of a worker: it sends every call to the main process."""

    def __init__(self, messages: Any) -> None:
        self.messages = messages

    def __getattr__(self, name: str) -> Callable[..., None]:
        return lambda *arguments: self.messages.put((name, arguments))


class _Forward(logging.Handler):
    def __init__(self, progress: MessengerProgress) -> None:
        super().__init__()
        self.progress = progress

    def emit(self, record: logging.LogRecord) -> None:
        self.progress.log(record.getMessage())


_runner: Runner


def _start(path: Path, threads: int, messages: Any, lifeline: Connection) -> None:
    """Set up a worker process."""
    global _runner  # noqa: PLW0603, an executor's worker has no other place for it
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # where no mask is inherited; the main process ends us
    threading.Thread(target=_end_with, args=(lifeline,), daemon=True).start()
    torch.set_num_threads(threads)
    progress = MessengerProgress(messages)
    logging.basicConfig(level=logging.INFO, handlers=[_Forward(progress)], force=True)
    warnings.showwarning = lambda message, *_, **__: progress.log(f"warning: {message}")
    _runner = Runner(torch.load(path, mmap=True, weights_only=False), progress)


def _run(run: Run) -> None:
    try:
        _runner.run(run, check=False)
    except (BilateralError, OSError):
        raise
    except Exception as error:
        # Not every exception survives the way to the main process.
        raise RuntimeError("".join(traceback.format_exception(error))) from None


def _end_with(lifeline: Connection) -> None:
    try:
        lifeline.poll(None)
    finally:
        os._exit(1)


@contextmanager
def _uninterrupted() -> Iterator[None]:
    """Put Ctrl-C off until the end of the block; processes that are started in it never hear of it."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


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
