import pytest
import torch

from bilateral.training.config import TrainingConfig
from bilateral.training.optimisation import build_optimizer, learning_rate


def rates(**settings: object) -> list[float]:
    config = TrainingConfig(epochs=10, lr=0.4, **settings)
    return [learning_rate(config, step, 5) for step in range(50)]


def test_linear_rises_to_the_peak_and_falls_to_nearly_zero():
    values = rates(schedule="linear", warmup_epochs=2)
    assert max(values) == pytest.approx(0.4)
    assert values.index(max(values)) in (9, 10)
    assert values[0] == pytest.approx(0.04)
    assert 0 < values[-1] < 0.02
    assert values[:9] == sorted(values[:9]) and values[10:] == sorted(values[10:], reverse=True)


def test_constant_stays_and_cosine_passes_half_way_at_half_height():
    assert set(rates(schedule="constant", warmup_epochs=0)) == {0.4}
    assert rates(schedule="cosine", warmup_epochs=0)[25] == pytest.approx(0.2)


def test_a_fractional_warmup_never_exceeds_the_peak():
    assert max(rates(schedule="cosine", warmup_epochs=0.5)) <= 0.4


def test_the_optimizer_holds_trainable_parameters_only():
    network = torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.Linear(2, 2))
    network[0].requires_grad_(False)
    for name in ("adam", "sgd"):
        optimizer = build_optimizer(network, TrainingConfig(optimizer=name))
        assert [len(group["params"]) for group in optimizer.param_groups] == [2]
