"""Opening data sets."""

from bilateral.base.streams import derive_seed
from bilateral.benchmark.subject import random_dataset
from bilateral.data import sources
from bilateral.data.config import DataConfig, ShapesConfig


def test_load_shapes(benchmark):
    config = DataConfig(shapes=ShapesConfig(train_per_class=20, test_per_class=5))
    benchmark.pedantic(sources.load, (config,), rounds=3)


def test_fingerprint(benchmark):
    # It is computed once for each data set.
    benchmark.pedantic(lambda fresh: fresh.fingerprint, setup=lambda: ((random_dataset(5000),), {}), rounds=3)


def test_derive_seed(benchmark):
    benchmark(derive_seed, 0, "dropout", 3, 7)
