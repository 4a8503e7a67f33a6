import base64
import io

import pytest
from PIL import Image

from bilateral.data import navon, shapes
from bilateral.data.config import DataConfig
from bilateral.explore.samples import SAMPLES, samples, spread_labels

NAVON = {"level": "local", "image_size": 40, "train_per_class": 3, "test_per_class": 2}
SHAPES = {"seed": 3, "train_per_class": 3, "test_per_class": 3}


@pytest.mark.parametrize(
    ("data", "load"),
    [(DataConfig(name="shapes", shapes=SHAPES), shapes.load), (DataConfig(name="navon", options=NAVON), navon.load)],
)
def test_embedded_data_sets_give_their_own_test_images(data, load):
    found = samples(data)
    test = [image.permute(1, 2, 0).numpy().tobytes() for image in load(data).test.images]
    assert len(found) == SAMPLES == len({each["name"] for each in found})
    for each in found:
        assert Image.open(io.BytesIO(base64.b64decode(each["png"]))).convert("RGB").tobytes() in test


@pytest.mark.parametrize("count", [1, 2, 3, 6, 8, 12, 16, 40, 100])
def test_each_image_is_of_another_class(count):
    assert len({*spread_labels(count)}) == len(spread_labels(count)) == min(count, SAMPLES)


@pytest.mark.parametrize("data", [None, DataConfig(name="cifar100", root="/nowhere", download=True)])
def test_where_no_data_are_at_hand_there_are_none(data):
    assert samples(data) == []
