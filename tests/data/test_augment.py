import math

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from bilateral.base.errors import DataError
from bilateral.data.augment import Crops, Normalisation, crop_and_flip


def images_of(count: int, height: int, width: int) -> torch.Tensor:
    return torch.randint(0, 256, (count, 3, height, width), dtype=torch.uint8)


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 6), st.integers(5, 12), st.integers(5, 12), st.integers(0, 4), st.booleans(), st.integers(0, 99))
def test_every_image_is_a_crop_of_itself_reflected_at_its_edges(count, height, width, padding, flip, seed):
    images = images_of(count, height, width)
    crops = Crops.draw(count, torch.Generator().manual_seed(seed), padding, flip)
    result = crop_and_flip(images, crops)
    padded = F.pad(images.float(), (padding,) * 4, mode="reflect").byte() if padding else images
    for image, large in zip(result, padded):
        crops = [
            large[:, y : y + height, x : x + width] for y in range(2 * padding + 1) for x in range(2 * padding + 1)
        ]
        mirrored = [crop.flip(-1) for crop in crops] if flip else []
        assert any(torch.equal(image, crop) for crop in crops + mirrored)


def test_crops_and_flips_are_uniform_and_follow_the_generator():
    image = torch.arange(32 * 32).remainder(251).byte().view(1, 1, 32, 32)
    many = image.expand(4000, 3, 32, 32)
    result = crop_and_flip(many, Crops.draw(4000, torch.Generator().manual_seed(0)))
    assert torch.equal(result, crop_and_flip(many, Crops.draw(4000, torch.Generator().manual_seed(0))))
    kinds, counts = result[:, 0].flatten(1).unique(dim=0, return_counts=True)
    assert len(kinds) == 9 * 9 * 2
    assert counts.min() > 5 and counts.max() < 60
    assert result.dtype == torch.uint8


def test_nothing_to_do_leaves_the_images():
    images = images_of(5, 8, 9)
    assert torch.equal(crop_and_flip(images, Crops.draw(5, torch.Generator(), padding=0, flip=False)), images)


def test_normalisation_stays_differentiable_after_use_in_inference_mode():
    normalise = Normalisation((0.11, 0.22, 0.33), (0.2, 0.3, 0.4))
    with torch.inference_mode():
        normalise(images_of(1, 4, 4))
    weights = torch.ones(1, 3, 4, 4, requires_grad=True)
    (weights * normalise(images_of(1, 4, 4))).sum().backward()
    assert weights.grad.abs().sum() > 0


@pytest.mark.parametrize(
    "images, message",
    [
        (torch.rand(1, 3, 4, 4), "must be uint8.*float32.*255"),
        (images_of(1, 4, 4)[0], r"must be \(B, 3, H, W\), not \(3, 4, 4\)"),
        (images_of(1, 4, 4)[:, :1], r"not \(1, 1, 4, 4\)"),
        (images_of(1, 4, 4).permute(0, 2, 3, 1), "permute"),
        (images_of(1, 4, 4).numpy(), "from_numpy"),
        ([1], "not list"),
    ],
)
def test_only_batches_of_uint8_images_are_normalised(images, message):
    with pytest.raises(DataError, match=message):
        Normalisation((0.1,) * 3, (0.2,) * 3)(images)


@pytest.mark.parametrize(
    "mean, std",
    [
        ((), ()),
        ((0.5,) * 3, (0.5,) * 2),
        ((0.5, math.nan), (0.5, 0.5)),
        ((0.5,), (0.0,)),
        ((0.5,), (math.inf,)),
        ((0.5,), (-0.1,)),
        ((1e300,), (0.5,)),
        ((0.5,), (1e-300,)),
    ],
)
def test_a_normalisation_that_no_images_have_is_refused(mean, std):
    with pytest.raises(DataError, match="normalisation"):
        Normalisation(mean, std)


def test_an_image_is_cropped_alike_in_any_batch():
    images = images_of(20, 12, 9)
    crops = Crops.draw(20, torch.Generator().manual_seed(1))
    chosen = torch.tensor([3, 17, 0])
    assert torch.equal(crop_and_flip(images, crops)[chosen], crop_and_flip(images[chosen], crops[chosen]))


def test_normalisation_gives_mean_0_and_deviation_1():
    images = images_of(200, 16, 16)
    scaled = images.double() / 255
    mean = tuple(scaled.mean((0, 2, 3)).tolist())
    std = tuple(scaled.std((0, 2, 3)).tolist())
    result = Normalisation(mean, std)(images)
    assert result.mean((0, 2, 3)).tolist() == pytest.approx([0, 0, 0], abs=1e-4)
    assert result.std((0, 2, 3)).tolist() == pytest.approx([1, 1, 1], abs=1e-4)
    assert result.is_contiguous(memory_format=torch.channels_last)
    expected = (images.float() / 255 - torch.tensor(mean).view(-1, 1, 1)) / torch.tensor(std).view(-1, 1, 1)
    torch.testing.assert_close(result, expected, atol=1e-4, rtol=1e-4)
