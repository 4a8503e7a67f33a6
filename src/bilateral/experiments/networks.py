"""The runs of an experiment's networks, for any seed, as the table of published rows says."""

import warnings
from bisect import bisect_left
from dataclasses import replace
from functools import reduce
from typing import Any

from ..base.errors import CheckpointError, ConfigError
from ..base.own_code import refuse_strange
from ..data.images import HierarchicalDataset
from ..models.config import SIDES, ModelConfig
from ..runs.checks import check_level
from ..runs.config import Config, with_settings
from ..runs.experiment_config import ExperimentConfig
from ..runs.plan import Run, alone, named_weights, prefix_of
from ..training import checkpoint
from .cost import Costs
from .published import ROWS, SYSTEM, PublishedRow, find

SEED_STEP = 1000
"""The networks of a seed that must differ from its first one (members of an ensemble, a second hemisphere of one
kind) have the seeds that follow it by multiples of this."""


def settings_of(config: Config) -> ExperimentConfig:
    """The settings of a config's experiment; the defaults where it says nothing of one."""
    whole = {"end_to_end": config.training, "fine_tuning": config.training}
    return config.experiment or ExperimentConfig.model_validate(whole)


class Networks:
    """The runs of a config's networks, or of those of a variant, which shares what it does not change."""

    def __init__(self, config: Config, dataset: HierarchicalDataset) -> None:
        self.settings = settings_of(config)
        self.config = config.model_copy(update={"experiment": self.settings.model_copy(update={"variants": {}})})
        self.dataset, self.costs = dataset, Costs(config, dataset)
        self.published: Networks | None = None
        self._intact: Networks | None = None
        self._roles: dict[str, str] = {}
        self._configs: dict[str, Config] = {}

    def of_variant(self, name: str) -> "Networks":
        """The networks as they are with the settings of a variant."""
        variant = self.settings.variants[name]
        made = Networks(with_settings(self.config, variant.set), self.dataset)
        made.published = self
        made._roles = {row: name if row == variant.base else f"{name}: {row}" for row in ROWS}
        return made

    def of_row(self, name: str, seed: int) -> tuple[Run, ...]:
        """The runs that a published row is made of; none where it is a given hemisphere that cannot be tested."""
        row = find(name)
        assert row is not None
        if name in SIDES and not self._can_be_tested(name):
            return ()
        return tuple(self.run(network, seed + number * SEED_STEP) for network, number in row.of or [(name, 0)])

    def run(self, name: str, seed: int) -> Run:
        """The run of a published row that is a network of its own."""
        if name in SIDES and self.config.model.hemispheres[name].checkpoint is not None:
            return self._test(name, seed)
        row, given = ROWS[name], named_weights(self.config.model)
        if name not in self._configs:
            self._configs[name] = self._config(name, row)
        config, role = self._configs[name], self._roles.get(name, name)
        if config.model.lesions != config.model.lesions_in_training:
            return self._lesioned(name, Run(config, seed, role))
        parents = {
            prefix: self.run(other, seed + number * SEED_STEP)
            for prefix, (other, number) in row.weights.items()
            if prefix not in given
        }
        run = Run(config, seed, role, parents)
        # A variant has the published run where it does not change it.
        if self.published and not row.match and same(run, shared := self.published.run(name, seed)):
            return shared
        return run

    def _lesioned(self, name: str, run: Run) -> Run:
        """The test, with lesions, of a network that was trained without them, as was all that it comes from."""
        if self._intact is None:
            model = self.config.model.model_copy(update={"lesions": self.config.model.lesions_in_training})
            self._intact = Networks(self.config.model_copy(update={"model": model}), self.dataset)
            self._intact.published = self.published
            self._intact._roles = {row: f"{self._roles.get(row, row)}, intact" for row in ROWS}
        model = _as_it_comes(run.config.model)
        update = {"name": f"{run.config.name}.lesioned", "train": False, "model": model}
        return Run(run.config.model_copy(update=update), run.seed, run.role, {"": self._intact.run(name, run.seed)})

    def _config(self, name: str, row: PublishedRow) -> Config:
        """The config of a row's own network."""
        config = with_settings(self.config, {**row.set, **self._matched(name, row)})
        model = alone(config.model, row.side) if row.side else config.model
        model = model.model_copy(update={side: model.hemispheres[other] for side, other in row.copies.items()})
        trained = {
            side: hemisphere.model_copy(
                update={"freeze": frozen, "plasticity": None if frozen else hemisphere.plasticity}
            )
            for side, hemisphere in model.hemispheres.items()
            if prefix_of(side) in row.weights
            for frozen in [hemisphere.freeze is not False]
        }
        update = {
            "name": config.name if name in SYSTEM else f"{config.name}.{name}",
            "model": model.model_copy(update=trained),
            "training": reduce(getattr, row.training.split("."), config),
            "experiment": None,
        }
        return config.model_copy(update=update)

    def _matched(self, name: str, row: PublishedRow) -> dict[str, Any]:
        """The setting that is computed so that a row of one hemisphere has something in common with the specialised."""
        if row.match is None:
            return {}
        plain = self._config(name, replace(row, match=None))
        if row.match == "parameters":
            return {f"model.{row.side}.width": self._width(name, plain.model, str(row.side))}
        specialised, training = self.run("specialised", 0), plain.training
        total = sum(self.costs.training(run) for run in (specialised, *specialised.parents.values()))
        epochs = max(1, round(total / (self.costs.training(Run(plain, 0)) / training.epochs)))
        # With the same share of them for the warm-up.
        warmup = training.warmup_epochs * epochs / training.epochs
        return {f"{row.training}.epochs": epochs, f"{row.training}.warmup_epochs": warmup}

    def _width(self, name: str, model: ModelConfig, side: str) -> float:
        """The width, to 1/256, at which a hemisphere's parameters are nearest to the bilateral network's."""

        def parameters(width: float) -> int:
            hemisphere = model.hemispheres[side].model_copy(update={"width": width})
            return self.costs.parameters(model.model_copy(update={side: hemisphere}))

        wanted = self.costs.parameters(self.config.model)
        narrow = model.hemispheres[side].width
        low, high = round(narrow * 256), round(narrow * 4 * 256)
        try:
            most = parameters(high / 256)
        except ConfigError as error:  # a backbone of fixed width
            raise ConfigError(f"experiment.rows: {error}; leave {name} out") from error
        if most < wanted:
            raise ConfigError(
                f"experiment.rows: no width up to {high / 256:g} gives one hemisphere as many parameters as the "
                f"bilateral network has ({wanted:,}); leave {name} out"
            )
        high = low + 1 + bisect_left(range(low + 1, high), wanted, key=lambda number: parameters(number / 256))
        return min((high - 1) / 256, high / 256, key=lambda width: abs(parameters(width) - wanted))

    def _can_be_tested(self, side: str) -> bool:
        """Whether a hemisphere that is given stands under a head for its labels; if not, warn."""
        hemisphere = self.config.model.hemispheres[side]
        if hemisphere.checkpoint is None:
            return True
        model = checkpoint.read(hemisphere.checkpoint).description.model
        level = "fine" if hemisphere.level == "both" else hemisphere.level
        if model.mode_hemis == "unilateral" and level in model.levels:
            return True
        if model.mode_hemis == "unilateral":
            check_level(side, hemisphere, model)
        warnings.warn(
            f"{hemisphere.checkpoint}, given as the {side} hemisphere, is no network of one hemisphere under a {level} "
            f"head: the table has no row for {side} alone",
            stacklevel=2,
        )
        return False

    def _test(self, side: str, seed: int) -> Run:
        """The test of a network of one hemisphere that is given. It may need the code that the user names, no other."""
        given = self.config.model.hemispheres[side]
        model = checkpoint.read(given.checkpoint).description.model  # type: ignore[arg-type]
        named = {given.arch, *(part.kind for part in given.parts.values()), *self.config.own_code}
        refuse_strange(model.kinds, named, str(given.checkpoint), CheckpointError)
        model = _as_it_comes(model).model_copy(update={"checkpoint": given.checkpoint, "mode_out": "pred"})
        update = {"name": f"{self.config.name}.given", "model": model, "train": False, "experiment": None}
        return Run(self.config.model_copy(update=update), seed, side)


def _as_it_comes(model: ModelConfig) -> ModelConfig:
    """A network of which nothing is frozen, or comes from a checkpoint of a hemisphere."""
    plain = {"freeze": False, "checkpoint": None}
    return model.model_copy(
        update={side: hemisphere.model_copy(update=plain) for side, hemisphere in model.hemispheres.items()}
    )


def same(one: Run, other: Run) -> bool:
    """Tell whether two runs of one experiment are the same but for the row that they are planned for."""
    return (
        all(getattr(one.config, key) == getattr(other.config, key) for key in ("model", "training", "checkpoints"))
        and one.parents.keys() == other.parents.keys()
        and all(same(parent, other.parents[prefix]) for prefix, parent in one.parents.items())
    )
