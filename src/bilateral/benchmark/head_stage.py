"""The last stage of a bilateral network: heads on two frozen hemispheres."""

import statistics
import time

from ..base.temporary import temporary_folder
from ..runs.config import Config
from ..training.loop import train
from .subject import epoch_seconds, training_job

EPOCHS, LIVE_EPOCHS = 20, 3


def measure_head_stage(
    config: Config, count: int, epochs: int = EPOCHS, live_epochs: int = LIVE_EPOCHS
) -> dict[str, float]:
    """Train the heads for `epochs` epochs on `count` random images, on kept features and with live hemispheres.

    The hemispheres are those of a `measured_config`; one of a single hemisphere has it on both sides. Kept: all of
    it is timed, with the features of `feature_views` views (1 where the config says 0), validation and checkpoints.
    Live: the median of `live_epochs` epochs but the first, without validation and checkpoints, is timed, and
    multiplied by `epochs`; so the ratio is a little too low rather than too high.
    Keys: `head_stage_kept_s`, `head_stage_live_epoch_s`, `head_stage_live_s` (of all epochs, extrapolated),
    `head_stage_live_over_kept_ratio`. Raises what `train` raises.
    """
    frozen = with_frozen_hemispheres(config)
    with temporary_folder() as folder:
        # Live comes first, so that what a process does once (imports, first calls) is in none of the figures.
        train(training_job(frozen, count, folder / "live", epochs=live_epochs, feature_views=0))
        live_epoch = statistics.median(epoch_seconds(folder / "live")[1:])
        views = config.training.feature_views or 1
        job = training_job(frozen, count, folder / "kept", epochs=epochs, feature_views=views)
        started = time.perf_counter()
        train(job)
        kept = time.perf_counter() - started
    return {
        "head_stage_kept_s": kept,
        "head_stage_live_epoch_s": live_epoch,
        "head_stage_live_s": live_epoch * epochs,
        "head_stage_live_over_kept_ratio": live_epoch * epochs / kept,
    }


def with_frozen_hemispheres(config: Config) -> Config:
    """Give the config of the bilateral network whose hemispheres are the config's, both frozen."""
    given = config.model.hemispheres
    only = next(iter(given.values()))
    left, right = (given.get(side, only).model_copy(update={"freeze": True}) for side in ("left", "right"))
    update = {"mode_hemis": "bilateral", "mode_heads": "both", "left": left, "right": right}
    return config.model_copy(update={"model": config.model.model_copy(update=update)})
