"""One training in several processes, as `torchrun` starts them. In a process that it did not start, none of this acts.

Every process holds the network and all images; each takes its share of every batch, and gradients, batch norm's
statistics and metrics are of the whole batch. So the result is that of one process, up to the order of sums in
floating point (and, where there is dropout, to other masks). The first process alone writes files.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from ..base.errors import WorkerError

PATIENCE = timedelta(minutes=30)
"""How long one process waits for another, of which the first may be testing meanwhile."""

Shared = TypeVar("Shared")


@contextmanager
def process_group() -> Iterator[None]:
    """Join the processes that torchrun started, for the time of a block; each takes a GPU of its machine, if any.

    Raises WorkerError in the block where another one has died, or has not answered for PATIENCE.
    """
    if "TORCHELASTIC_RUN_ID" not in os.environ:
        yield
        return
    if torch.cuda.is_available():
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]) % torch.cuda.device_count())
    # Both, by the device that a tensor is on: what is shared as an object is on the CPU.
    dist.init_process_group("cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo", timeout=PATIENCE)
    try:
        yield
    except RuntimeError as error:
        if not isinstance(error, dist.DistError) and "gloo" not in str(error):
            raise
        raise WorkerError(
            "a process of this training has died or does not answer; the same command goes on from the last checkpoint"
        ) from error
    finally:
        dist.destroy_process_group()


def world_size() -> int:
    """How many processes train together."""
    return dist.get_world_size() if dist.is_initialized() else 1


def rank() -> int:
    """The number of this one among them."""
    return dist.get_rank() if dist.is_initialized() else 0


def is_first() -> bool:
    """Whether this process writes the files."""
    return rank() == 0


def own_share(indices: Tensor) -> Tensor:
    """Give this process's part of the images of a batch (B,)."""
    return indices[rank() :: world_size()]


def loss_factor(own: int, whole: int) -> float:
    """By what to multiply the mean loss over this process's `own` images of a batch of `whole`.

    With it, the mean of all processes' gradients is the gradient of the mean loss over the batch.
    """
    return own * world_size() / whole


def add_up(value: Tensor) -> Tensor:
    """The sum of all processes' values (any shape)."""
    if world_size() > 1:
        value = value.clone()
        dist.all_reduce(value)
    return value


def from_first(make: Callable[[], Shared]) -> Shared:
    """Call `make` in the first process alone, and give in all of them what it gives, or raise what it raises."""
    if world_size() == 1:
        return make()
    outcome: list[Any] = [None, None]
    if is_first():
        try:
            outcome[0] = make()
        except Exception as error:
            outcome[1] = error
    dist.broadcast_object_list(outcome, device=torch.device("cpu"))
    value, failure = outcome
    if failure is not None:
        raise failure
    return value


def synchronise_batch_norm(network: nn.Module) -> None:
    """Have batch norm in training take its statistics over the whole batch, not each process's share of it."""
    if world_size() == 1:
        return
    for module in network.modules():
        if type(module) is nn.BatchNorm2d:
            module.__class__ = _SynchronisedBatchNorm2d


def parallel(step: nn.Module) -> nn.Module:
    """Give `step` so wrapped that its backward pass averages the gradients of all processes."""
    if world_size() == 1 or not any(parameter.requires_grad for parameter in step.parameters()):
        return step
    return DistributedDataParallel(step)


class _SumOverProcesses(torch.autograd.Function):
    """Adds up over all processes, and lets gradients flow back to all."""

    @staticmethod
    def forward(context: Any, own: Tensor) -> Tensor:
        return add_up(own)

    @staticmethod
    def backward(context: Any, gradient: Tensor) -> Tensor:
        return add_up(gradient)


class _SynchronisedBatchNorm2d(nn.BatchNorm2d):
    """Batch norm over all processes' images; PyTorch's SyncBatchNorm, which does the same, runs on GPUs alone."""

    def forward(self, input: Tensor) -> Tensor:
        if not self.training:
            return super().forward(input)
        values = input.to(torch.promote_types(input.dtype, torch.float32))
        count = torch.full((1,), values.numel() / values.shape[1], dtype=values.dtype, device=values.device)
        add_up_with_gradient = _SumOverProcesses.apply
        total, number = add_up_with_gradient(torch.cat([values.sum((0, 2, 3)), count])).split([self.num_features, 1])
        centred = values - (total / number)[:, None, None]
        variance = add_up_with_gradient(centred.square().sum((0, 2, 3))) / number
        with torch.no_grad():
            assert self.running_mean is not None and self.running_var is not None
            assert self.num_batches_tracked is not None and self.momentum is not None
            self.running_mean.lerp_(total / number, self.momentum)
            self.running_var.lerp_(variance * number / (number - 1), self.momentum)
            self.num_batches_tracked += 1
        scale = self.weight * (variance + self.eps).rsqrt()
        return (centred * scale[:, None, None] + self.bias[:, None, None]).to(input.dtype)
