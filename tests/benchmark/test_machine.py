import time

import pytest
import torch

from bilateral.base.errors import ConfigError
from bilateral.benchmark.machine import measure_loading, measure_peak
from bilateral.data.config import DataConfig, ShapesConfig

SIZE = 256


def test_the_peak_is_that_of_the_best_product():
    left, right = torch.randn(SIZE, SIZE), torch.randn(SIZE, SIZE)
    times = []
    for _ in range(200):
        started = time.perf_counter()
        torch.mm(left, right)
        times.append(time.perf_counter() - started)
    measured = measure_peak(torch.device("cpu"), seconds=0.1, sizes=(16, SIZE))
    # Another load on the machine may well halve a rate.
    assert measured["peak_float32_flops_per_s"] == pytest.approx(2 * SIZE**3 / min(times), rel=0.7)
    assert measured["peak_bfloat16_flops_per_s"] > 0


def test_even_without_time_there_is_a_figure():
    assert all(value > 0 for value in measure_peak(torch.device("cpu"), seconds=0, sizes=(8,)).values())


def test_loading_counts_all_images_and_their_bytes():
    measured = measure_loading(DataConfig(num_workers=1, shapes=ShapesConfig(train_per_class=3, test_per_class=1)))
    images = 40 * (3 + 1)
    assert measured["loading_bytes"] == images * (3 * 32 * 32 + 2 * 8)
    assert measured["loading_images_per_s"] * measured["loading_s"] == pytest.approx(images)


def test_a_data_set_that_is_not_there():
    with pytest.raises(ConfigError, match="unknown source"):
        measure_loading(DataConfig(name="imagenet"))
