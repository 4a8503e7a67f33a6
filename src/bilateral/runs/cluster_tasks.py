"""The tasks of a command on a Dask cluster: given to workers that may do them, and given up where nobody will."""

import logging
import pickle
import threading
import time
from collections.abc import Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

import distributed
import torch

from ..base.errors import BilateralError, ConfigError, WorkerError
from ..base.text import duration
from .cluster_worker import Answer, Refusal, Task, answer
from .runner import RunResult
from .scheduling import ExecutorLostError

log = logging.getLogger(__name__)

FIRST_WORKER_S = 600.0
"""How long a cluster may have no worker before the first one comes."""
ANOTHER_WORKER_S = 120.0
"""How long it may have none after its workers have gone."""
ANSWER_S = 600.0
"""How long a worker may take to say whether it has our code and data, for which it loads them."""
SILENCE_S = 120.0
"""How long the scheduler may take to answer in the middle of the work."""
QUEUE_S = 600.0
"""How often it is said that the jobs of a batch system still wait in its queue."""
_LOOK_S = 1.0


@dataclass(eq=False)
class _Given:
    """A task that was given to the cluster: to some workers alone, or to any (None)."""

    task: Task
    outcome: "Future[RunResult]" = field(default_factory=Future)
    promise: Any = None
    workers: list[str] | None = None


