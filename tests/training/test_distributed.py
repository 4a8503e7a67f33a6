"""Two processes that torchrun starts, against one: the same network, the same metrics, one writer."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from bilateral.training import distributed

pytestmark = pytest.mark.slow

SETTINGS = [
    *("data.shapes.train_per_class=6", "data.shapes.test_per_class=2", "model.dropout=0"),
    *("model.left.width=0.0625", "model.right.width=0.0625", "training.epochs=2", "training.batch_size=51"),
    *("training.precision=float32", "training.optimizer=sgd", "training.lr=0.02", "workers=2"),
]


def run(folder: Path, processes: int, *settings: str) -> tuple[Path, subprocess.CompletedProcess[str]]:
    start = [sys.executable] if processes == 1 else [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    start += [] if processes == 1 else [f"--nproc-per-node={processes}"]
    folder.mkdir()
    command = [*start, "-m", "bilateral", "train", *SETTINGS, *settings]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=240, check=False)
    return folder, done


@pytest.mark.parametrize(
    "settings",
    [
        ["training.accumulate_batches=2"],
        ["model.left.freeze=untrained"],
        ["model.left.freeze=untrained", "model.right.freeze=untrained", "training.feature_views=2"],
    ],
)
def test_two_processes_train_as_one(tmp_path, settings):
    found = []
    for processes in (1, 2):
        folder, done = run(tmp_path / str(processes), processes, *settings)
        assert done.returncode == 0, done.stderr
        assert done.stdout.count("test_acc_fine") == 1
        (record,) = folder.rglob("run.yaml")
        lines = [json.loads(line) for line in (record.parent / "metrics.jsonl").read_text().splitlines()]
        found.append(lines)
        assert f"processes: {processes}" in record.read_text()
    alone, shared = found
    assert [line["epoch"] for line in shared] == [1, 2]
    for one, two in zip(alone, shared):
        for name, value in one.items():
            # Rounding grows from step to step, and of 240 images one more or less may be right.
            assert two[name] == pytest.approx(value, abs=0.02 if "acc" in name else 2e-3), name


GRADIENTS = """
import sys, torch
from torch import nn
from bilateral.training import distributed

class Step(nn.Module):
    def __init__(self, network):
        super().__init__()
        self.network = network

    def forward(self, images):
        return self.network(images)

torch.manual_seed(0)
layers = nn.Conv2d(3, 5, 3), nn.BatchNorm2d(5), nn.ReLU(), nn.Conv2d(5, 4, 3), nn.BatchNorm2d(4)
network = nn.Sequential(*layers).double()
images, labels = torch.randn(7, 3, 9, 9).double() + 3, torch.arange(7) % 4
with distributed.process_group():
    distributed.synchronise_batch_norm(network)
    own = distributed.own_share(torch.arange(7))
    step = distributed.parallel(Step(network))
    output = step(images[own]).mean((2, 3))
    loss = nn.functional.cross_entropy(output, labels[own]) * distributed.loss_factor(len(own), 7)
    loss.backward()
    if distributed.is_first():
        gradients = {f"grad {name}": value.grad for name, value in network.named_parameters()}
        torch.save(gradients | network.state_dict(), sys.argv[1])
"""


def test_gradients_and_batch_norm_are_those_of_the_whole_batch_to_the_last_digits(tmp_path):
    (tmp_path / "gradients.py").write_text(GRADIENTS)
    for name, start in (("one", []), ("two", ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"])):
        command = [sys.executable, *start, str(tmp_path / "gradients.py"), str(tmp_path / name)]
        subprocess.run(command, check=True, timeout=120, capture_output=True)
    one, two = torch.load(tmp_path / "one"), torch.load(tmp_path / "two")
    assert one.keys() == two.keys() and len(one) == 8 + 14
    for name, value in one.items():
        assert torch.allclose(value, two[name], rtol=1e-9, atol=1e-12), name


def test_a_run_that_torchrun_did_not_start_is_one_process():
    with distributed.process_group():
        assert (distributed.world_size(), distributed.rank(), distributed.is_first()) == (1, 0, True)
        indices = torch.arange(5)
        assert distributed.own_share(indices).equal(indices)
        assert distributed.loss_factor(5, 5) == 1
        assert distributed.from_first(lambda: "made") == "made"


FAIL = """
import os, sys
from bilateral.cli.main import main
from bilateral.training import checkpoint

