"""The filter passes the power of gratings that its definition says."""

import math

import pytest
import torch
from pydantic import ValidationError

from bilateral.base.errors import ConfigError
from bilateral.models.build import build_network
from bilateral.models.config import ModelConfig
from bilateral.models.parts.filter import Filter

SIZE = 32


def grating(cycles: float, size: int = SIZE, upright: bool = True) -> torch.Tensor:
    """A cosine of so many cycles an image, which goes on as in a mirror at its edges."""
    values = torch.cos(2 * math.pi * cycles * (torch.arange(size) + 0.5) / size).expand(1, 1, size, size)
    return values if upright else values.transpose(2, 3)


def passed(maps: torch.Tensor, **options: object) -> float:
    """The share of the power that a filter lets through."""
    made = Filter(Filter.Options(**options), maps.shape[1:])
    return float((made(maps).square().sum() / maps.square().sum()).item())


@pytest.mark.parametrize("upright", [True, False])
@pytest.mark.parametrize("size", [32, 64])
@pytest.mark.parametrize(("cycles", "expected"), [(1, 0.5 ** (1 / 16)), (2, 0.5**0.25), (4, 0.5), (8, 0.5**4)])
def test_a_low_pass_halves_the_power_at_its_cutoff_in_cycles_per_image(cycles, expected, size, upright):
    assert passed(grating(cycles, size, upright), below=4.0) == pytest.approx(expected, rel=1e-3)


def test_a_high_pass_takes_away_what_the_low_pass_leaves():
    for cycles in (1, 4, 8):
        low = math.sqrt(passed(grating(cycles), below=4.0))
        assert passed(grating(cycles), above=4.0) == pytest.approx((1 - low) ** 2, rel=1e-3)
    flat = torch.ones(1, 3, SIZE, SIZE)
    made = Filter(Filter.Options(above=4.0), flat.shape[1:])
    assert made(flat).abs().max() < 1e-5
    assert torch.allclose(Filter(Filter.Options(below=4.0), flat.shape[1:])(flat), flat, atol=1e-5)


def test_a_band_peaks_between_its_ends():
    found = [passed(grating(cycles), above=2.0, below=8.0) for cycles in (1, 4, 15)]
    assert found[1] > 5 * found[0] and found[1] > 5 * found[2]


def test_matched_contrast_is_that_of_each_image():
    maps = torch.randn(3, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(0)) * torch.tensor(
        [1.0, 2.0, 5.0]
    ).view(3, 1, 1, 1)
    made = Filter(Filter.Options(below=3.0, match_contrast=True), maps.shape[1:])
    torch.testing.assert_close(made(maps).flatten(1).std(1), maps.flatten(1).std(1))
    assert Filter(Filter.Options(below=3.0), maps.shape[1:])(maps).std() < 0.5 * maps.std()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "give `below`"),
        ({"below": 3.0, "above": 3.0}, "above: 3 is not below 3"),
        ({"below": 0.0}, "greater than 0"),
    ],
)
def test_what_is_no_band_is_refused(options, message):
    with pytest.raises(ValidationError, match=message):
        Filter.Options(**options)


@pytest.mark.parametrize(
    ("after", "below", "message"),
    [
        ("input", 17.0, r"model\.left\.parts\.filter: below: 17 cycles is past the Nyquist frequency here, 16"),
        ("conv2", 9.0, "past the Nyquist frequency here, 8"),
        ("pool", 1.0, "there are no positions at this place"),
    ],
)
def test_what_cannot_be_filtered_at_its_place_is_refused(after, below, message):
    side = {"width": 1 / 16, "parts": {"filter": {"after": after, "below": below}}}
    with pytest.raises(ConfigError, match=message):
        build_network(ModelConfig.model_validate({"left": side, "right": {"width": 1 / 16}}), 6, 3)


def test_the_size_of_images_is_no_part_of_its_state():
    side = {"width": 1 / 16, "parts": {"filter": {"after": "input", "below": 4.0}}}
    model = ModelConfig.model_validate({"left": side, "right": {"width": 1 / 16}})
    small, large = (build_network(model, 6, 3, image_size=(size, size)) for size in (32, 64))
    large.load_state_dict(small.state_dict())
