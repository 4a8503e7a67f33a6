import os
import time
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch

from bilateral.base.errors import ConfigError, DataError, OutOfMemoryError, TrainingDivergedError
from bilateral.data.images import HierarchicalDataset
from bilateral.runs import workers
from bilateral.runs.config import Config, check_config
from bilateral.runs.plan import Run
from bilateral.runs.runner import Runner
from bilateral.runs.scheduling import ExecutorLostError, run_plan, with_parents
from bilateral.runs.workers import local, run_all
from conftest import system_runs

pytestmark = pytest.mark.slow

SMALL = {"left": {"width": 0.0625}, "right": {"width": 0.0625}}


def config(folder: Path, **training: object) -> Config:
    settings = {"epochs": 1, "batch_size": 32, "precision": "float32", "device": "cpu", "lr": 0.02} | training
    return check_config({"save_dir": str(folder), "model": SMALL, "training": settings, "evaluate": False}, "test")


def test_what_goes_wrong_in_a_worker_is_told_here_and_ends_the_others(tiny, tmp_path):
    bad, good = config(tmp_path, lr=1e20, warmup_epochs=0), config(tmp_path, epochs=100_000)
    with pytest.raises(TrainingDivergedError, match=r"training\.lr"):
        run_all(Runner(tiny), [Run(bad, 0), Run(good, 0)], workers=2)


def test_by_default_as_many_at_once_as_wait_for_no_other_and_there_are_threads_for(tiny, tmp_path, monkeypatch):
    runs = [run for seed in (0, 1) for run in system_runs(config(tmp_path), seed).values()]
    for threads, expected in ((1, 1), (2, 2), (3, 3), (16, 4)):
        monkeypatch.setattr(torch, "get_num_threads", lambda threads=threads: threads)
        plan = workers.with_parents(Runner(tiny), runs).values()
        assert workers._automatic(plan) == expected


def test_one_run_needs_no_worker(tiny, tmp_path, monkeypatch):
    monkeypatch.setattr(workers, "_worker_processes", None)
    assert len(run_all(Runner(tiny), [Run(config(tmp_path), 0)], workers=8)) == 1


def test_nothing_to_do_is_done_at_once(tiny):
    assert run_all(Runner(tiny), [], workers=2) == []


def test_a_display_that_fails_does_not_hold_up_the_workers(tiny, tmp_path, monkeypatch):
    def fail(*_):
        raise RuntimeError("no terminal")

    monkeypatch.setattr(workers.TerminalProgress, "start", fail)
    assert len(run_all(Runner(tiny), [Run(config(tmp_path), seed) for seed in (0, 1)], workers=2)) == 2


@pytest.mark.parametrize("keep_going", [False, True])
def test_workers_that_hang_at_their_start_are_ended_after_a_while(tiny, tmp_path, monkeypatch, keep_going):
    hang = "import sys, time\nif 'spawn_main' in ' '.join(sys.orig_argv): time.sleep(600)"
    (tmp_path / "sitecustomize.py").write_text(hang)
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}{os.pathsep}{os.environ.get('PYTHONPATH', '')}")
    monkeypatch.setattr(workers, "START_S", 1.0)
    begun = time.monotonic()
    with pytest.raises(ExecutorLostError, match="no worker process was ready within 1 s"):
        do_two(tiny, tmp_path, keep_going)
    assert time.monotonic() - begun < 20


def test_workers_that_die_at_their_start_are_not_started_for_ever(tiny, tmp_path, monkeypatch):
    die = "import os, sys\nif 'spawn_main' in ' '.join(sys.orig_argv): os._exit(3)"
    (tmp_path / "sitecustomize.py").write_text(die)
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}{os.pathsep}{os.environ.get('PYTHONPATH', '')}")
    with pytest.raises(ExecutorLostError, match="worker processes died at their start 2 times"):
        do_two(tiny, tmp_path, keep_going=True)


def test_a_worker_that_cannot_get_ready_says_why(tiny, tmp_path, monkeypatch, capfd):
    @contextmanager
    def nothing(_):
        yield tmp_path / "nothing"

    monkeypatch.setattr(workers, "mapped", nothing)
    with pytest.raises(ExecutorLostError, match="a worker process cannot start: FileNotFoundError"):
        do_two(tiny, tmp_path, keep_going=True)
    assert "Traceback" not in capfd.readouterr().err


OWN = """
import sys, torch
from bilateral.base.errors import ConfigError, DataError
from bilateral.models.backbones import base

class Strange(DataError):
    def __init__(self, one, two):
        super().__init__(f"{one} and {two}")

class Failing(torch.nn.Module):
    def __init__(self, fail):
        super().__init__()
        self.fail, self.layer = fail, torch.nn.Linear(3, 3)

    def forward(self, images):
        if images.device.type != "meta" and self.training:
            self.fail()
        return self.layer(images.float().mean((2, 3)))

class Backbone(base.Backbone):
    stages, num_features = ("only",), 3

    def __init__(self, config):
        super().__init__()
        self.only = Failing(self.fail)

class Huge(Backbone):
    def fail(self):
        torch.empty(2**62, dtype=torch.uint8)

class Full(Backbone):
    def fail(self):
        raise MemoryError

class Leaving(Backbone):
    def fail(self):
        sys.exit(0)

class Odd(Backbone):
    def fail(self):
        raise Strange("one", "two")
"""


@pytest.mark.parametrize("processes", [1, 2])
@pytest.mark.parametrize(
    ("arch", "kind", "told"),
    [
        ("Huge", OutOfMemoryError, "not enough memory for network, seed [01]"),
        ("Full", OutOfMemoryError, "not enough memory for network, seed [01]"),
        ("Leaving", ConfigError, "SystemExit"),
        ("Odd", DataError, "^one and two$"),
    ],
)
def test_whatever_a_run_raises_gets_here(tiny, tmp_path, monkeypatch, processes, arch, kind, told):
    (tmp_path / "own_failing.py").write_text(OWN)
    monkeypatch.syspath_prepend(tmp_path)
    chosen = config(tmp_path)
    left = chosen.model.left.model_copy(update={"arch": f"own_failing:{arch}", "width": 1.0})
    alone = {"mode_hemis": "unilateral", "left": left, "right": None}
    chosen = chosen.model_copy(update={"model": chosen.model.model_copy(update=alone)})
    with pytest.raises(kind, match=told):
        run_all(Runner(tiny), [Run(chosen, seed) for seed in range(2)], processes)


def do_two(dataset: HierarchicalDataset, folder: Path, keep_going: bool) -> None:
    runner, runs = Runner(dataset), [Run(config(folder), seed) for seed in (0, 1)]
    run_plan(runner, with_parents(runner, runs), local(runner, runs, 2), keep_going)
