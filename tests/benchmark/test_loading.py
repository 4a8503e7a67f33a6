import pytest

from bilateral.base.errors import ConfigError
from bilateral.benchmark.loading import measure_loading
from bilateral.data.config import DataConfig, ShapesConfig


def test_loading_counts_all_images_and_their_bytes():
    measured = measure_loading(DataConfig(num_workers=1, shapes=ShapesConfig(train_per_class=3, test_per_class=1)))
    images = 40 * (3 + 1)
    assert measured["loading_bytes"] == images * (3 * 32 * 32 + 2 * 8)
    assert measured["loading_images_per_s"] * measured["loading_s"] == pytest.approx(images)


def test_a_data_set_that_is_not_there():
    with pytest.raises(ConfigError, match="unknown source"):
        measure_loading(DataConfig(name="imagenet"))
