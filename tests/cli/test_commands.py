"""The commands on real files, one after another, as a user would go."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from bilateral import load
from bilateral.cli.main import app
from bilateral.cli.terminal import suggest
from conftest import TINY_DATA

pytestmark = pytest.mark.slow

NETWORK = ["model.left.width=0.0625", "model.right.width=0.0625", "training.epochs=2", "training.batch_size=64"]
Command = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def trained(bilateral: Command, tmp_path: Path) -> Path:
    result = bilateral("train", *TINY_DATA, *NETWORK, "name=mine")
    assert result.returncode == 0, result.stderr
    assert "test_acc_rollup" in result.stdout
    return next(tmp_path.glob("runs/mine-*/*-seed0-*"))


def test_train_evaluate_predict_info(bilateral, trained, tmp_path):
    evaluated = bilateral("evaluate", str(trained), "--json", "--features", "out.npz")
    assert evaluated.returncode == 0, evaluated.stderr
    metrics = json.loads(evaluated.stdout)
    stored = (trained / "result.yaml").read_text()
    assert f"test_acc_fine: {metrics['test_acc_fine']}" in stored
    arrays = np.load(tmp_path / "out.npz")
    assert arrays["features_left"].shape == (metrics["images"], 32)
    right = (arrays["logits_fine"].argmax(1) == arrays["labels_fine"]).mean()
    assert right == pytest.approx(metrics["test_acc_fine"])

    pixels = np.random.default_rng(0).integers(0, 256, (40, 60, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    Image.fromarray(pixels[:32, :32]).save(tmp_path / "b.png")
    predicted = bilateral("predict", str(trained), "a.png", "b.png", "--json", "--top", "2")
    assert predicted.returncode == 0, predicted.stderr
    answers = json.loads(predicted.stdout)
    assert [answer["image"] for answer in answers] == ["a.png", "b.png"]
    from bilateral.training import checkpoint

    description = checkpoint.read(trained).description
    image = torch.from_numpy(pixels[:32, :32].transpose(2, 0, 1).copy())[None]
    probabilities = load(trained)(description.normalise(image)).fine.softmax(1)[0]
    best = answers[1]["fine"][0]
    assert best["id"] == probabilities.argmax() and best["label"] == description.hierarchy.fine_names[best["id"]]
    assert best["probability"] == pytest.approx(probabilities.max().item(), abs=1e-4)
    assert len(answers[0]["coarse"]) == 2
    assert best["label"] in bilateral("predict", str(trained), "b.png").stdout

    described = bilateral("info", str(trained))
    assert "resnet9" in described.stdout and "parameters" in described.stdout
    broken = bilateral("predict", str(trained), "a.png", str(trained / "run.yaml"))
    assert broken.returncode == 2 and "run.yaml" in broken.stderr


def test_a_training_prints_percent_and_what_comes_next_and_json_shares(bilateral, tmp_path):
    arguments = ["train", *TINY_DATA, *NETWORK, "name=mine", "--seeds", "1"]
    done, found = bilateral(*arguments), bilateral(*arguments, "--json")
    assert done.returncode == 0, done.stderr
    (run,) = json.loads(found.stdout)
    assert f"test_acc_fine        {100 * run['test_acc_fine']:.2f} %" in done.stdout and "test_acc " not in done.stdout
    assert f"tensorboard --logdir {Path(run['folder']).parent}\n" in done.stdout
    for order in (["--json", "a.png", "b.png"], ["a.png", "b.png", "--json"]):
        for name in ("a.png", "b.png"):
            Image.new("RGB", (40, 40), "red").save(tmp_path / name)
        told = bilateral("predict", str(Path(run["folder"]).parent), *order)
        assert [answer["image"] for answer in json.loads(told.stdout)] == ["a.png", "b.png"]


def test_system_with_two_seeds_prints_the_table(bilateral, tmp_path):
    arguments = ["system", *TINY_DATA, *NETWORK, "--seeds", "2"]
    result = bilateral(*arguments)
    assert result.returncode == 0, result.stderr
    for text in ("left alone", "right alone", "bilateral", "roll-up", "±"):
        assert text in result.stdout
    folder = tmp_path / "runs" / "quickstart-system"
    table = json.loads((folder / "table.json").read_text())
    assert [row["title"] for row in table["rows"]] == ["left alone", "right alone", "bilateral"]
    assert table["rows"][2]["coarse_pct_n"] == 2
    for group in ("unilateral-resnet9-fine", "unilateral-resnet9-coarse", "bilateral-resnet9-resnet9-both"):
        assert "n: 2" in (tmp_path / "runs" / f"quickstart-{group}" / "result_all.yaml").read_text()
    assert "verdict" not in result.stdout and "verdict" not in (folder / "table.md").read_text()
    next_one = re.search(
        r"Next:\n  bilateral explore (runs/\S+)\n  bilateral predict \1 IMAGE\n"
        r"  bilateral report runs/quickstart-system\n"
        r"  tensorboard --logdir runs\n",
        result.stdout,
    )
    assert next_one and (tmp_path / next_one[1] / "run.yaml").is_file()
    group = Path("runs/quickstart-bilateral-resnet9-resnet9-both")
    several = bilateral("predict", str(group), "a.png")
    assert f"{group} has 2 runs; the newest is taken, {group}/" in several.stderr and several.returncode == 2
    again = bilateral(*arguments, "--json")
    assert json.loads(again.stdout)["rows"] == table["rows"]
    assert "finished before, reused" in again.stderr


def test_hemispheres_can_be_trained_first_and_joined_later(bilateral, tmp_path):
    first = bilateral("system", *TINY_DATA, *NETWORK, "--no-join")
    assert first.returncode == 0 and "bilateral" not in first.stdout.replace("left alone", "")
    left, right = (
        next(tmp_path.glob(f"runs/quickstart-unilateral-resnet9-{level}/*-seed0-*")) for level in ("fine", "coarse")
    )
    given = [f"model.left.checkpoint={left}", f"model.right.checkpoint={right}"]
    joined = bilateral("system", *TINY_DATA, *NETWORK, *given, "--json")
    assert joined.returncode == 0, joined.stderr
    rows = json.loads(joined.stdout)["rows"]
    assert [row["title"] for row in rows] == ["left alone", "right alone", "bilateral"]
    assert len(list(tmp_path.glob("runs/quickstart-unilateral-*/*-seed*"))) == 2


def test_a_run_by_two_processes_at_once_is_refused(bilateral, tmp_path):
    import filelock

    from bilateral.runs.config import read_config

    arguments = ["train", *TINY_DATA, *NETWORK]
    bilateral(*arguments)
    run = next(tmp_path.glob("runs/*/*-seed0-*"))
    (run / "run.yaml").unlink()
    identity = run.name.rpartition("-")[2]
    with filelock.FileLock(run.parent / f".{identity}.lock"):
        result = bilateral(*arguments)
    assert result.returncode == 2 and "another process" in result.stderr
    assert read_config(run / "config.yaml").seeds == [0]
    assert bilateral(*arguments).returncode == 0


def test_divergence_ends_with_exit_code_1(bilateral):
    result = bilateral("train", *TINY_DATA, *NETWORK, "training.lr=1e20", "training.warmup_epochs=0")
    assert result.returncode == 1
    assert "the loss is" in result.stderr and "Traceback" not in result.stderr


def test_a_full_disk_is_told_and_the_same_command_goes_on_later(bilateral, tmp_path):
    resource = pytest.importorskip("resource")
    arguments = ["train", *TINY_DATA, *NETWORK]

    def limit_file_size() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000))

    command = [sys.executable, "-m", "bilateral", *arguments]
    result = subprocess.run(
        command, cwd=tmp_path, capture_output=True, text=True, preexec_fn=limit_file_size, check=False
    )
    assert result.returncode == 2, result.stderr
    assert "cannot write" in result.stderr and "best.safetensors" in result.stderr and "Traceback" not in result.stderr
    assert not list(tmp_path.rglob("*.partial")) and not list(tmp_path.rglob("*.safetensors"))
    again = bilateral(*arguments)
    assert again.returncode == 0, again.stderr
    assert len(list(tmp_path.glob("runs/*/*-seed0-*"))) == 1


def test_own_backbone_and_own_data_without_touching_the_package(bilateral, tmp_path):
    (tmp_path / "mine.py").write_text(
        """
