"""The rows of the published experiment: which networks stand in each, and how their predictions are put together."""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial

from ..base.errors import ConfigError
from ..data.images import HierarchicalDataset
from ..models.config import LEVEL_OF_SIDE, SIDES, HemisphereConfig, ModelConfig
from ..runs.config import Config, ContrastsConfig, ExperimentConfig
from ..runs.plan import WHOLE, Run, hemisphere_config
from ..runs.predictions import Combination, ensemble, hemispheres_ensemble, side_by_side
from ..training.config import TrainingConfig
from .contrasts import check_family
from .cost import Costs

SEED_STEP = 1000
"""The networks of a seed that must differ from its first one (members of an ensemble, a second hemisphere of one
kind) have the seeds that follow it by multiples of this."""


@dataclass(frozen=True)
class Row:
    """One line of the table: for each seed the runs whose predictions it is made of, and how."""

    name: str
    title: str
    runs: Mapping[int, tuple[Run, ...]]
    combine: Combination


class Networks:
    """The runs of an experiment's networks, for any seed. Hemispheres and heads are those of the config's `model`."""

    def __init__(self, config: Config, dataset: HierarchicalDataset) -> None:
        self.config, self.costs = config, Costs(config, dataset)
        self.settings = config.experiment or ExperimentConfig.model_validate(
            {"end_to_end": config.training, "fine_tuning": config.training}
        )

    def hemisphere(self, side: str, seed: int) -> Run:
        """A hemisphere under its own head."""
        return Run(self._named(hemisphere_config(self.config, side)), seed, side)

    def unilateral(self, seed: int) -> Run:
        """The left hemisphere's architecture under both heads."""
        return Run(self._whole(self._unilateral(self._left.width), "unilateral"), seed, "unilateral")

    def unilateral_long(self, seed: int) -> Run:
        """The same, trained until it has cost as many FLOPs as the specialised network with its hemispheres."""
        training = self._lengthened(self.settings.end_to_end, self._matched_epochs)
        config = self._whole(self._unilateral(self._left.width), "unilateral_long")
        return Run(config.model_copy(update={"training": training}), seed, "unilateral_long")

    def unilateral_wide(self, seed: int) -> Run:
        """The same, widened until it has as many parameters as the bilateral network."""
        return Run(self._whole(self._unilateral(self._matched_width), "unilateral_wide"), seed, "unilateral_wide")

    def nonspecialised(self, seed: int) -> Run:
        """The bilateral network, trained whole from fresh weights."""
        return Run(self._whole(self._bilateral(False), "nonspecialised"), seed, "nonspecialised")

    def specialised(self, seed: int) -> Run:
        """The published one: left and right, each trained on its own labels, then frozen under two heads."""
        parents = {side: self.hemisphere(side, seed) for side in SIDES}
        return Run(self._named(self.config, model=self._bilateral(True)), seed, "specialised", parents)

    def alike(self, side: str, seed: int) -> Run:
        """Two hemispheres of one kind, of different seeds, frozen under two heads."""
        own = self.config.model.hemispheres[side].model_copy(update={"freeze": True})
        parents = dict(zip(SIDES, (self.hemisphere(side, seed), self.hemisphere(side, seed + SEED_STEP))))
        role = f"two_{side}"
        model = self.config.model.model_copy(update=dict.fromkeys(SIDES, own))
        return Run(self._named(self.config, role, model=model), seed, role, parents)

    def untrained(self, seed: int) -> Run:
        """Two hemispheres as they are initialised, under two heads, which alone are trained."""
        return Run(self._named(self.config, "untrained", model=self._bilateral("untrained")), seed, "untrained")

    def fine_tuned(self, seed: int) -> Run:
        """The specialised network, then trained on as a whole."""
        config = self._named(
            self.config, "fine_tuned", model=self._bilateral(False), training=self.settings.fine_tuning
        )
        return Run(config, seed, "fine_tuned", {WHOLE: self.specialised(seed)})

    @property
    def _left(self) -> HemisphereConfig:
        return self.config.model.hemispheres["left"]

    def _unilateral(self, width: float) -> ModelConfig:
        left = self._left.model_copy(update={"level": "both", "freeze": False, "width": width})
        return self.config.model.model_copy(update={"mode_hemis": "unilateral", "left": left, "right": None})

    def _bilateral(self, freeze: bool | str) -> ModelConfig:
        hemispheres = self.config.model.hemispheres.items()
        frozen = {side: hemisphere.model_copy(update={"freeze": freeze}) for side, hemisphere in hemispheres}
        return self.config.model.model_copy(update=frozen)

    def _whole(self, model: ModelConfig, role: str) -> Config:
        return self._named(self.config, role, model=model, training=self.settings.end_to_end)

    def _named(self, config: Config, role: str = "", **update: object) -> Config:
        """The config of one of the experiment's runs. Those that `system` does too have the names that it gives."""
        name = f"{config.name}.{role}" if role else config.name
        return config.model_copy(update={"name": name, "experiment": None, **update})

    def parameters(self, model: ModelConfig) -> int:
        """How many parameters a network has on this data set."""
        return self.costs.network(model).parameters

    @staticmethod
    def _lengthened(training: TrainingConfig, epochs: int) -> TrainingConfig:
        """The same training over more epochs, or fewer, with the same share of them for the warm-up."""
        warmup = training.warmup_epochs * epochs / training.epochs
        return training.model_copy(update={"epochs": epochs, "warmup_epochs": warmup})

    @cached_property
    def _matched_epochs(self) -> int:
        """The number of epochs in which the unilateral network costs what the specialised one does in all."""
        specialised, unilateral = self.specialised(0), self.unilateral(0)
        whole = [specialised, *specialised.parents.values()]
        total = sum(self.costs.run(run).training_flops for run in whole)
        epoch = self.costs.run(unilateral).training_flops / unilateral.config.training.epochs
        return max(1, round(total / epoch))

    @cached_property
    def _matched_width(self) -> float:
        """The width, to 1/256, at which the unilateral network's parameters are nearest to the bilateral one's."""
        wanted = self.parameters(self._bilateral(False))
        low, high = round(self._left.width * 256), round(self._left.width * 4 * 256)
        try:
            most = self.parameters(self._unilateral(high / 256))
        except ConfigError as error:  # a backbone of fixed width
            raise ConfigError(f"experiment.rows: {error}; leave unilateral_wide out") from error
        if most < wanted:
            raise ConfigError(
                f"experiment.rows: no width up to {high / 256:g} gives one hemisphere as many parameters as the "
                f"bilateral network has ({wanted:,}); leave unilateral_wide out"
            )
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if self.parameters(self._unilateral(middle / 256)) < wanted else (low, middle)
        return min(low / 256, high / 256, key=lambda width: abs(self.parameters(self._unilateral(width)) - wanted))


