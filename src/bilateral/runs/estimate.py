"""How long what is still to be done will take."""

import time
from collections.abc import Iterable
from pathlib import Path

import torch

from ..base.files import read_json_lines
from ..data.images import HierarchicalDataset
from ..models.build import build_network
from ..training.device import autocast, choose_device, prepare
from ..training.objective import losses
from ..training.run_record import read_record
from .execution import describe
from .plan import Run

STEPS = 4
CPU_BATCH = 64
"""Images in a step that is timed on the CPU, where larger batches are no faster."""


def threads_at_work(folder: Path) -> int:
    """With how many threads of the CPU a finished run was trained; 1 on another device."""
    record = read_record(folder)
    machine = record.machine if record else {}
    threads = machine.get("threads", 1)
    return threads if isinstance(threads, int) and str(machine.get("device", "cpu")).startswith("cpu") else 1


def training_seconds(folder: Path) -> float:
    """How long the training of a run took, by its folder: all epochs, and what was done before the first."""
    epochs = read_json_lines(folder / "timing.jsonl")
    return sum(epoch.get("train_s", 0.0) + epoch.get("preparation_s", 0.0) for epoch in epochs)


def epochs_done(folder: Path | None) -> int:
    """How many epochs a run that is not finished has behind it."""
    return len(read_json_lines(folder / "metrics.jsonl")) if folder else 0


def seconds_per_flop(trained: Iterable[tuple[float, Path]], run: Run, dataset: HierarchicalDataset) -> float:
    """Give the time of one useful FLOP of training on this machine, when all of its threads are at work.

    trained: FLOPs and folder of finished runs; where there are none, a few steps of the (resolved) `run` are timed.
    """
    pairs = list(trained)
    flops = sum(flops for flops, _ in pairs)
    if not flops:
        return _measured(run, dataset)
    on_cpu = choose_device(run.config.training.device).type == "cpu"
    seconds = sum(training_seconds(folder) * threads_at_work(folder) for _, folder in pairs)
    return seconds / flops / (torch.get_num_threads() if on_cpu else 1)


def _measured(run: Run, dataset: HierarchicalDataset) -> float:
    from torch.utils.flop_counter import FlopCounterMode

    config, hierarchy = run.config, dataset.hierarchy
    device = choose_device(config.training.device)
    prepare(device, config.training.precision)
    network = build_network(config.model, hierarchy.fine_count, hierarchy.coarse_count, run.seed)
    network.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    most = min(config.training.batch_size, len(dataset.train))
    size = min(most, CPU_BATCH) if device.type == "cpu" else most
    chosen = dataset.train.select(torch.arange(size)).to(device)
    labels = {"fine": chosen.fine, "coarse": chosen.coarse}
    normalise = describe(config, dataset).normalise

    def step() -> None:
        with autocast(config.training.precision, device):
            output = network(normalise(chosen.images))
        sum(losses(output, labels).values(), torch.zeros((), device=device)).backward()
        if device.type == "cuda":
            torch.cuda.synchronize()

    with FlopCounterMode(display=False) as counter:  # the first step, which is slow, is counted and not timed
        step()
    started = time.perf_counter()
    for _ in range(STEPS):
        step()
    return (time.perf_counter() - started) / STEPS / counter.get_total_flops()
