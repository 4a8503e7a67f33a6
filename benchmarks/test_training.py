"""Steps of training, and the tables that frozen features are kept in."""

from pathlib import Path

import pytest
import torch

from bilateral.benchmark.subject import training_job
from bilateral.training.device import keep_freed_memory
from bilateral.training.inputs import LiveImages
from bilateral.training.kept_tensors import KeptTensors
from bilateral.training.objective import losses
from bilateral.training.optimisation import Optimisation

ROWS, FEATURES = 20_000, 512


def test_training_step(benchmark, waited, config, batch, device, tmp_path):
    keep_freed_memory()
    job = training_job(config, len(batch), tmp_path)
    network = job.network.to(device, memory_format=torch.channels_last)
    optimisation = Optimisation(network, job.config, steps_per_epoch=1)
    inputs = LiveImages(network, batch, batch, job.description.normalise, job.config, job.seed)
    indices = torch.arange(len(batch), device=device)
    labels = {"fine": batch.fine, "coarse": batch.coarse}

    def step() -> None:
        loss_by_level = losses(inputs.training_output(indices, 0), labels, job.config.label_smoothing)
        torch.stack(list(loss_by_level.values())).sum().backward()
        optimisation.step(0)

    benchmark.pedantic(waited(step), rounds=10, warmup_rounds=2)


@pytest.mark.parametrize("where", ["memory", "file"])
def test_kept_rows(benchmark, waited, device, tmp_path, where):
    table = _filled(device, tmp_path, where)
    indices = torch.randperm(ROWS, device=device)[:256]
    benchmark(waited(table.rows), indices)


@pytest.mark.parametrize("where", ["memory", "file"])
def test_keep_rows(benchmark, waited, device, tmp_path, where):
    benchmark.pedantic(waited(_filled), (device, tmp_path, where), rounds=3)


def _filled(device: torch.device, folder: Path, where: str) -> KeptTensors:
    table = KeptTensors(ROWS, 1e9 if where == "memory" else 0, folder)
    for rows in torch.ones(ROWS, FEATURES, dtype=torch.bfloat16, device=device).split(500):
        table.append({"left": rows, "right": rows})
    return table