import torch
from bilateral.data.hierarchy import LabelHierarchy
from bilateral.data.images import HierarchicalDataset, HierarchicalImages
from bilateral.models.backbones.base import Backbone

class Flat(Backbone):
    stages = ("layer",)

    def __init__(self, config):
        super().__init__()
        self.num_features = round(8 * config.width)
        self.layer = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(3 * 8 * 8, self.num_features))

def load(config):
    fine = torch.arange(4).repeat(8)
    images = HierarchicalImages((fine * 60).byte().view(-1, 1, 1, 1).expand(-1, 3, 8, 8).clone(), fine, fine // 2)
    names = LabelHierarchy(tuple("abcd"), tuple("xy"), (0, 0, 1, 1))
    return HierarchicalDataset("mine", names, images, images, (0.4,) * 3, (0.3,) * 3)
"""
    )
    own = ["data.name=mine:load", "model.left.arch=mine:Flat", "model.right.arch=mine:Flat", "model.right.width=2"]
    result = bilateral("system", *own, "training.epochs=3", "training.batch_size=8", "model.left.width=1")
    assert result.returncode == 0, result.stderr
    assert "\n  bilateral report runs/quickstart-system --own mine:Flat --own mine:load\n" in result.stdout
    run = next(tmp_path.glob("runs/quickstart-bilateral-*/*-seed0-*"))
    refused = bilateral("evaluate", str(run))
    assert refused.returncode == 2 and "--own mine:Flat --own mine:load" in refused.stderr
    trusted = bilateral("evaluate", str(run), "--own", "mine:Flat", "--own-backbone", "mine:load", "--json")
    assert trusted.returncode == 0, trusted.stderr
    assert json.loads(trusted.stdout)["data"] == "mine"


def test_evaluate_takes_other_data_but_no_other_network(bilateral, trained):
    other = bilateral("evaluate", str(trained), "data.shapes.seed=5", "--json")
    assert other.returncode == 0, other.stderr
    refused = bilateral("evaluate", str(trained), "model.left.width=3")
    assert refused.returncode == 2 and "evaluate takes data.KEY=VALUE" in refused.stderr


@pytest.mark.manual
def test_evaluate_takes_lesions(bilateral, trained):
    cut = bilateral("evaluate", str(trained), "model.lesions.silence.at=left", "--json", "--features", "cut.npz")
    assert cut.returncode == 0, cut.stderr
    arrays = np.load(trained.parents[2] / "cut.npz")
    assert not arrays["features_left"].any() and arrays["features_right"].any()
    refused = bilateral("evaluate", str(trained), "model.lesions.silence.at=middle")
    assert refused.returncode == 2 and "model.lesions.silence.at: there is no 'middle' to lesion" in refused.stderr


@pytest.mark.manual
def test_predict_takes_folders(bilateral, trained, tmp_path):
    (tmp_path / "pictures" / "below").mkdir(parents=True)
    for name in ("b.png", "below/c.png", os.fsdecode(b"a\xff.png")):
        Image.new("RGB", (32, 32)).save(tmp_path / "pictures" / name)
    (tmp_path / "empty").mkdir()
    predicted = bilateral("predict", str(trained), "pictures", "pictures/b.png", "--json")
    assert predicted.returncode == 0, predicted.stderr
    names = [answer["image"] for answer in json.loads(predicted.stdout)]
    assert names == [os.fsdecode(b"pictures/a\xff.png"), "pictures/b.png", "pictures/below/c.png", "pictures/b.png"]
    nothing = bilateral("predict", str(trained), "empty")
    assert nothing.returncode == 2 and "empty: there is no image in this folder" in nothing.stderr


def test_weights_of_the_sides_are_written_and_shown(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    do = partial(app, exit_on_error=False, result_action="return_none")
    do(["train", *TINY_DATA, *NETWORK, "model.join={kind: gate, right: 0.2}", "training.epochs=1", "name=gated"])
    (run,) = tmp_path.glob("runs/gated-*/*-seed0-*")
    do(["evaluate", str(run), "--features", "out.npz"])
    arrays = np.load("out.npz")
    assert np.allclose(arrays["weights_left"] + arrays["weights_right"], 1) and len(arrays["weights_left"]) == 80
    Image.new("RGB", (32, 32), "red").save("a.png")
    capsys.readouterr()
    do(["predict", str(run), "a.png", "--json"])
    weights = json.loads(capsys.readouterr().out)[0]["weights"]
    do(["predict", str(run), "a.png"])
    assert f"  weights left {100 * weights['left']:.1f}%  right " in capsys.readouterr().out


def test_lesions_that_act_are_told(tmp_path, monkeypatch, capsys, caplog):
    monkeypatch.chdir(tmp_path)
    do = partial(app, exit_on_error=False, result_action="return_none")
    do(["train", *TINY_DATA, *NETWORK, "model.lesions.silence.at=right", "training.epochs=1", "name=cut"])
    (run,) = tmp_path.glob("runs/cut-*/*-seed0-*")
    capsys.readouterr()
    do(["evaluate", str(run)])
    told = capsys.readouterr().out
    assert told.startswith("with lesions: silence at right\n")
    do(["evaluate", str(run), "model.lesions.deaf={kind: silence, at: left}"])
    assert capsys.readouterr().out.startswith("with lesions: deaf at left\n")
    do(["evaluate", str(run), "--json"])
    assert json.loads(capsys.readouterr().out)["lesions"] == {"silence": "right"}
    Image.new("RGB", (32, 32), "red").save("a.png")
    with caplog.at_level("INFO"):
        do(["predict", str(run), "a.png"])
    assert "with lesions: silence at right" in caplog.text


def test_what_comes_next_can_be_pasted_where_no_environment_is_active(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "my env/bin").mkdir(parents=True)
    (tmp_path / "my env/bin/bilateral").touch(0o755)
    monkeypatch.setattr("sys.argv", ["my env/bin/bilateral", "system"])
    monkeypatch.setenv("PATH", str(tmp_path / "my env/bin"))
    suggest("bilateral explore runs/x")
    monkeypatch.setenv("PATH", "/nowhere")
    suggest("bilateral explore runs/x", "tensorboard --logdir runs")
    active, by_path = capsys.readouterr().out.split("Next:\n")[1:]
    assert active == "  bilateral explore runs/x\n"
    assert by_path == "  'my env/bin/bilateral' explore runs/x\n  tensorboard --logdir runs\n"
