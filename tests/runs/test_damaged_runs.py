"""Runs whose files somebody changed, cut or deleted."""

import logging
import re
from pathlib import Path

import pytest
import yaml

from bilateral.base.errors import CheckpointError
from bilateral.runs.config import Config, check_config
from bilateral.runs.plan import Run
from bilateral.runs.runner import Runner
from conftest import system_runs

TRAINING = {"epochs": 2, "batch_size": 32, "precision": "float32", "device": "cpu", "lr": 0.02}
SMALL = {"left": {"width": 0.0625}, "right": {"width": 0.0625}}
UNILATERAL = {"mode_hemis": "unilateral", "left": {"width": 0.0625}}


def config(folder: Path, model: dict = SMALL) -> Config:
    return check_config({"save_dir": str(folder), "model": model, "training": TRAINING}, "test")


def flip(path):
    content = bytearray(path.read_bytes())
    content[-5] ^= 4
    path.write_bytes(content)


def cut(path):
    path.write_bytes(path.read_bytes()[:-100])


def edit(path, **metrics):
    record = yaml.safe_load(path.read_text())
    for name, value in metrics.items():
        record["metrics"].pop(name)
        record["metrics"] |= {} if value is None else {name: value}
    path.write_text(yaml.safe_dump(record))


def files(folder):
    kept = (
        "checkpoints/best.safetensors",
        "checkpoints/last.safetensors",
        "metrics.jsonl",
        "result.yaml",
        "predictions.npz",
    )
    return {name: (folder / name).read_bytes() for name in kept}


@pytest.mark.parametrize(
    ("name", "damage", "message"),
    [
        ("checkpoints/best.safetensors", flip, "is not as its run left it"),
        ("checkpoints/best.safetensors", cut, "is not as its run left it"),
        ("checkpoints/best.safetensors", Path.unlink, "is gone"),
        ("predictions.npz", flip, "is not as its run left it"),
        ("predictions.npz", Path.unlink, "is gone"),
        ("run.yaml", cut, "no record of a run|is damaged"),
        ("run.yaml", lambda path: edit(path, test_acc_fine=0.99), "are not those of its predictions"),
        ("run.yaml", lambda path: edit(path, test_acc_fine=None), "are not those of its predictions"),
        ("run.yaml", lambda path: path.write_text("- 1"), "no record of a run"),
        ("run.yaml", lambda path: path.write_text("a: ["), "is damaged"),
    ],
)
def test_a_finished_run_that_is_damaged_is_made_again(tiny, tmp_path, caplog, name, damage, message):
    caplog.set_level(logging.WARNING)
    first = Runner(tiny).run(Run(config(tmp_path), 0))
    made = files(first.folder)
    damage(first.folder / name)
    again = Runner(tiny).run(Run(config(tmp_path), 0))
    assert again.folder == first.folder and again.metrics == first.metrics
    assert files(first.folder) == made
    assert re.search(message, caplog.text) and "is made again" in caplog.text
    caplog.clear()
    Runner(tiny).run(Run(config(tmp_path), 0))
    assert not caplog.text


def test_a_damaged_hemisphere_is_made_again_before_it_is_joined(tiny, tmp_path, caplog):
    system = system_runs(config(tmp_path), 0)
    left = Runner(tiny).run(system["left"])
    whole = left.checkpoint.read_bytes()
    flip(left.checkpoint)
    Runner(tiny).run(system["specialised"])
    assert left.checkpoint.read_bytes() == whole and "is not as its run left it" in caplog.text


def test_a_damaged_checkpoint_of_another_run_is_refused(tiny, tmp_path):
    left = Runner(tiny).run(Run(config(tmp_path, UNILATERAL), 0))
    flip(left.checkpoint)
    model = UNILATERAL | {"checkpoint": str(left.folder)}
    with pytest.raises(
        CheckpointError, match=r"best.safetensors is not as its run left it .*; the command that made the run"
    ):
        Runner(tiny).run(Run(config(tmp_path, model), 1))


def test_a_run_of_an_older_version_has_no_digests_and_is_reused(tiny, tmp_path, caplog):
    first = Runner(tiny).run(Run(config(tmp_path), 0))
    record = yaml.safe_load((first.folder / "run.yaml").read_text())
    for key in ("digests", "code"):
        del record[key]
    (first.folder / "run.yaml").write_text(yaml.safe_dump(record))
    stamp = first.checkpoint.stat().st_mtime_ns
    assert Runner(tiny).run(Run(config(tmp_path), 0)).checkpoint.stat().st_mtime_ns == stamp
    cut(first.checkpoint)
    Runner(tiny).run(Run(config(tmp_path), 0))
    assert first.checkpoint.stat().st_mtime_ns != stamp and "is made again" in caplog.text


@pytest.mark.parametrize(("name", "damage"), [("last", cut), ("last", flip), ("best", flip), ("best", Path.unlink)])
def test_an_unfinished_run_whose_checkpoints_are_damaged_starts_anew(tiny, tmp_path, caplog, name, damage):
    first = Runner(tiny).run(Run(config(tmp_path), 0))
    made = files(first.folder)
    for file in ("run.yaml", "predictions.npz", "result.yaml"):
        (first.folder / file).unlink()
    damage(first.folder / "checkpoints" / f"{name}.safetensors")
    again = Runner(tiny).run(Run(config(tmp_path), 0))
    assert again.folder == first.folder and files(first.folder) == made
    assert "its training starts anew" in caplog.text
