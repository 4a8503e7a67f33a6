"""All measurements, one after another, compared with each other."""

import logging
from collections.abc import Callable, Collection, Mapping
from typing import Any

from ..base.errors import BilateralError, ConfigError
from ..runs.config import Config
from ..runs.runner import commit
from ..training.device import choose_device, describe_machine
from .child import in_child
from .company import measure_at_once, measure_beside
from .machine import measure_loading, measure_peak
from .plain import measure_plain
from .subject import measured_config
from .training import measure_compiled, measure_head_stage, measure_memory, measure_training

log = logging.getLogger(__name__)

Measured = Mapping[str, float | str | None]

MEASUREMENTS: dict[str, Callable[[Config, int], Measured]] = {
    "peak": lambda config, _: measure_peak(choose_device(config.training.device)),
    "loading": lambda config, _: measure_loading(config.data),
    "plain": lambda config, count: in_child(measure_plain, config, count),
    "training": measure_training,
    "at_once": measure_at_once,
    "beside": measure_beside,
    "compiled": lambda config, count: in_child(measure_compiled, config, count),
    "head_stage": measure_head_stage,
    "memory": lambda config, count: in_child(measure_memory, config, count),
}


def measure(config: Config, count: int, only: Collection[str] = ()) -> dict[str, Any]:
    """Do all measurements of a config, or those named in `only`, with `count` random images where they train.

    Gives `commit`, `machine`, `settings`, `measurements` (a flat dict of all figures, whose keys end in their units)
    and `failures` (by measurement, why it gave none). Raises ConfigError, before anything is measured, for an unknown
    name, and for a config that cannot be measured.
    """
    unknown = sorted(set(only) - set(MEASUREMENTS))
    if unknown:
        raise ConfigError(f"--only: unknown measurement {unknown[0]!r}; there are {', '.join(MEASUREMENTS)}")
    config = measured_config(config, count)
    chosen = [name for name in MEASUREMENTS if name in only or not only]
    measured: dict[str, float | str | None] = {}
    failures: dict[str, str] = {}
    for number, name in enumerate(chosen, 1):
        log.info("%d/%d: %s", number, len(chosen), name.replace("_", " "))
        try:
            measured |= MEASUREMENTS[name](config, count)
        except (BilateralError, RuntimeError) as error:  # such as no memory on a GPU
            failures[name] = str(error)
    hemispheres, training = config.model.hemispheres, config.training
    return {
        "commit": commit(),
        "machine": describe_machine(choose_device(training.device)),
        "settings": {
            "arch": {side: hemisphere.arch for side, hemisphere in hemispheres.items()},
            "width": {side: hemisphere.width for side, hemisphere in hemispheres.items()},
            "mode_heads": config.model.mode_heads,
            "batch_size": training.batch_size,
            "precision": training.precision,
            "images": count,
            "data": config.data.name,
            "num_workers": config.data.num_workers,
        },
        "measurements": measured | comparisons(measured, training.precision),
        "failures": failures,
    }


def comparisons(measured: Measured, precision: str) -> dict[str, float]:
    """Relate the measurements that there are to each other.

    Keys: `training_median_peak_share`, `training_fastest_peak_share` and `compiled_peak_share`, of the peak in
    `precision`; `training_over_plain_ratio`, `at_once_over_training_ratio`, `compiled_over_training_ratio`.
    """
    peak = f"peak_{precision}_flops_per_s"
    quotients = {
        "training_median_peak_share": ("training_median_flops_per_s", peak),
        "training_fastest_peak_share": ("training_fastest_flops_per_s", peak),
        "compiled_peak_share": ("compiled_flops_per_s", peak),
        "training_over_plain_ratio": ("training_median_images_per_s", "plain_training_images_per_s"),
        "at_once_over_training_ratio": ("at_once_images_per_s", "training_median_images_per_s"),
        "compiled_over_training_ratio": ("compiled_images_per_s", "training_median_images_per_s"),
    }
    related = {}
    for name, (above, below) in quotients.items():
        numerator, denominator = measured.get(above), measured.get(below)
        if isinstance(numerator, int | float) and isinstance(denominator, int | float):
            related[name] = numerator / denominator
    return related
