"""Noise as a lesion: how strong it is, and that each image has its own."""

import pytest
import torch

from bilateral.models.lesions.noise import Noise


@pytest.mark.parametrize("shape", [(3, 20000), (3, 50, 20, 20)])
def test_it_is_relative_to_the_deviation_over_one_image(shape):
    scales = torch.tensor([1.0, 10.0, 0.0]).view(3, *[1] * (len(shape) - 1))
    message = 5 + scales * torch.randn(shape, generator=torch.Generator().manual_seed(0))
    torch.manual_seed(1)
    noise = (Noise(Noise.Options(std=0.5))(message) - message).flatten(1)
    assert noise.std(1).tolist() == pytest.approx([0.5, 5.0, 0.0], rel=0.03)
    assert noise.mean(1).abs().max() < 0.2


def test_other_images_do_not_matter():
    lesion, message = Noise(Noise.Options(std=1)), torch.arange(12.0).view(2, 6)
    torch.manual_seed(1)
    both = lesion(message)
    torch.manual_seed(1)
    alone = lesion(message[:1])
    assert torch.equal(both[:1], alone) and not torch.equal(alone, message[:1])


def test_it_draws_where_it_acts():
    lesion = Noise(Noise.Options(std=1))
    assert not lesion.train().draws and lesion.eval().draws and not Noise(Noise.Options(std=0)).eval().draws
