import math

import pytest
import torch

from bilateral.base.errors import DataError
from bilateral.data import shapes
from bilateral.data.config import DataConfig
from bilateral.data.corruptions import CORRUPTIONS, Corruption, corrupt

CHANCE = ("gaussian_noise", "occlusion")
WEAKER = {
    "gaussian_noise": (0.02, 0.08, 0.2),
    "gaussian_blur": (0.01, 0.03, 0.1),
    "contrast": (0.9, 0.5, 0.1),
    "occlusion": (0.2, 0.4, 0.8),
    "low_pass": (9.0, 5.0, 2.0),
    "high_pass": (0.5, 2.0, 5.0),
}


@pytest.fixture(scope="module")
def images() -> torch.Tensor:
    config = DataConfig.model_validate({"shapes": {"train_per_class": 2, "test_per_class": 1}})
    return shapes.load(config).test.images[:12]


def waves(cycles: float, size: int = 64) -> torch.Tensor:
    """An image whose brightness goes up and down that often from left to right."""
    row = 127.5 + 60 * torch.sin(2 * math.pi * cycles * torch.arange(size) / size)
    return row.expand(1, 3, size, size).round().to(torch.uint8)


def only(number: int = 0) -> torch.Tensor:
    return torch.tensor([number])


@pytest.mark.parametrize("name", CORRUPTIONS)
@pytest.mark.parametrize("size", [(16, 16), (17, 40), (224, 224)])
def test_images_of_any_size_stay_images(name, size):
    given = torch.randint(0, 256, (2, 3, *size), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    before = given.clone()
    for severity in CORRUPTIONS[name].severities:
        changed = corrupt(name, given, severity, torch.arange(2))
        assert changed.dtype == torch.uint8 and changed.shape == given.shape
        assert not changed.equal(given) and given.equal(before)


@pytest.mark.parametrize("name", CORRUPTIONS)
def test_an_image_is_corrupted_alike_in_whatever_batch(name, images):
    (severity,) = CORRUPTIONS[name].severities
    numbers = torch.arange(len(images))
    whole = corrupt(name, images, severity, numbers)
    order = torch.randperm(len(images), generator=torch.Generator().manual_seed(1))
    torch.manual_seed(5)  # the global stream plays no part
    mixed = corrupt(name, images[order], severity, numbers[order])
    alone = corrupt(name, images[3:4], severity, only(3))
    # Sums in another order may round the other way.
    assert (mixed.int() - whole[order].int()).abs().max() <= 1 and (alone.int() - whole[3:4].int()).abs().max() <= 1


@pytest.mark.parametrize("name", CORRUPTIONS)
def test_what_is_drawn_depends_on_the_seed_and_the_image(name, images):
    (severity,) = CORRUPTIONS[name].severities
    first = corrupt(name, images[:1], severity, only(0), seed=0)
    others = [corrupt(name, images[:1], severity, only(number), seed) for number, seed in ((1, 0), (0, 1))]
    assert [other.equal(first) for other in others] == [name not in CHANCE] * 2


@pytest.mark.parametrize("name", WEAKER)
def test_more_severe_is_farther_from_the_image(name, images):
    assert set(WEAKER) == set(CORRUPTIONS)
    numbers = torch.arange(len(images))
    changed = [corrupt(name, images, severity, numbers).float() for severity in WEAKER[name]]
    distances = [(each - images).square().mean().sqrt().item() for each in changed]
    assert 0 < distances[0] < 0.8 * distances[1] < 0.8 * 0.8 * distances[2]


def test_noise_has_the_stated_deviation():
    grey = torch.full((1, 3, 100, 100), 128, dtype=torch.uint8)
    noise = corrupt("gaussian_noise", grey, 0.08, only()).float() / 255 - 128 / 255
    assert noise.std().item() == pytest.approx(0.08, rel=0.03) and abs(noise.mean().item()) < 0.002


def test_a_blur_spreads_a_point_by_sigma():
    point = torch.zeros(1, 3, 64, 64, dtype=torch.uint8)
    point[..., 30:33, 30:33] = 255
    sigma = 0.06 * 64
    share = corrupt("gaussian_blur", point, 0.06, only())[0, 0].double()
    for axis in (0, 1):
        profile = share.sum(axis) / share.sum()
        variance = (profile * (torch.arange(64) - 31) ** 2).sum().item()
        # A third of the square's own width goes into it: (3^2 - 1) / 12. The tail is lost to rounding.
        assert variance == pytest.approx(sigma**2 + 2 / 3, rel=0.12)
    level = torch.full((1, 3, 64, 64), 200, dtype=torch.uint8)
    assert corrupt("gaussian_blur", level, 0.06, only()).equal(level)  # edges are no darker


def test_contrast_keeps_each_channels_mean(images):
    changed = corrupt("contrast", images, 0.3, torch.arange(len(images))).float()
    assert (changed.mean((2, 3)) - images.float().mean((2, 3))).abs().max() < 0.5
    ratio = changed.std((2, 3)) / images.float().std((2, 3))
    assert ratio.min() > 0.28 and ratio.max() < 0.32


def test_occlusion_is_one_grey_square_at_a_place_of_each_images_own():
    white = torch.full((40, 3, 20, 30), 255, dtype=torch.uint8)
    changed = corrupt("occlusion", white, 0.5, torch.arange(40))
    places = set()
    for image in changed:
        assert set(image.unique().tolist()) == {128, 255}
        rows, columns = (image[0] == 128).nonzero().T
        assert len(rows) == 100 and rows.max() - rows.min() == columns.max() - columns.min() == 9
        assert (image == image[0]).all()
        places.add((int(rows.min()), int(columns.min())))
    assert len(places) > 25 and max(left for _, left in places) > 15 and min(top for top, _ in places) < 3


@pytest.mark.parametrize("name", ["low_pass", "high_pass"])
def test_filters_have_their_gain_at_each_frequency(name):
    for cycles in (1, 4, 12):
        low = math.exp(-(cycles**2) / (2 * 4.0**2))
        changed = corrupt(name, waves(cycles), 4.0, only()).float()
        amplitude = (changed - 127.5).std() / (waves(cycles).float() - 127.5).std()
        assert amplitude.item() == pytest.approx(low if name == "low_pass" else 1 - low, abs=0.02)
        assert changed.mean().item() == pytest.approx(127.5, abs=0.6)


def test_a_cutoff_is_in_cycles_of_the_image_whatever_its_size():
    found = [corrupt("low_pass", waves(4, size), 4.0, only()).float().std().item() for size in (32, 64, 224)]
    assert found == pytest.approx([found[0]] * 3, rel=0.02)


def test_a_new_corruption_is_one_entry(images, monkeypatch):
    monkeypatch.setitem(CORRUPTIONS, "darker", Corruption(lambda given, by, _: given - by, "of white", (0.5,), 1))
    changed = corrupt("darker", images, 0.5, torch.arange(len(images)))
    assert (changed.int() - (images.float() - 127.5).clamp(0).int()).abs().max() <= 1


def test_bad_input_gets_a_sentence(images):
    numbers = torch.arange(len(images))
    for severity in (0.0, -1.0, math.nan, math.inf, 1.5):
        with pytest.raises(DataError, match=r"contrast: its severity .* must be above 0 and at most 1, not"):
            corrupt("contrast", images, severity, numbers)
    with pytest.raises(DataError, match="there is no corruption 'fog'; there are gaussian_noise, "):
        corrupt("fog", images, 1.0, numbers)
    with pytest.raises(DataError, match="must be uint8"):
        corrupt("contrast", images.float(), 0.3, numbers)
    with pytest.raises(DataError, match="12 images to corrupt come with numbers of shape"):
        corrupt("contrast", images, 0.3, numbers[:3])
