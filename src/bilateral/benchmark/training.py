"""Training by the loop that every command uses."""

import statistics

from ..base.temporary import temporary_folder
from ..runs.config import Config
from ..training.loop import train
from .flops import training_flops
from .subject import epoch_seconds, training_job

EPOCHS = 3


def measure_training(config: Config, count: int, epochs: int = EPOCHS) -> dict[str, float]:
    """Train the network of a `measured_config` on `count` random images.

    Keys: `training_median_images_per_s` and `training_median_flops_per_s` (useful ones) of the median epoch,
    `training_fastest_images_per_s` and `training_fastest_flops_per_s` of the fastest, `training_per_image_flops`.
    Raises what `train` raises.
    """
    with temporary_folder() as folder:
        # Not compiled, whatever the config says: that is a measurement of its own.
        train(training_job(config, count, folder, epochs=epochs, compile=False))
        seconds = epoch_seconds(folder)
    flops = training_flops(config.model)
    median, fastest = count / statistics.median(seconds), count / min(seconds)
    return {
        "training_median_images_per_s": median,
        "training_fastest_images_per_s": fastest,
        "training_per_image_flops": flops,
        "training_median_flops_per_s": median * flops,
        "training_fastest_flops_per_s": fastest * flops,
    }
