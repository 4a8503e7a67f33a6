"""A tracker that speaks wandb's interface: a real module of that name, which writes down its calls in a file."""

import json
import os
import subprocess
import sys
from dataclasses import replace

import pytest

from bilateral.base.errors import ConfigError
from bilateral.runs.config import check_config
from bilateral.runs.plan import Run
from bilateral.runs.runner import Runner
from bilateral.training.loop import train
from bilateral.training.records import RunRecords
from bilateral.training.tracker import Tracking, find_tracker
from conftest import TINY_DATA
from training.test_loop import make_job

MODULE = """
import json, os, random, torch

def write(call, **given):
    with open(PATH, "a") as file:
        file.write(json.dumps([call, given]) + "\\n")

def init(project, name, group, config, resume, id):
    print("a greeting")
    random.seed(0); torch.manual_seed(0)
    write("init", project=project, name=name, group=group, config=config, resume=resume, id=id)

def log(values, step):
    if os.environ.get("FAILS"):
        raise RuntimeError("no connection")
    write("log", step=step, values=values)

def finish():
    write("finish")
"""


@pytest.fixture(params=["wandb", "trackio"])
def tracker(request, tmp_path, monkeypatch):
    """Such a module with the arguments that the real one takes: its name, and a function that reads its calls."""
    name, calls = request.param, tmp_path / "calls.jsonl"
    text = MODULE.replace("PATH", repr(str(calls)))
    (tmp_path / f"{name}.py").write_text(text if name == "wandb" else text.replace(", id=id", "").replace(", id)", ")"))
    monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=os.pathsep)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, name, raising=False)
    yield name, lambda: [json.loads(line) for line in calls.read_text().splitlines()]
    sys.modules.pop(name, None)


def test_it_is_told_the_run_and_every_epoch_and_changes_no_result(tracker, tiny, tmp_path):
    name, calls = tracker
    folder = tmp_path / "group" / "run"
    train(replace(make_job(tiny, folder), tracking=Tracking(name, "mine", {"seed": 1})))
    train(replace(make_job(tiny, tmp_path / "plain"), tracking=Tracking("none")))
    for file in ("metrics.jsonl", "checkpoints/last.safetensors"):
        assert (folder / file).read_bytes() == (tmp_path / "plain" / file).read_bytes()
    assert not (folder / "tensorboard").exists() and not (tmp_path / "plain" / "tensorboard").exists()
    (first, given), *logs, last = calls()
    assert first == "init" and (given["project"], given["group"], given["name"]) == ("mine", "group", "run")
    assert given["config"] == {"seed": 1} and last == ["finish", {}]
    metrics = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    assert [call["step"] for _, call in logs] == [each.pop("epoch") for each in metrics] == [1, 2, 3]
    for (_, call), each in zip(logs, metrics, strict=True):
        assert call["values"].items() >= each.items() and call["values"]["train_s"] > 0


def test_a_resumed_training_goes_on_in_the_same_run(tracker, tmp_path):
    name, calls = tracker
    for done in (0, 1):
        records = RunRecords(tmp_path / "group" / "run", done, done * 10, Tracking(name))
        records.epoch(done + 1, 10, {"val_acc": 0.1}, {})
        records.tracker.close()
    (_, first), (_, again) = [call for call in calls() if call[0] == "init"]
    assert first == again and first["resume"] == "allow" and first["name"] == "run"
    assert first.get("id") == ("run" if name == "wandb" else None)


def test_one_that_fails_is_left_with_a_warning(tracker, tmp_path, monkeypatch, caplog):
    name, calls = tracker
    monkeypatch.setenv("FAILS", "1")
    records = RunRecords(tmp_path / "run", 0, 0, Tracking(name))
    for epoch in (1, 2):
        records.epoch(epoch, epoch * 10, {"val_acc": 0.1}, {})
    records.tracker.close()
    assert [call for call, _ in calls()] == ["init"] and len(
        (tmp_path / "run/metrics.jsonl").read_text().splitlines()
    ) == 2
    assert caplog.messages == [f"tracker: {name} failed, and the training goes on without it: no connection"]


def test_one_that_does_not_start_is_an_error(tracker, tmp_path):
    with pytest.raises(ConfigError, match=rf"tracker: {tracker[0]} does not start: .*; tracker=none trains without it"):
        RunRecords(tmp_path / "run", 0, 0, Tracking(tracker[0], settings={"x": object()}))


@pytest.mark.parametrize("name", ["wandb", "trackio"])
def test_one_that_is_missing_is_named_with_its_extra_before_anything_is_trained(name, tiny, tmp_path, monkeypatch):
    (tmp_path / name).mkdir()  # as wandb leaves its logs
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, name, raising=False)
    config = check_config({"tracker": name, "save_dir": str(tmp_path / "runs")}, "test")
    with pytest.raises(ConfigError, match=rf'tracker: cannot import {name} .*; pip install "bilateral\[{name}\]"'):
        Runner(tiny).check([Run(config, 0)])
    sys.modules.pop(name, None)
    assert not (tmp_path / "runs").exists()


def test_it_does_not_make_another_run():
    plain, tracked = (Run(check_config({"tracker": name}, "test"), 0) for name in ("tensorboard", "none"))
    assert plain.identity("data") == tracked.identity("data")
    assert find_tracker("tensorboard") is find_tracker("none") is None


@pytest.mark.slow
@pytest.mark.parametrize("tracker", ["wandb"], indirect=True)
def test_a_command_prints_its_table_alone(tracker, tmp_path):
    name, calls = tracker
    settings = ["model.left.width=0.0625", "model.mode_hemis=unilateral", "training.epochs=1", "workers=1"]
    command = [sys.executable, "-m", "bilateral", "train", *TINY_DATA, *settings, f"tracker={name}"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stderr
    assert "a greeting" in done.stderr and "a greeting" not in done.stdout
    (_, given), *_ = calls()
    assert given["config"]["seed"] == 0 and given["config"]["training"]["epochs"] == 1
    assert given["project"] == "bilateral" and [call for call, _ in calls()] == ["init", "log", "finish"]