def save(path, *_):
    raise OSError(28, "No space left on device", str(path))

if os.environ["RANK"] == "0":
    checkpoint.save = save
main(sys.argv[1:])
"""


def test_what_the_first_process_alone_fails_in_ends_all(tmp_path):
    (tmp_path / "fail.py").write_text(FAIL)
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", "fail.py"]
    command += ["experiment", str(Path(__file__).parents[2] / "configs/experiment/quick.yaml"), *SETTINGS]
    command += [
        "experiment.rows=[left, right]",
        "experiment.fine_tuning={}",
        "pretraining.left.epochs=1",
        "pretraining.right.epochs=1",
    ]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode != 0 and "No space left on device" in done.stderr
    assert not list(tmp_path.rglob("table.json"))


@pytest.mark.manual
def test_an_error_in_every_process_is_told_and_ends_them(tmp_path):
    _, done = run(tmp_path / "small", 2, "training.batch_size=2", "data.shapes.train_per_class=2")
    _, wrong = run(tmp_path / "wrong", 2, "training.epochs=0")
    assert wrong.returncode != 0 and "training.epochs" in wrong.stderr
    assert done.returncode == 0, done.stderr


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="the processes are found under /proc")
def test_a_process_that_is_killed_ends_the_others_with_a_sentence(tmp_path):
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    command += ["-m", "bilateral", "train", *SETTINGS, "training.epochs=100000"]
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(command, cwd=tmp_path, stdout=log, stderr=log)
    try:
        while not list(tmp_path.rglob("metrics.jsonl")):
            assert process.poll() is None, (tmp_path / "log").read_text()
            time.sleep(0.05)
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        ranks = {rank_of(child): int(child) for child in children}
        process.send_signal(signal.SIGSTOP)  # torchrun ends the other one too, at times before that has said why
        os.kill(ranks["1"], signal.SIGKILL)
        wait_for_end(ranks["0"])
        process.send_signal(signal.SIGCONT)
        assert process.wait(timeout=60) == 1
    finally:
        process.kill()
    told = (tmp_path / "log").read_text()
    assert "bilateral: a process of this training has died" in told and "[rank0]: Traceback" not in told


def wait_for_end(process: int, seconds: float = 60) -> None:
    """Wait until a process has ended, of which its parent may not know yet."""
    end = time.monotonic() + seconds
    while Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z":
        assert time.monotonic() < end, f"process {process} has not ended in {seconds} s"
        time.sleep(0.05)


def rank_of(process: str) -> str | None:
    variables = Path(f"/proc/{process}/environ").read_text().split("\0")
    return next((value.removeprefix("RANK=") for value in variables if value.startswith("RANK=")), None)


@pytest.mark.parametrize("world", [2, 3])
def test_shares_are_disjoint_and_their_weights_make_a_mean(monkeypatch, world):
    indices, parts, factors = torch.arange(10, 17), [], []
    monkeypatch.setattr(distributed, "world_size", lambda: world)
    for rank in range(world):
        monkeypatch.setattr(distributed, "rank", lambda rank=rank: rank)
        parts.append(distributed.own_share(indices))
        factors.append(distributed.loss_factor(len(parts[-1]), len(indices)))
    assert sorted(torch.cat(parts).tolist()) == indices.tolist()
    # Mean over processes of factor times mean of the share: the mean over all.
    mean = sum(factor * part.float().mean() for factor, part in zip(factors, parts)) / world
    assert mean == pytest.approx(indices.float().mean())
