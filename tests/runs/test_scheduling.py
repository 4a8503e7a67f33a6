import errno
import pickle
from concurrent.futures import Future
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from pathlib import Path

import pytest

from bilateral.base.errors import DataError, OutOfMemoryError, TrainingDivergedError
from bilateral.runs.config import Config, check_config
from bilateral.runs.plan import Run
from bilateral.runs.runner import Runner, RunResult
from bilateral.runs.scheduling import (
    Executor,
    ExecutorLostError,
    Failure,
    run_plan,
    sendable,
    told,
    with_parents,
)
from bilateral.runs.workers import local, run_all
from conftest import system_runs

SMALL = {"left": {"width": 0.0625}, "right": {"width": 0.0625}}


def config(folder: Path, **pretraining: object) -> Config:
    training = {"epochs": 1, "batch_size": 32, "precision": "float32", "device": "cpu", "lr": 0.02}
    values = {"save_dir": str(folder), "model": SMALL, "training": training, "pretraining": pretraining}
    return check_config(values, "test")


@pytest.mark.parametrize("workers", [1, 2])
def test_what_fails_and_what_needs_it_is_told_and_all_else_goes_on(tiny, tmp_path, workers):
    diverging = {"lr": 1e20, "warmup_epochs": 0, "optimizer": "sgd", "epochs": 3}
    runner, runs = Runner(tiny), list(system_runs(config(tmp_path, left=diverging), 0).values())
    plan = with_parents(runner, runs)
    done = run_plan(runner, plan, local(runner, runs, workers), keep_going=True)
    left, right, joined = (done[runner.identity(run)] for run in runs)
    assert isinstance(right, RunResult) and right.metrics
    assert isinstance(left, Failure) and "the loss is" in left.reason and left.log is not None
    assert "TrainingDivergedError" in left.log.read_text()
    assert str(left.log) in str(left)
    assert isinstance(joined, Failure) and joined.reason == "left, seed 0, which it needs, failed"


def test_without_keep_going_the_first_failure_is_raised(tiny, tmp_path):
    diverging = {"lr": 1e20, "warmup_epochs": 0, "optimizer": "sgd", "epochs": 3}
    runner, runs = Runner(tiny), list(system_runs(config(tmp_path, left=diverging), 0).values())
    with pytest.raises(TrainingDivergedError):
        run_plan(runner, with_parents(runner, runs), local(runner, runs, 1))


def test_the_time_left_is_told_by_the_work_that_is_done(tiny, tmp_path, caplog, monkeypatch):
    caplog.set_level("INFO")
    runner, runs = Runner(tiny), list(system_runs(config(tmp_path), 0).values())
    plan = with_parents(runner, runs)
    clock = iter(range(0, 6000, 600))
    monkeypatch.setattr("bilateral.runs.scheduling.time.monotonic", lambda: next(clock))

    @contextmanager
    def done(missing):
        def submit(run):
            future = Future()
            future.set_result(RunResult(run, tmp_path, None, {}))
            return future

        yield submit

    run_plan(runner, plan, Executor(done, 1), work=dict(zip(plan, (1, 1, 2))))
    told = [message for message in caplog.messages if "runs done" in message]
    assert [message.partition("; ")[2] for message in told] == ["about 30 min left", "about 20 min left", ""]


def test_parents_come_first_and_once_and_finished_runs_are_not_begun(tiny, tmp_path):
    runner, runs = Runner(tiny), list(system_runs(config(tmp_path), 0).values())
    plan = with_parents(runner, [runs[2], *runs])
    assert list(plan.values()) == runs
    begun: list[str] = []

    @contextmanager
    def executor(missing):
        def submit(run: Run) -> "Future[RunResult]":
            begun.append(run.role)
            future: Future[RunResult] = Future()
            future.set_result(runner.run(run))
            return future

        yield submit

    first = run_plan(runner, plan, Executor(executor))
    assert begun == ["left", "right", "specialised"]
    again = run_plan(Runner(tiny), plan, Executor(executor))
    assert begun == ["left", "right", "specialised"]
    assert {key: each.folder for key, each in first.items()} == {key: each.folder for key, each in again.items()}


def test_with_one_worker_the_first_failure_ends_all_at_once(tiny, tmp_path):
    diverging = {"lr": 1e20, "warmup_epochs": 0, "optimizer": "sgd", "epochs": 3, "batch_size": 32}
    values = {"save_dir": str(tmp_path), "model": SMALL, "training": diverging}
    chosen = check_config(values, "test")
    with pytest.raises(TrainingDivergedError, match="seed0"):
        run_all(Runner(tiny), [Run(chosen, seed) for seed in range(3)], 1)
    assert not list(tmp_path.rglob("*seed1*"))


@pytest.mark.parametrize(("times", "fails"), [(1, False), (2, True)])
def test_a_run_whose_worker_is_killed_is_tried_once_more(tiny, tmp_path, times, fails):
    runner, runs = Runner(tiny), [Run(config(tmp_path), seed) for seed in range(3)]
    plan = with_parents(runner, runs)
    begun: list[int] = []

    @contextmanager
    def execute(missing):
        def submit(run: Run) -> "Future[RunResult]":
            begun.append(run.seed)
            future: Future[RunResult] = Future()
            if run.seed == 1 and begun.count(1) <= times:
                future.set_exception(BrokenProcessPool())
            else:
                future.set_result(runner.run(run))
            return future

        yield submit

    done = list(run_plan(runner, plan, Executor(execute, 2), keep_going=True).items())
    failures = [each for _, each in done if isinstance(each, Failure)]
    assert len(done) == 3 and begun.count(1) == 2
    assert [failure.reason for failure in failures] == [
        "its worker process was killed, perhaps for want of memory"
    ] * fails


def test_whoever_did_the_runs_and_is_lost_ends_all(tiny, tmp_path):
    runner, runs = Runner(tiny), [Run(config(tmp_path), seed) for seed in range(3)]
    begun: list[int] = []

    @contextmanager
    def execute(missing):
        def submit(run: Run) -> "Future[RunResult]":
            begun.append(run.seed)
            future: Future[RunResult] = Future()
            future.set_exception(ExecutorLostError("the cluster has gone"))
            return future

        yield submit

    with pytest.raises(ExecutorLostError):
        run_plan(runner, with_parents(runner, runs), Executor(execute, 1), keep_going=True)
    assert begun == [0]


class Strange(DataError):
    def __init__(self, one: str, two: str) -> None:
        super().__init__(f"{one} and {two}")


@pytest.mark.parametrize(
    ("error", "kind", "text"),
    [
        (DataError("no data"), DataError, "no data"),
        (FileNotFoundError(2, "no file", "x"), FileNotFoundError, "no file"),
        (Strange("one", "two"), DataError, "one and two"),
        (ValueError(lambda: None), RuntimeError, "ValueError"),
        (SystemExit(0), RuntimeError, "SystemExit"),
    ],
)
def test_what_is_raised_elsewhere_survives_the_way(error, kind, text):
    sent = pickle.loads(pickle.dumps(sendable(error)))
    assert type(sent) is kind and text in str(sent)


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        OSError(errno.ENOMEM, "Cannot allocate memory"),
        RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes"),
        RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB"),
    ],
)
def test_the_end_of_memory_is_told_whoever_tells_it(tmp_path, error):
    assert isinstance(told(Run(config(tmp_path), 3), error), OutOfMemoryError)
    other = OSError(errno.ENOSPC, "No space left on device")
    assert told(Run(config(tmp_path), 3), other) is other
