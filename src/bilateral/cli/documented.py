"""The original code's two command lines, `trainer.py` and `train_system.py`, on top of ours."""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from ..base.errors import ConfigError
from ..experiment.config import Config, read_config
from .main import exit_with
from .training import run_and_print, train


def trainer(arguments: Sequence[str] | None = None) -> None:
    """`python trainer.py [--config FILE] [key=value ...]`."""
    parser = argparse.ArgumentParser(description="Train, validate and test one network for every seed of a config.")
    parser.add_argument("--config", type=Path, default=Path("configs/config.yaml"), help="default: %(default)s")
    parser.add_argument("overrides", nargs="*", metavar="key=value", help="settings that override the config's")
    options = parser.parse_args(arguments)
    exit_with(lambda: train(options.config, options.overrides))


def train_system(arguments: Sequence[str] | None = None) -> None:
    """`python train_system.py`, with the options that the original code documents."""
    parser = argparse.ArgumentParser(
        description="Train left and right hemispheres for every seed, then the bilateral network on each pair."
    )
    parser.add_argument("--arch", help="backbone of both hemispheres; default: as the bilateral config says")
    parser.add_argument(
        "--uni_base_config",
        type=Path,
        default=Path("configs/published/single_hemisphere.yaml"),
        help="how each hemisphere is trained alone; default: %(default)s",
    )
    parser.add_argument(
        "--bi_base_config",
        type=Path,
        default=Path("configs/published/bilateral_specialised.yaml"),
        help="the bilateral network and its data; default: %(default)s",
    )
    parser.add_argument("--no_bilateral", action="store_true", help="train the hemispheres only")
    parser.add_argument("--num_seeds", type=int, default=1, help="seeds 0 to N-1; default: %(default)s")
    parser.add_argument(
        "--epochs", type=int, nargs=3, metavar=("FINE", "COARSE", "BILATERAL"), help="epochs of the three stages"
    )
    parser.add_argument(
        "--trained_models",
        type=Path,
        metavar="FILE",
        help="YAML lists fine_checkpoints and coarse_checkpoints: hemispheres that need no training",
    )
    parser.add_argument(
        "overrides", nargs="*", metavar="key=value", help="settings that override the bilateral config's"
    )
    options = parser.parse_args(arguments)
    exit_with(lambda: run_and_print(_system_configs(options), not options.no_bilateral, as_json=False))


def _system_configs(options: argparse.Namespace) -> list[Config]:
    """One config for all seeds, or one a seed where the hemispheres are given."""
    if options.num_seeds < 1:
        raise ConfigError(f"--num_seeds: must be 1 or more, not {options.num_seeds}")
    alone = read_config(options.uni_base_config)
    overrides = [f"seeds={list(range(options.num_seeds))}", *options.overrides]
    if options.arch:
        overrides += [f"model.{side}.arch={options.arch}" for side in ("left", "right")]
    if options.epochs:
        overrides.append(f"training.epochs={options.epochs[2]}")
    joined = read_config(options.bi_base_config, overrides)
    stages = {}
    for side, epochs in zip(("left", "right"), options.epochs or (None, None)):
        values = alone.training.model_dump() | ({"epochs": epochs} if epochs else {})
        stages[side] = type(alone.training).model_validate(values)
    model = joined.model.model_copy(
        update={
            side: hemisphere.model_copy(update={"checkpoint": None})
            for side, hemisphere in joined.model.hemispheres.items()
        }
    )
    pretraining = joined.pretraining.model_copy(update=stages)
    config = joined.model_copy(update={"model": model, "pretraining": pretraining})
    if options.trained_models is None:
        return [config]
    return [
        config.model_copy(update={"seeds": [seed], "model": _with_checkpoints(config, pair)})
        for seed, pair in enumerate(_read_pairs(options.trained_models))
    ]


def _with_checkpoints(config: Config, pair: tuple[Path, Path]) -> Any:
    hemispheres = zip(config.model.hemispheres.items(), pair)
    return config.model.model_copy(
        update={side: hemisphere.model_copy(update={"checkpoint": path}) for (side, hemisphere), path in hemispheres}
    )


def _read_pairs(path: Path) -> list[tuple[Path, Path]]:
    try:
        lists = yaml.safe_load(path.read_text(encoding="utf-8"))
        fine, coarse = lists["fine_checkpoints"], lists["coarse_checkpoints"]
    except (OSError, yaml.YAMLError, KeyError, TypeError) as error:
        raise ConfigError(
            f"--trained_models: {path} must be YAML with the lists fine_checkpoints and coarse_checkpoints ({error})"
        ) from error
    if not isinstance(fine, list) or not isinstance(coarse, list) or len(fine) != len(coarse) or not fine:
        raise ConfigError(f"--trained_models: the two lists in {path} must be of one length, at least 1")
    return [(Path(left), Path(right)) for left, right in zip(fine, coarse)]
