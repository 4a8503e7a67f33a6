"""The tasks of a command on a Dask cluster: given to workers that may do them, and given up where nobody will."""

import logging
import pickle
import threading
import time
from collections.abc import Collection, Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import distributed
import torch

from ..base.errors import BilateralError, ConfigError, WorkerError
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


@dataclass
class _Given:
    """A task that was given to the cluster: to some workers alone, or to any (None)."""

    task: Task
    outcome: "Future[RunResult]"
    promise: Any
    workers: list[str] | None


class Tasks:
    """The tasks of one command on one cluster.

    where: the cluster, for messages. resources: what each task takes. queued: the workers are jobs that a batch system
    starts when it likes, so they are waited for however long it takes.
    """

    def __init__(self, client: Any, where: str, resources: Mapping[str, float], queued: bool = False) -> None:
        self.client, self.where, self.resources, self.queued = client, where, dict(resources), queued
        self.refused: dict[str, str] = {}
        self.given: dict[int, _Given] = {}
        self.lost: ExecutorLostError | None = None
        self.closed = threading.Event()
        self.lock = threading.RLock()
        threading.Thread(target=self._watch, daemon=True).start()

    def wait_for_worker(self) -> None:
        """Wait until a worker is there. Raises ConfigError if none has what a task takes, or none comes in time."""
        begun = said = time.monotonic()
        told = False
        while True:
            workers = self._workers()
            if any(map(self._has_resources, workers.values())):
                return
            if workers:
                demand = " ".join(f"{name}={number:g}" for name, number in self.resources.items())
                raise ConfigError(
                    f"--demand: no worker at {self.where} has {demand}; start workers with "
                    f'`dask worker {self.where} --nthreads 1 --resources "{demand}"`'
                )
            now = time.monotonic()
            if not self.queued and now - begun > FIRST_WORKER_S:
                raise ConfigError(
                    f"--address: no worker has come to the scheduler at {self.where} in {_minutes(FIRST_WORKER_S)}; "
                    f"start one with `dask worker {self.where} --nthreads 1`"
                )
            if not told and not self.queued:
                log.warning("the scheduler at %s has no worker yet: waiting for one", self.where)
            elif self.queued and now - said > QUEUE_S:
                log.info("the jobs still wait in the queue of %s, for %s now", self.where, _minutes(now - begun))
                said = now
            told = True
            time.sleep(_LOOK_S)

    def check(self, task: Task) -> None:
        """Ask all workers that are there whether they could do a task. Raises ConfigError if one of them could not."""
        for worker, reason in self._ask(task).items():
            raise ConfigError(_sentence(worker, reason))

    def submit(self, task: Task) -> "Future[RunResult]":
        """Give a task to the cluster. Raises ExecutorLostError where there is none any more."""
        outcome: Future[RunResult] = Future()
        with self.lock:
            if self.lost is not None:
                raise self.lost
            self._give(task, outcome)
        return outcome

    def close(self) -> None:
        """Take back what is not done."""
        self.closed.set()
        with self.lock:
            left = [given.promise for given in self.given.values()]
            self.given.clear()
        if left and self.client.status == "running":
            self._on_scheduler(self.client._cancel, left)

    def _give(self, task: Task, outcome: "Future[RunResult]") -> None:
        able = None
        if self.refused:
            able = [address for address, worker in self._workers().items() if self._is_able(address, worker)]
            if not able:
                worker, reason = next(iter(self.refused.items()))
                outcome.set_exception(WorkerError(_sentence(worker, reason)))
                return
        promise = self.client.submit(
            pickle.loads,
            task.call(),
            key=f"run-{task.identity or 'unnamed'}-{uuid4().hex}",
            pure=False,
            resources=self.resources or None,
            workers=able,
        )
        with self.lock:
            self.given[id(outcome)] = _Given(task, outcome, promise, able)
        promise.add_done_callback(lambda promise: self._end(promise, task, outcome))

    def _end(self, promise: Any, task: Task, outcome: "Future[RunResult]") -> None:
        with self.lock:
            given = self.given.get(id(outcome))
            if given is None or given.promise is not promise:
                return  # taken back, or given up
            del self.given[id(outcome)]
        try:
            result = promise.result()
        except distributed.KilledWorker:
            outcome.set_exception(
                WorkerError(
                    "every worker that tried it was killed, perhaps for want of memory; give workers more of it"
                )
            )
        except (BilateralError, OSError, RuntimeError) as error:
            outcome.set_exception(error)
        except Exception as error:  # of the worker, before it came to the run
            if promise.status == "cancelled":
                with self.lock:
                    self.given[id(outcome)] = given
                self._lose(f"the scheduler at {self.where} has gone, or was restarted")
            else:
                self._refuse(self._ask(task))
                self._give_again(task, outcome, error)
        else:
            if isinstance(result, Refusal):
                self._refuse({result.worker: result.reason})
                self._give_again(task, outcome, WorkerError(_sentence(result.worker, result.reason)))
            else:
                outcome.set_result(result)

    def _give_again(self, task: Task, outcome: "Future[RunResult]", error: Exception) -> None:
        """Give a task to another worker, if any is refused; else its error stands."""
        try:
            if self.refused:
                self._give(task, outcome)
            else:
                outcome.set_exception(error)
        except Exception as failure:  # the scheduler has gone meanwhile
            outcome.set_exception(ExecutorLostError(f"the scheduler at {self.where} has gone: {failure}"))

    def _refuse(self, reasons: Mapping[str, str]) -> None:
        for worker, reason in reasons.items():
            if worker not in self.refused:
                log.warning("%s; it is not used", _sentence(worker, reason))
        self.refused |= reasons

    def _ask(self, task: Task) -> dict[str, str]:
        """Ask all workers, at the same time, whether they could do a task; give by address why they could not."""
        addresses = [each for each, worker in self._workers().items() if self._has_resources(worker)]
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
        self._warn_of_versions({each: found for each, found in answers.items() if isinstance(found, Answer)})
        return {address: reason for address, reason in reasons.items() if reason is not None}

    def _warn_of_versions(self, answers: Mapping[str, Answer]) -> None:
        for worker, found in answers.items():
            if found.torch != torch.__version__:
                log.warning(
                    "the worker at %s has torch %s, and this machine %s: results may differ in their last bits",
                    worker,
                    found.torch,
                    torch.__version__,
                )
                return

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
            able = [address for address, worker in workers.items() if self._is_able(address, worker)]
            if able:
                last_seen = time.monotonic()
                self._free(workers)
            elif self.given and not self.queued and time.monotonic() - last_seen > ANOTHER_WORKER_S:
                self._lose(f"no worker has been at {self.where} for {_minutes(ANOTHER_WORKER_S)}")
                return

    def _free(self, there: Collection[str]) -> None:
        """Give a task anew whose workers have all gone."""
        with self.lock:
            for given in list(self.given.values()):
                if given.workers is not None and not set(given.workers) & set(there):
                    del self.given[id(given.outcome)]
                    given.promise.release()
                    self._give(given.task, given.outcome)

    def _lose(self, reason: str) -> None:
        text = f"{reason}; what is finished stays: give the same command again when the cluster is there"
        with self.lock:
            self.lost = self.lost or ExecutorLostError(text)
            left = list(self.given.values())
            self.given.clear()
        for given in left:
            given.outcome.set_exception(self.lost)

    def _workers(self) -> dict[str, Any]:
        """The workers that are there, by address."""
        return dict(self._on_scheduler(self.client.scheduler.identity, n_workers=-1)["workers"])

    def _on_scheduler(self, function: Any, *arguments: Any, **options: Any) -> Any:
        return self.client.sync(function, *arguments, **options, callback_timeout=SILENCE_S)

    def _has_resources(self, worker: Mapping[str, Any]) -> bool:
        return all(worker["resources"].get(name, 0) >= number for name, number in self.resources.items())

    def _is_able(self, address: str, worker: Mapping[str, Any]) -> bool:
        return address not in self.refused and self._has_resources(worker)


def _reason(found: Any) -> str | None:
    """Why a worker could not do a task, by its answer or by the exception in place of one."""
    if isinstance(found, Answer):
        return found.reason
    if found is None:
        return f"has not answered for {_minutes(ANSWER_S)}"
    if isinstance(found, OSError):  # it has gone meanwhile
        return None
    return f"cannot import this version of bilateral ({' '.join(str(found).split())}); install it, and start it again"


def _sentence(worker: str, reason: str) -> str:
    return f"the worker at {worker} {reason}"


def _minutes(seconds: float) -> str:
    return f"{seconds / 60:.0f} minutes" if seconds >= 120 else f"{seconds:.0f} s"