@dataclass(frozen=True)
class Kind:
    """A kind of row: its title, the networks of a seed that it is made of, and how their predictions are combined."""

    title: str
    networks: Sequence[Callable[[Networks, int], Run]]
    combine: Combination = lambda predictions, _: predictions[0]


def _left(networks: Networks, seed: int) -> Run:
    return networks.hemisphere("left", seed)


def _right(networks: Networks, seed: int) -> Run:
    return networks.hemisphere("right", seed)


KINDS: dict[str, Kind] = {
    "left": Kind("left alone", [_left]),
    "right": Kind("right alone", [_right]),
    "side_by_side": Kind("left and right, not joined", [_left, _right], side_by_side),
    "unilateral": Kind("one hemisphere, both heads", [Networks.unilateral]),
    "unilateral_long": Kind("one hemisphere, as much training", [Networks.unilateral_long]),
    "unilateral_wide": Kind("one hemisphere, as many parameters", [Networks.unilateral_wide]),
    "nonspecialised": Kind("bilateral, not specialised", [Networks.nonspecialised]),
    "two_left": Kind("bilateral, two left", [lambda networks, seed: networks.alike("left", seed)]),
    "two_right": Kind("bilateral, two right", [lambda networks, seed: networks.alike("right", seed)]),
    "untrained": Kind("bilateral, untrained", [Networks.untrained]),
    "specialised": Kind("bilateral, specialised", [Networks.specialised]),
    "fine_tuned": Kind("bilateral, specialised, fine-tuned", [Networks.fine_tuned]),
    "hemispheres_ensemble": Kind("ensemble of left and right", [_left, _right], hemispheres_ensemble),
}
"""The rows by the names that a config gives them, but for ensembles, of which there is one for each size and mean."""


