"""Optimizers and learning rate."""

import math
from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from ..base.errors import CheckpointError
from ..models.plasticity import Plasticity
from .config import TrainingConfig

# As many as KellerJordan/cifar10-airbench takes; five, PyTorch's default, gain nothing here (docs/log.md).
NEWTON_SCHULZ_STEPS = 3

_STATE_NAMES = {"adam": {"step", "exp_avg", "exp_avg_sq"}, "momentum": {"momentum_buffer"}}

OptimizerState = dict[int, dict[str, Tensor]]


class KernelMuon(torch.optim.Muon):
    """Muon on convolution kernels (O, I, H, W), each as a matrix of O rows.

    Muon (K. Jordan et al. 2024, https://kellerjordan.github.io/posts/muon) makes the momentum of a matrix nearly
    orthogonal before it is applied. PyTorch's takes matrices only, so it gets views of the kernels, which must lie
    channels last in memory and stay where they are.
    """

    def __init__(self, kernels: Iterable[Tensor], lr: float, weight_decay: float) -> None:
        self.kernels = list(kernels)
        self.matrices = [nn.Parameter(kernel.data.permute(0, 2, 3, 1).view(len(kernel), -1)) for kernel in self.kernels]
        super().__init__(self.matrices, lr, weight_decay, ns_steps=NEWTON_SCHULZ_STEPS)

    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """Update the kernels by their gradients."""
        for kernel, matrix in zip(self.kernels, self.matrices):
            assert matrix.data_ptr() == kernel.data_ptr(), "the kernel has been moved"
            gradient = kernel.grad
            matrix.grad = None if gradient is None else gradient.permute(0, 2, 3, 1).flatten(1)
        super().step(closure)

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Drop the kernels' gradients."""
        for kernel in self.kernels:
            kernel.grad = None


class Optimisation:
    """The optimizers of a network's trainable parameters, under the learning rate's schedule.

    muon: Muon on convolution kernels, with its own learning rate, and SGD on all else. steps_per_epoch: optimizer
    steps. The network must be where it is trained, and the config have its learning rates. A hemisphere with a
    plasticity of its own has optimizers of its own.
    """

    def __init__(self, network: nn.Module, config: TrainingConfig, steps_per_epoch: int) -> None:
        assert config.lr is not None
        self.config, self.steps_per_epoch, self.peak_lr = config, steps_per_epoch, config.lr
        trainable = [parameter for parameter in network.parameters() if parameter.requires_grad]
        convolutions = [module for module in network.modules() if isinstance(module, nn.Conv2d)]
        kernels = {id(_weight(layer)) for layer in convolutions} if config.optimizer == "muon" else set()
        plasticity: dict[str, Plasticity] = getattr(network, "plasticity", {})
        hemispheres: Mapping[str, nn.Module] = getattr(network, "hemispheres", {})
        side_of = {id(each): side for side in plasticity for each in hemispheres[side].parameters()}
        self.optimizers: list[torch.optim.Optimizer] = []
        self._plasticity: list[Plasticity] = []
        for side, learner in [(None, Plasticity()), *plasticity.items()]:
            mine = [each for each in trainable if side_of.get(id(each)) == side]
            others = [each for each in mine if id(each) not in kernels]
            before = len(self.optimizers)
            settings: dict[str, Any] = {"weight_decay": config.weight_decay * learner.weight_decay, "fused": True}
            if config.optimizer == "adam":
                self.optimizers.append(torch.optim.Adam(others, self.peak_lr, **settings))
            elif others:
                self.optimizers.append(torch.optim.SGD(others, self.peak_lr, momentum=0.9, nesterov=True, **settings))
            if len(others) < len(mine):
                assert config.muon_lr is not None
                own_kernels = [each for each in mine if id(each) in kernels]
                self.optimizers.append(KernelMuon(own_kernels, config.muon_lr, weight_decay=0))
            self._plasticity += [learner] * (len(self.optimizers) - before)
        self.lr = 0.0
        """The learning rate of the last step (of SGD or Adam)."""

    def step(self, number: int) -> None:
        """Do optimizer step `number` (from 0) of the whole training, and drop the gradients."""
        share = learning_rate_share(self.config, number, self.steps_per_epoch)
        self.lr = share * self.peak_lr
        epoch = number // self.steps_per_epoch
        for optimizer, plasticity in zip(self.optimizers, self._plasticity):
            optimizer.param_groups[0]["lr"] = share * plasticity.rate_in(epoch) * optimizer.defaults["lr"]
            optimizer.step()
            optimizer.zero_grad()

    @property
    def state(self) -> OptimizerState:
        """What has gathered (momentum and the like), by number of the parameter."""
        states = [optimizer.state.get(parameter) for optimizer, parameter in self._parameters]
        return {number: state for number, state in enumerate(states) if state}

    def check(self, state: OptimizerState, source: str) -> None:
        """See that a `state` is one of these optimizers. Raises CheckpointError that names what is not."""
        parameters = [parameter for _, parameter in self._parameters]
        names = _STATE_NAMES["adam" if self.config.optimizer == "adam" else "momentum"]
        for number, values in state.items():
            if number >= len(parameters):
                raise CheckpointError(f"{source} has a state of parameter {number}, of {len(parameters)} in training")
            for name, value in values.items():
                shape = torch.Size() if name == "step" else parameters[number].shape
                if name not in names or value.shape != shape or not value.isfinite().all():
                    raise CheckpointError(f"{source} has a state {name} of parameter {number} that it cannot have")

    def load(self, state: OptimizerState) -> None:
        """Go on from a `state` that has been checked."""
        for number, (optimizer, parameter) in enumerate(self._parameters):
            for name, value in state.get(number, {}).items():
                optimizer.state[parameter][name] = _laid_out_as(parameter, value)

    @property
    def _parameters(self) -> list[tuple[torch.optim.Optimizer, Tensor]]:
        """All that is trained, in the order of its numbers in a state, each with its optimizer."""
        return [(optimizer, each) for optimizer in self.optimizers for each in optimizer.param_groups[0]["params"]]


def learning_rate_share(config: TrainingConfig, step: int, steps_per_epoch: int) -> float:
    """Give the learning rate of optimizer step `step` (from 0) as a share of its peak.

    It rises linearly, then falls to zero as the schedule has it.
    """
    warmup = config.warmup_epochs * steps_per_epoch
    if step + 1 < warmup:
        return (step + 1) / warmup
    progress = (step - warmup) / max(1.0, config.epochs * steps_per_epoch - warmup)
    if config.schedule == "linear":
        return 1 - max(0.0, progress)
    if config.schedule == "cosine":
        return (1 + math.cos(math.pi * max(0.0, progress))) / 2
    return 1.0


def _weight(layer: nn.Conv2d) -> Tensor:
    """The kernel as it is trained, which is not what acts where connections are masked."""
    if parametrize.is_parametrized(layer, "weight"):
        return layer.parametrizations.weight.original  # type: ignore[union-attr, return-value]
    return layer.weight


def _laid_out_as(parameter: Tensor, value: Tensor) -> Tensor:
    """Bring `value` to the parameter, in its layout in memory: fused optimizers walk through both as they lie."""
    alike = value.shape == parameter.shape
    return torch.empty_like(parameter).copy_(value) if alike else value.to(parameter.device)
