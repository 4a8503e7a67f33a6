"""The rows of an experiment's table: the runs that each is made of, for every seed, and what it is called."""

import difflib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from ..base.errors import ConfigError
from ..data.images import HierarchicalDataset
from ..models.config import LEVEL_OF_SIDE
from ..runs.config import Config
from ..runs.experiment_config import ExperimentConfig
from ..runs.plan import Run
from ..runs.predictions import Combination
from ..runs.variants import BASE_TITLE
from .networks import SEED_STEP, Networks, same, settings_of
from .published import DEFAULT, ENSEMBLE, ROWS, SYSTEM, PublishedRow, ensembles, find


@dataclass(frozen=True)
class Row:
    """One line of the table: for each seed the runs whose predictions it is made of, and how."""

    name: str
    title: str
    runs: Mapping[int, tuple[Run, ...]]
    combine: Combination


def find_row(name: str, settings: ExperimentConfig) -> PublishedRow | None:
    """The published row that a row is, or is made from; None where there is no such row."""
    return find(settings.variants[name].base if name in settings.variants else name)


def title_of(name: str, settings: ExperimentConfig) -> str:
    """What a row is called, by the config or as it was published."""
    row, variant = find_row(name, settings), settings.variants.get(name)
    published = row.title if row else name
    if variant and variant.title:
        published = variant.title.replace(BASE_TITLE, settings.titles.get(variant.base, published))
    return settings.titles.get(name, published)


def without(settings: ExperimentConfig, there: Collection[str]) -> list[str]:
    """Say what stays open for want of each row that the family of contrasts names."""
    found = []
    for name in settings.contrasts.rows:
        if name not in there:
            row = find(name)
            opens = f", so it stays open whether {row.tells}" if row and row.tells else ""
            found.append(f"There is no result of “{title_of(name, settings)}” ({name}){opens}.")
    return found


def plan_rows(config: Config, dataset: HierarchicalDataset, parts: Sequence[Config] = ()) -> list[Row]:
    """Give the table's rows with all of their runs; nothing is run.

    parts: the same experiment in parts, each with some of the seeds, whose hemispheres come from checkpoints of their
    own. Raises ConfigError for a config that no such experiment can be made of. Warns of a checkpoint that cannot be
    tested by itself, which leaves its row out.
    """
    settings = settings_of(config)
    names = _names(settings)
    base = {name: settings.variants[name].base if name in settings.variants else name for name in names}
    runs: dict[str, dict[int, tuple[Run, ...]]] = {name: {} for name in names}
    for part in parts or [config]:
        _check_settings(part, [name for name in names if name not in settings.variants], "")
        published = Networks(part, dataset)
        for name in names:
            networks, variant = published, settings.variants.get(name)
            if variant:
                networks = published.of_variant(name)
                _check_settings(networks.config, [base[name]], f"experiment.variants.{name}.set: ")
            for seed in part.seeds:
                if found := networks.of_row(base[name], seed):
                    runs[name][seed] = found
                    if variant and variant.set and all(map(same, found, published.of_row(base[name], seed))):
                        raise ConfigError(
                            f"experiment.variants.{name}: no network of the row {base[name]} reads "
                            f"{', '.join(variant.set)}; make it from another row, or leave it out"
                        )
    kinds = {name: row for name in names if (row := find(base[name])) and runs[name]}
    rows = [Row(name, title_of(name, settings), runs[name], row.combine) for name, row in kinds.items()]
    _check_seeds(rows)
    return rows


def _names(settings: ExperimentConfig) -> list[str]:
    """The names of the table's rows, in order. Raises ConfigError for a name that no row has."""
    for name, variant in settings.variants.items():
        if name == ENSEMBLE or find(name):
            raise ConfigError(f"experiment.variants: {name} is the name of a published row; choose another")
        _check_names([variant.base], settings, f"experiment.variants.{name}.from")
    family = settings.contrasts
    _check_names([name for name in (settings.rows or []) if name != ENSEMBLE], settings, "experiment.rows")
    _check_names([name for name in settings.without if name != ENSEMBLE], settings, "experiment.without")
    _check_names(settings.titles, settings, "experiment.titles")
    _check_names([family.row], settings, "experiment.contrasts.row")
    _check_names(family.against, settings, "experiment.contrasts.against")

    def single(names: Sequence[str]) -> list[str]:
        sizes = [row for size in settings.ensemble_sizes for row in ensembles(size)]
        return [row for name in names for row in (sizes if name == ENSEMBLE else [name])]

    left_out = single(settings.without)
    names = [name for name in single([*(settings.rows or DEFAULT), *settings.variants]) if name not in left_out]
    if not names:
        raise ConfigError("experiment: `without` leaves no row")
    return list(dict.fromkeys(names))


def _check_names(names: Collection[str], settings: ExperimentConfig, where: str) -> None:
    for name in names:
        if find_row(name, settings) is None:
            known = [*ROWS, *settings.variants, "ensemble_2"]
            near = difflib.get_close_matches(name, known, n=1)
            hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(known)}, and larger ensembles"
            raise ConfigError(f"{where}: there is no row {name!r:.80}; {hint}")


def _check_settings(config: Config, names: Sequence[str], where: str) -> None:
    """See that a config has what the published rows of these names need, and nothing that they do not read."""
    model = config.model
    others = [name for name in names if name not in SYSTEM]
    if model.mode_hemis != "bilateral" or (others and model.mode_heads != "both"):
        raise ConfigError(
            f"{where}an experiment is about bilateral networks with two heads: mode_hemis must be bilateral, "
            "mode_heads both; use `train` for others"
        )
    if model.checkpoint:
        raise ConfigError(f"{where}model.checkpoint: an experiment trains all of its networks itself")
    for side, hemisphere in model.hemispheres.items():
        if others and hemisphere.checkpoint:
            raise ConfigError(
                f"{where}model.{side}.checkpoint: an experiment trains all of its networks itself; only "
                f"{', '.join(SYSTEM)} take a hemisphere that is given"
            )
        if hemisphere.freeze == "untrained" or (others and hemisphere.freeze is False):
            raise ConfigError(
                f"{where}model.{side}.freeze: has no effect, since each row says what it freezes; leave it out"
            )
        level = LEVEL_OF_SIDE[side]
        taking = [name for name in others if (row := find(name)) and (side, 0) in row.of]
        if taking and hemisphere.level not in (level, "both"):
            raise ConfigError(
                f"{where}model.{side}.level: is {hemisphere.level}, but {' and '.join(taking)} "
                f"take{'s' * (len(taking) == 1)} the {level} prediction of the {side} hemisphere: leave "
                f"{'them' if len(taking) > 1 else 'it'} out (experiment.without)"
            )
    if others and not config.evaluate:
        raise ConfigError("evaluate: an experiment's table is of tested networks; it must be true")


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