def ensemble_kinds(sizes: Sequence[int]) -> dict[str, Kind]:
    """The rows that `ensemble` stands for: the mean of the logits, or of the probabilities, of two-headed networks."""
    kinds = {}
    for size in sizes:
        members = [
            lambda networks, seed, number=number: networks.unilateral(seed + number * SEED_STEP)
            for number in range(size)
        ]
        for average, suffix in (("logits", ""), ("probabilities", "_probabilities")):
            combine = partial(ensemble, average=average)
            kinds[f"ensemble_{size}{suffix}"] = Kind(f"ensemble of {size}, mean {average}", members, combine)
    return kinds


TELLS = {
    "unilateral_long": "one hemisphere is as good when it is trained as long as both and their heads",
    "unilateral_wide": "one hemisphere of the same size is as good",
    "nonspecialised": "two hemispheres that are not specialised are as good",
    "two_left": "two hemispheres of one kind are as good",
    "ensemble_2": "two whole networks whose answers are averaged are as good",
}
"""What a comparison of the specialised network with a row tells: the clause after "whether"."""


def without(family: ContrastsConfig, there: Collection[str]) -> list[str]:
    """Say what stays open for want of each row that a family of contrasts names."""
    found = []
    for name in family.rows:
        if name not in there:
            title = f"“{KINDS[name].title}”" if name in KINDS else name
            opens = f", so it stays open whether {TELLS[name]}" if name in TELLS else ""
            found.append(f"There is no result of {title} ({name}){opens}.")
    return found


def plan_rows(config: Config, dataset: HierarchicalDataset) -> list[Row]:
    """Give the table's rows with all of their runs; nothing is run.

    Raises ConfigError for a config that no such experiment can be made of.
    """
    model, seeds = config.model, config.seeds
    if model.mode_hemis != "bilateral" or model.mode_heads != "both":
        raise ConfigError(
            "an experiment is about bilateral networks with two heads: mode_hemis bilateral, mode_heads both"
        )
    given = [f"model.{side}.checkpoint" for side in SIDES if model.hemispheres[side].checkpoint]
    if model.checkpoint or given:
        raise ConfigError(
            f"{given[0] if given else 'model.checkpoint'}: an experiment trains all of its networks itself"
        )
    frozen = [side for side in SIDES if model.hemispheres[side].freeze not in (None, True)]
    if frozen:
        raise ConfigError(f"model.{frozen[0]}.freeze: has no effect, since each row says what it freezes; leave it out")
    if not config.evaluate:
        raise ConfigError("evaluate: an experiment's table is of tested networks; it must be true")
    networks = Networks(config, dataset)
    settings = networks.settings
    check_family(settings.contrasts, KINDS)
    kinds: dict[str, Kind] = {}
    for name in settings.rows:
        if name not in settings.without:
            kinds |= ensemble_kinds(settings.ensemble_sizes) if name == "ensemble" else {name: KINDS[name]}
    _check_levels(model, kinds)
    rows = [
        Row(
            name,
            kind.title,
            {seed: tuple(make(networks, seed) for make in kind.networks) for seed in seeds},
            kind.combine,
        )
        for name, kind in kinds.items()
    ]
    _check_seeds(rows)
    return rows


def _check_levels(model: ModelConfig, names: Iterable[str]) -> None:
    """See that the hemispheres alone have the heads that are combined."""
    combined = [name for name in names if KINDS.get(name) and len(KINDS[name].networks) > 1]
    for side, level in LEVEL_OF_SIDE.items():
        given = model.hemispheres[side].level
        if combined and given not in (level, "both"):
            raise ConfigError(
                f"model.{side}.level: is {given}, but {' and '.join(combined)} take{'s' * (len(combined) == 1)} the "
                f"{level} prediction of the {side} hemisphere: leave {'them' if len(combined) > 1 else 'it'} out "
                "(experiment.without)"
            )


def _check_seeds(rows: Sequence[Row]) -> None:
    """See that no network of one seed is also one of another."""
    used: dict[tuple[str, int], int] = {}
    for row in rows:
        for seed, runs in row.runs.items():
            parents = [parent for run in runs for parent in run.parents.values()]
            for each in (*runs, *parents):
                other = used.setdefault((each.config.name + each.role, each.seed), seed)
                if other != seed:
                    first, second = sorted((seed, other))
                    raise ConfigError(
                        f"seeds: {first} and {second} share networks in the row {row.name}, for the second hemisphere "
                        f"of a kind and the members of an ensemble of seed s have the seeds s + {SEED_STEP}, "
                        f"s + {2 * SEED_STEP}, ...; choose seeds below {SEED_STEP}"
                    )
