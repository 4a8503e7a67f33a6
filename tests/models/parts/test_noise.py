"""Noise against its definition."""

import pytest
import torch

from bilateral.models.parts.noise import MOMENTUM, Noise

SHAPE = torch.Size([3, 16, 16])


def noise(**options):
    return Noise(Noise.Options(**options), SHAPE)


@pytest.fixture
def maps():
    """Channels of deviation 1, 10 and 100 around 5."""
    drawn = torch.randn(64, *SHAPE, generator=torch.Generator().manual_seed(0))
    return 5 + drawn * torch.tensor([1.0, 10, 100])[:, None, None]


def deviations(values):
    return values.std((0, 2, 3))


def test_in_training_it_is_relative_to_each_channel_s_own_deviation(maps):
    added = noise(std=0.3).train()(maps) - maps
    torch.testing.assert_close(deviations(added), 0.3 * deviations(maps), rtol=0.03, atol=0)
    assert added.mean((0, 2, 3)).abs().lt(0.01 * deviations(maps)).all()


def test_it_acts_in_training_and_on_request_in_evaluation_alone(maps):
    for training, evaluation in ((True, False), (False, True), (True, True), (False, False)):
        part = noise(std=0.3, training=training, evaluation=evaluation)
        assert (not torch.equal(part.train()(maps), maps)) == training == part.draws
        assert (not torch.equal(part.eval()(maps), maps)) == evaluation == part.draws


def test_in_evaluation_it_is_relative_to_what_training_showed(maps):
    part = noise(std=0.3, evaluation=True).train()
    part(maps), part(2 * maps)
    variance = maps.var((0, 2, 3), correction=0) * (1 - MOMENTUM + 4 * MOMENTUM)
    torch.testing.assert_close(part.variance, variance)
    for scale in (1, 1000):
        added = part.eval()(scale * maps) - scale * maps
        torch.testing.assert_close(deviations(added), 0.3 * variance.sqrt(), rtol=0.05, atol=0)
    torch.testing.assert_close(part.variance, variance)


def test_gradients_pass_as_if_it_were_not_there(maps):
    given = maps.requires_grad_()
    noise(std=0.3).train()(given).sum().backward()
    assert torch.equal(given.grad, torch.ones_like(maps))


def test_features_without_positions_have_noise_too():
    features = torch.randn(4000, 2) * torch.tensor([1.0, 10])
    part = Noise(Noise.Options(std=0.5), torch.Size([2]))
    added = part(features) - features
    torch.testing.assert_close(added.std(0), 0.5 * features.std(0), rtol=0.05, atol=0)
