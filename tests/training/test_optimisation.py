import copy

import pytest
import torch
from torch import nn

from bilateral.training.config import TrainingConfig
from bilateral.training.optimisation import KernelMuon, Optimisation, learning_rate_share


def shares(**settings: object) -> list[float]:
    config = TrainingConfig(epochs=10, **settings).with_rates(True)
    return [learning_rate_share(config, step, 5) for step in range(50)]


def small_network() -> nn.Sequential:
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(3, 8, 3, bias=False), nn.BatchNorm2d(8), nn.Flatten(), nn.Linear(8 * 4 * 4, 5))
    return network.to(memory_format=torch.channels_last)


def backward(network: nn.Module) -> None:
    network(torch.randn(6, 3, 6, 6, generator=torch.Generator().manual_seed(1))).square().sum().backward()


def test_linear_rises_to_the_peak_and_falls_to_nearly_zero():
    values = shares(schedule="linear", warmup_epochs=2)
    assert max(values) == pytest.approx(1)
    assert values.index(max(values)) in (9, 10)
    assert values[0] == pytest.approx(0.1)
    assert 0 < values[-1] < 0.05
    assert values[:9] == sorted(values[:9]) and values[10:] == sorted(values[10:], reverse=True)


def test_constant_stays_and_cosine_passes_half_way_at_half_height():
    assert set(shares(schedule="constant", warmup_epochs=0)) == {1}
    assert shares(schedule="cosine", warmup_epochs=0)[25] == pytest.approx(0.5)


def test_a_fractional_warmup_never_exceeds_the_peak():
    assert max(shares(schedule="cosine", warmup_epochs=0.5)) <= 1


@pytest.mark.parametrize("name", ["adam", "sgd"])
def test_fused_optimizers_do_what_plain_ones_do(name):
    settings = {"lr": 0.1, "weight_decay": 0.01, "warmup_epochs": 0, "schedule": "constant"}
    fused = small_network()
    plain = copy.deepcopy(fused)
    optimisation = Optimisation(fused, TrainingConfig(**{"optimizer": name, "lr": 0.2} | settings).with_rates(True), 10)
    if name == "adam":
        reference = torch.optim.Adam(plain.parameters(), 0.1, weight_decay=0.01, foreach=False)
    else:
        reference = torch.optim.SGD(
            plain.parameters(), 0.1, momentum=0.9, nesterov=True, weight_decay=0.01, foreach=False
        )
    for step in range(3):
        backward(fused)
        optimisation.step(step)
        backward(plain)
        reference.step()
        reference.zero_grad()
    for left, right in zip(fused.parameters(), plain.parameters()):
        torch.testing.assert_close(left, right)


@pytest.mark.parametrize("name", ["adam", "sgd", "muon"])
def test_only_trainable_parameters_move(name):
    network = small_network()
    network[1].requires_grad_(False)
    before = copy.deepcopy(network.state_dict())
    optimisation = Optimisation(
        network.eval(), TrainingConfig(optimizer=name, warmup_epochs=0, lr=0.2).with_rates(True), 1
    )
    backward(network)
    optimisation.step(0)
    moved = {key.split(".")[0] for key, value in network.state_dict().items() if not torch.equal(value, before[key])}
    assert moved == {"0", "3"}
    assert all(parameter.grad is None for parameter in network.parameters())


def test_muon_moves_a_kernel_by_an_orthogonal_matrix_whatever_its_gradient_s_size():
    for scale in (1, 1000):
        kernel = nn.Parameter(torch.zeros(8, 4, 3, 3).to(memory_format=torch.channels_last))
        kernel.grad = scale * torch.randn(8, 4, 3, 3, generator=torch.Generator().manual_seed(2))
        gradient = kernel.grad.flatten(1)
        KernelMuon([kernel], lr=1, weight_decay=0).step()
        step = -kernel.data.flatten(1)
        # The iteration is meant to end with singular values near 1, and keeps the gradient's singular vectors.
        left, _, right = torch.linalg.svd(gradient, full_matrices=False)
        along = left.T @ step @ right.T
        assert ((along.diagonal() > 0.6) & (along.diagonal() < 1.3)).all()
        assert (along - along.diagonal().diag()).abs().max() < 0.1


def test_muon_trains_kernels_and_sgd_the_rest():
    network = small_network()
    optimisers = Optimisation(network, TrainingConfig(optimizer="muon", lr=0.2, muon_lr=0.01), 1).optimizers
    assert [type(optimizer).__name__ for optimizer in optimisers] == ["SGD", "KernelMuon"]
    assert [sum(len(group["params"]) for group in optimizer.param_groups) for optimizer in optimisers] == [4, 1]


@pytest.mark.parametrize("name", ["adam", "sgd", "muon"])
def test_a_state_goes_on_where_it_was_taken(name):
    config = TrainingConfig(optimizer=name, warmup_epochs=0, lr=0.01).with_rates(True)
    whole, stopped = small_network(), small_network()
    optimisation = Optimisation(whole, config, 10)
    for step in range(4):
        backward(whole)
        optimisation.step(step)
        if step == 1:
            stopped.load_state_dict(whole.state_dict())
            # A file keeps no layout in memory.
            state = {n: {k: v.contiguous() for k, v in own.items()} for n, own in optimisation.state.items()}
            state = copy.deepcopy(state)
    resumed = Optimisation(stopped, config, 10)
    resumed.load(state)
    for step in (2, 3):
        backward(stopped)
        resumed.step(step)
    for left, right in zip(whole.parameters(), stopped.parameters()):
        assert torch.equal(left, right)


def one_step(name: str, number: int = 0, **settings: object) -> tuple[dict, dict]:
    """A network's state before and after optimizer step `number`, of 5 an epoch."""
    network = small_network()
    before = copy.deepcopy(network.state_dict())
    config = TrainingConfig(optimizer=name, lr=0.2, epochs=10, **settings).with_rates(True)
    optimisation = Optimisation(network, config, 5)
    backward(network)
    optimisation.step(number)
    return before, network.state_dict()


def test_weight_decay_spares_what_muon_trains_and_nothing_else():
    (_, without), (_, decayed) = (one_step("muon", warmup_epochs=0, weight_decay=decay) for decay in (0, 0.5))
    assert torch.equal(without["0.weight"], decayed["0.weight"])
    for name in ("1.weight", "3.weight", "3.bias"):
        assert not torch.equal(without[name], decayed[name]), name


@pytest.mark.parametrize("name", ["adam", "sgd", "muon"])
def test_a_step_in_the_warm_up_moves_the_weights_by_its_share_of_a_full_step(name):
    settings = {"warmup_epochs": 2, "schedule": "constant", "weight_decay": 0}
    before, full = one_step(name, 20, **settings)
    _, small = one_step(name, 0, **settings)
    for key in ("0.weight", "3.weight"):
        torch.testing.assert_close(small[key] - before[key], (full[key] - before[key]) / 10, rtol=1e-3, atol=1e-6)
