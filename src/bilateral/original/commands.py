"""The original code's two command lines, `trainer.py` and `train_system.py`, on top of ours."""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..base.errors import ConfigError
from ..base.yaml_files import YamlError, read_yaml
from ..cli.terminal import exit_with
from ..cli.train_commands import print_table, train
from ..experiments.run import system
from ..models.config import SIDES
from ..runs.config import Config, check_config, is_documented, read_config
from ..runs.overrides import override
from ..training.config import TrainingConfig
from .keys import warn


def trainer(arguments: Sequence[str] | None = None) -> None:
    """`python trainer.py [--config FILE] [key=value ...]`."""
    parser = argparse.ArgumentParser(description="Train, validate and test one network for every seed of a config.")
    parser.add_argument("--config", type=Path, default=Path("configs/config.yaml"), help="default: %(default)s")
    parser.add_argument("overrides", nargs="*", metavar="key=value", help="settings that override the config's")
    options = parser.parse_intermixed_args(arguments)
    exit_with(lambda: train(str(options.config), *options.overrides))


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
        help="how each hemisphere is trained alone (its training settings); default: %(default)s",
    )
    parser.add_argument(
        "--bi_base_config",
        type=Path,
        default=Path("configs/published/bilateral_specialised.yaml"),
        help="hemispheres, heads, data and protocol; default: %(default)s",
    )
    parser.add_argument("--no_bilateral", action="store_true", help="train the hemispheres only")
    parser.add_argument("--num_seeds", type=int, metavar="N", help="seeds 0 to N-1; default: 1")
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
        "overrides",
        nargs="*",
        metavar="key=value",
        help="settings that override the configs'; training.KEY in all three stages",
    )
    options = parser.parse_intermixed_args(arguments)
    exit_with(lambda: _train_system(options))


def _train_system(options: argparse.Namespace) -> None:
    configs = _system_configs(options)
    seeds = [seed for config in configs for seed in config.seeds]
    whole = configs[0].model_copy(update={"seeds": seeds})
    system(whole, (), not options.no_bilateral, configs, lambda table: print_table(table, whole))


def _system_configs(options: argparse.Namespace) -> list[Config]:
    """One config for all seeds, or one a seed where the hemispheres are given."""
    pairs = None if options.trained_models is None else _read_pairs(options.trained_models)
    seeds = options.num_seeds if options.num_seeds is not None else len(pairs or [None])
    if seeds < 1 or (pairs is not None and seeds != len(pairs)):
        allowed = "1 or more" if pairs is None else f"the number of trained pairs, {len(pairs)}"
        raise ConfigError(f"--num_seeds: must be {allowed}, not {seeds}")
    joined = read_config(options.bi_base_config, [text for text in options.overrides if is_documented(text)])
    values = joined.model_dump(mode="json") | {"seeds": list(range(seeds))}
    fine, coarse, bilateral = options.epochs or (None, None, None)
    values["training"] = _with_epochs(joined, bilateral)
    for side in SIDES:
        if values["model"].get(side):
            if values["model"][side].pop("checkpoint", None) and pairs is None:
                warn(
                    f"{options.bi_base_config}: the checkpoint of the {side} hemisphere is not used; it is trained anew"
                )
            if options.arch:
                values["model"][side]["arch"] = options.arch
    overrides = [text for text in options.overrides if not is_documented(text)]
    if pairs is None:
        # How the hemispheres are trained: their own config says it, which nobody reads where they are given.
        alone = read_config(options.uni_base_config)
        values["pretraining"] = {"left": _with_epochs(alone, fine), "right": _with_epochs(alone, coarse)}
        of_training = [text for text in overrides if text.startswith("training.")]
        overrides = [
            f"pretraining.{side}.{text.removeprefix('training.')}" for side in SIDES for text in of_training
        ] + overrides
        values = override(values, overrides, Config)
        config = check_config(values, str(options.bi_base_config))
        _tell_differences(alone, joined, options)
        return [config]
    values = override(values | {"pretraining": {}}, overrides, Config)
    if options.epochs:
        warn("--epochs: FINE and COARSE have no effect on hemispheres that are given by --trained_models")
    configs = []
    for seed, pair in enumerate(pairs):
        sides = {side: {**(values["model"].get(side) or {}), "checkpoint": path} for side, path in zip(SIDES, pair)}
        given = values | {"seeds": [seed], "model": values["model"] | sides}
        configs.append(check_config(given, str(options.trained_models)))
    return configs


def _with_epochs(config: Config, epochs: int | None) -> dict[str, Any]:
    """What a config's training settings add to their recipe, with other epochs."""
    training = config.training
    plain = TrainingConfig.model_validate({"recipe": training.recipe, "epochs": training.epochs}).model_dump(
        mode="json"
    )
    values = {key: value for key, value in training.model_dump(mode="json").items() if value != plain[key]}
    return {**values, "recipe": training.recipe, "epochs": training.epochs if epochs is None else epochs}


def _tell_differences(alone: Config, joined: Config, options: argparse.Namespace) -> None:
    """Warn of what the hemispheres' own config says otherwise than the bilateral one, whose word counts."""
    hemisphere, left = next(iter(alone.model.hemispheres.values())), joined.model.hemispheres["left"]
    pairs = {
        "data": (alone.data, joined.data),
        "protocol": (alone.protocol, joined.protocol),
        "model.dropout": (alone.model.dropout, joined.model.dropout),
        "width": (hemisphere.width, left.width),
        "sparsity": (hemisphere.sparsity, left.sparsity),
        "arch": (options.arch or hemisphere.arch, options.arch or left.arch),
    }
    differing = [name for name, (one, other) in pairs.items() if one != other]
    if differing:
        warn(
            f"of {options.uni_base_config} the training settings count; what it says of {', '.join(differing)} differs "
            f"from {options.bi_base_config} and has no effect"
        )


def _read_pairs(path: Path) -> list[tuple[str, str]]:
    try:
        lists = read_yaml(path)
        fine, coarse = lists["fine_checkpoints"], lists["coarse_checkpoints"]
    except (OSError, YamlError, KeyError, TypeError) as error:
        reason = (isinstance(error, OSError) and error.strerror) or error
        raise ConfigError(
            f"--trained_models: {path} must be YAML with the lists fine_checkpoints and coarse_checkpoints ({reason})"
        ) from error
    if not isinstance(fine, list) or not isinstance(coarse, list) or len(fine) != len(coarse) or not fine:
        raise ConfigError(f"--trained_models: the two lists in {path} must be of one length, at least 1")
    if not all(isinstance(item, str) for item in [*fine, *coarse]):
        raise ConfigError(f"--trained_models: the lists in {path} must hold paths of checkpoints")
    return list(zip(fine, coarse))