class Tasks:
    """The tasks of one command on one cluster.

    where: the cluster, for messages. resources: what each task takes. queued: the workers are jobs that a batch system
    starts when it likes, so they are waited for however long it takes.
    """

    def __init__(self, client: Any, where: str, resources: Mapping[str, float], queued: bool = False) -> None:
        self.client, self.where, self.resources, self.queued = client, where, dict(resources), queued
        self.refused: dict[str, str] = {}
        self.given: set[_Given] = set()
        self.lost: ExecutorLostError | None = None
        self.closed = threading.Event()
        self.lock = threading.RLock()
        threading.Thread(target=self._watch, daemon=True).start()

    def wait_for_worker(self) -> None:
        """Wait until a worker is there. Raises ConfigError if none has what a task takes, or none comes in time."""
        begun = said = time.monotonic()
        told = False
        while not self._able(workers := self._workers()):
            if workers:
                demand = " ".join(f"{name}={number:g}" for name, number in self.resources.items())
                raise ConfigError(
                    f"--demand: no worker at {self.where} has {demand}; start workers with "
                    f'`dask worker {self.where} --nthreads 1 --resources "{demand}"`'
                )
            now = time.monotonic()
            if not self.queued and now - begun > FIRST_WORKER_S:
                raise ConfigError(
                    f"--address: no worker has come to the scheduler at {self.where} in {duration(FIRST_WORKER_S)}; "
                    f"start one with `dask worker {self.where} --nthreads 1`"
                )
            if not told and not self.queued:
                log.warning("the scheduler at %s has no worker yet: waiting for one", self.where)
            elif self.queued and now - said > QUEUE_S:
                log.info("the jobs still wait in the queue of %s, for %s now", self.where, duration(now - begun))
                said = now
            told = True
            time.sleep(_LOOK_S)

    def check(self, task: Task) -> None:
        """Ask all workers that are there whether they could do a task. Raises ConfigError if one of them could not."""
        for worker, reason in self._ask(task).items():
            raise ConfigError(_sentence(worker, reason))

    def submit(self, task: Task) -> "Future[RunResult]":
        """Give a task to the cluster. Raises ExecutorLostError where there is none any more."""
        with self.lock:
            if self.lost is not None:
                raise self.lost
            given = _Given(task)
            self._give(given)
        return given.outcome

    def close(self) -> None:
        """Take back what is not done."""
        self.closed.set()
        with self.lock:
            left = [given.promise for given in self.given]
            self.given.clear()
        if left and self.client.status == "running":
            self._on_scheduler(self.client._cancel, left)

    def _give(self, given: _Given) -> None:
        able = None
        if self.refused:
            able = [address for address in self._able(self._workers()) if address not in self.refused]
            if not able:
                given.outcome.set_exception(WorkerError(_sentence(*next(iter(self.refused.items())))))
                return
        key = f"run-{given.task.identity or 'unnamed'}-{uuid4().hex}"
        options = {"key": key, "pure": False, "resources": self.resources or None, "workers": able}
        promise = self.client.submit(pickle.loads, given.task.call(), **options)
        with self.lock:
            given.promise, given.workers = promise, able
            self.given.add(given)
        promise.add_done_callback(lambda promise: self._end(given, promise))

    def _end(self, given: _Given, promise: Any) -> None:
        with self.lock:
            if given not in self.given or given.promise is not promise:
                return  # taken back, or given up
            self.given.remove(given)
        try:
            result = promise.result()
        except distributed.KilledWorker:
            reason = "every worker that tried it was killed, perhaps for want of memory; give workers more of it"
            given.outcome.set_exception(WorkerError(reason))
        except (BilateralError, OSError, RuntimeError) as error:
            given.outcome.set_exception(error)
        except Exception as error:  # of the worker, before it came to the run
            if promise.status == "cancelled":
                with self.lock:
                    self.given.add(given)
                self._lose(f"the scheduler at {self.where} has gone, or was restarted")
            else:
                self._refuse(self._ask(given.task), given, error)
        else:
            if isinstance(result, Refusal):
                sentence = _sentence(result.worker, result.reason)
                self._refuse({result.worker: result.reason}, given, WorkerError(sentence))
            else:
                given.outcome.set_result(result)

    def _refuse(self, reasons: Mapping[str, str], given: _Given, error: Exception) -> None:
        """Give a task to another worker than those, if any is refused; else its error stands."""
        for worker, reason in reasons.items():
            if worker not in self.refused:
                log.warning("%s; it is not used", _sentence(worker, reason))
        self.refused |= reasons
        try:
            if self.refused:
                self._give(given)
            else:
                given.outcome.set_exception(error)
        except Exception as failure:  # the scheduler has gone meanwhile
            given.outcome.set_exception(ExecutorLostError(f"the scheduler at {self.where} has gone: {failure}"))

    def _ask(self, task: Task) -> dict[str, str]:
        """Ask all workers, at the same time, whether they could do a task; give by address why they could not."""
        addresses = self._able(self._workers())
        answers: dict[str, Any] = {}

        def ask(address: str) -> None:
            try:
                answers.update(self.client.run(answer, task, workers=[address], on_error="return"))
            except Exception as error:
                answers[address] = error

        threads = [threading.Thread(target=ask, args=(address,), daemon=True) for address in addresses]
        ends = time.monotonic() + ANSWER_S
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(max(0.0, ends - time.monotonic()))
        there = self._workers()
        reasons = {each: _reason(answers.get(each)) for each in addresses if each in there}
        for worker, found in answers.items():
            if isinstance(found, Answer) and found.torch != torch.__version__:
                text = "the worker at %s has torch %s, and this machine %s: results may differ in their last bits"
                log.warning(text, worker, found.torch, torch.__version__)
                break
        return {address: reason for address, reason in reasons.items() if reason is not None}

    def _watch(self) -> None:
        """Give up what nobody will do: where the scheduler has gone or is silent, or no worker comes any more."""
        last_seen = time.monotonic()
        while not self.closed.wait(_LOOK_S):
            try:
                if self.client.status != "running":
                    raise ConnectionError(self.client.status)
                workers = self._workers()
            except TimeoutError:
                self._lose(f"the scheduler at {self.where} has not answered for {SILENCE_S:g} s")
                return
            except Exception:  # of many kinds, by what Dask was doing; whoever closes the client causes some too
                if not self.closed.is_set():
                    self._lose(f"the scheduler at {self.where} has gone, or was restarted")
                return
            if not self.refused.keys() >= {*self._able(workers)}:
                last_seen = time.monotonic()
                with self.lock:  # give a task anew whose workers have all gone
                    for given in list(self.given):
                        if given.workers is not None and not {*given.workers} & {*workers}:
                            self.given.remove(given)
                            given.promise.release()
                            self._give(given)
            elif self.given and not self.queued and time.monotonic() - last_seen > ANOTHER_WORKER_S:
                self._lose(f"no worker has been at {self.where} for {duration(ANOTHER_WORKER_S)}")
                return

    def _lose(self, reason: str) -> None:
        text = f"{reason}; what is finished stays: give the same command again when the cluster is there"
        with self.lock:
            self.lost = self.lost or ExecutorLostError(text)
            left = list(self.given)
            self.given.clear()
        for given in left:
            given.outcome.set_exception(self.lost)

    def _workers(self) -> dict[str, Any]:
        """The workers that are there, by address."""
        return dict(self._on_scheduler(self.client.scheduler.identity, n_workers=-1)["workers"])

    def _on_scheduler(self, function: Any, *arguments: Any, **options: Any) -> Any:
        return self.client.sync(function, *arguments, **options, callback_timeout=SILENCE_S)

    def _able(self, workers: Mapping[str, Any]) -> list[str]:
        """The addresses of those workers that have what a task takes."""
        needed = self.resources.items()
        has = {address: worker["resources"] for address, worker in workers.items()}
        return [each for each, own in has.items() if all(own.get(name, 0) >= number for name, number in needed)]


def _reason(found: Any) -> str | None:
    """Why a worker could not do a task, by its answer or by the exception in place of one."""
    if isinstance(found, Answer):
        return found.reason
    if found is None:
        return f"has not answered for {duration(ANSWER_S)}"
    if isinstance(found, OSError):  # it has gone meanwhile
        return None
    return f"cannot import this version of bilateral ({' '.join(str(found).split())}); install it, and start it again"


def _sentence(worker: str, reason: str) -> str:
    return f"the worker at {worker} {reason}"
