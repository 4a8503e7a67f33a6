from pathlib import Path

import pytest
import torch

from bilateral.base.errors import TrainingDivergedError
from bilateral.runs import workers
from bilateral.runs.config import Config, check_config
from bilateral.runs.plan import Run
from bilateral.runs.runner import Runner
from bilateral.runs.system import plan_system
from bilateral.runs.workers import run_all

SMALL = {"left": {"width": 0.0625}, "right": {"width": 0.0625}}


def config(folder: Path, **training: object) -> Config:
    settings = {"epochs": 1, "batch_size": 32, "precision": "float32", "device": "cpu", "lr": 0.02} | training
    return check_config({"save_dir": str(folder), "model": SMALL, "training": settings, "evaluate": False}, "test")


def test_what_goes_wrong_in_a_worker_is_told_here_and_ends_the_others(tiny, tmp_path):
    bad, good = config(tmp_path, lr=1e20, warmup_epochs=0), config(tmp_path, epochs=100_000)
    with pytest.raises(TrainingDivergedError, match=r"training\.lr"):
        run_all(Runner(tiny), [Run(bad, 0), Run(good, 0)], workers=2)


def test_by_default_as_many_at_once_as_wait_for_no_other_and_there_are_threads_for(tiny, tmp_path, monkeypatch):
    runs = [run for seed in (0, 1) for run in plan_system(config(tmp_path), seed).values()]
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
