"""How long what is still to be done will take."""

import json
import time
from collections.abc import Iterable
from pathlib import Path

import torch

from ..data.images import HierarchicalDataset
from ..models.build import build_network
from ..training.device import autocast, choose_device, prepare
from ..training.objective import losses
from .execution import describe
from .plan import Run
from .runner import read_record

STEPS = 4
CPU_BATCH = 64
"""Images in a step that is timed on the CPU, where larger batches are no faster."""


def threads_at_work(folder: Path) -> int:
    """With how many threads of the CPU a finished run was trained; 1 on another device."""
    machine = (read_record(folder) or {}).get("machine", {})
    return int(machine.get("threads", 1)) if str(machine.get("device", "cpu")).startswith("cpu") else 1


def training_seconds(folder: Path) -> float:
    """How long the training of a run took, by its folder: all epochs, and what was done before the first."""
    try:
        lines = (folder / "timing.jsonl").read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        return 0.0
    epochs = [json.loads(line) for line in lines]
    return sum(epoch["train_s"] + epoch.get("preparation_s", 0.0) for epoch in epochs)


def epochs_done(folder: Path | None) -> int:
    """How many epochs a run that is not finished has behind it."""
    path = folder / "metrics.jsonl" if folder else None
    return len(path.read_text(encoding="utf-8").splitlines()) if path and path.exists() else 0


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
