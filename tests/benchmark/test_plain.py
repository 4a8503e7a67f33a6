from collections import Counter

import numpy as np
import torch
from PIL import Image

from bilateral.benchmark.plain import PlainImages, measure_plain, plain_crop_and_flip
from bilateral.benchmark.subject import random_dataset
from bilateral.data.augment import Crops, Normalisation, crop_and_flip
from bilateral.data.cifar100 import source as cifar100

DRAWS = 6000


def every_crop(image: torch.Tensor) -> list[torch.Tensor]:
    """All 9 x 9 x 2 crops of an image (3, H, W) that `crop_and_flip` can give."""
    down, right, mirrored = torch.cartesian_prod(torch.arange(-4, 5), torch.arange(-4, 5), torch.arange(2)).unbind(1)
    crops = Crops(down, right, mirrored.bool())
    return list(crop_and_flip(image.expand(len(down), -1, -1, -1), crops))


def test_the_plain_crop_has_the_distribution_of_ours():
    torch.manual_seed(0)
    image = random_dataset(100).train.images[0]
    picture = Image.fromarray(image.permute(1, 2, 0).numpy())
    drawn = Counter(np.asarray(plain_crop_and_flip(picture)).tobytes() for _ in range(DRAWS))
    allowed = {crop.permute(1, 2, 0).contiguous().numpy().tobytes() for crop in every_crop(image)}
    assert set(drawn) == allowed and len(allowed) == 162
    # Each of the 162 is expected 37 times, with a deviation of 6.
    assert min(drawn.values()) > 10 and max(drawn.values()) < 70


def test_an_item_is_a_normalised_crop_with_its_labels(tmp_path):
    images = random_dataset(103).train
    dataset = PlainImages(images, tmp_path)
    assert len(dataset) == len(list(tmp_path.glob("*.png"))) == 103
    item, fine, coarse = dataset[102]
    assert (fine, coarse) == (int(images.fine[102]), int(images.coarse[102]))
    normalised = Normalisation(cifar100.MEAN, cifar100.STD)(torch.stack(every_crop(images.images[102])))
    assert item.dtype == torch.float32 and item.is_contiguous()
    assert (normalised - item).abs().amax((1, 2, 3)).min() < 1e-5


def test_a_real_measurement(small):
    measured = measure_plain(small, 100)
    assert set(measured) == {
        "plain_training_images_per_s",
        "plain_loading_images_per_s",
        "plain_workers_start_s",
    }
    assert 10 < measured["plain_training_images_per_s"] < measured["plain_loading_images_per_s"]
