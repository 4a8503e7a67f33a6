"""Opening the data set."""

import time

from ..data import sources
from ..data.config import DataConfig


def measure_loading(config: DataConfig) -> dict[str, float]:
    """Load the config's data set once.

    Keys: `loading_s`, `loading_images_per_s`, `loading_bytes` (of its tensors in memory).
    Raises ConfigError or DataError where it cannot be loaded.
    """
    source = sources.SOURCES.get(config.name)
    if source is not None and "num_workers" not in source.reads:
        # The plain baseline reads it, so it may well be set; the source would refuse it.
        config = config.model_copy(update={"num_workers": DataConfig().num_workers})
    started = time.perf_counter()
    splits = sources.load(config).splits().values()
    seconds = time.perf_counter() - started
    tensors = [tensor for split in splits for tensor in (split.images, split.fine, split.coarse)]
    return {
        "loading_s": seconds,
        "loading_images_per_s": sum(len(split) for split in splits) / seconds,
        "loading_bytes": sum(tensor.nbytes for tensor in tensors),
    }
