"""Does a sweep: an experiment whose rows are one row with the settings of a search."""

import logging
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import torch

from ..base.errors import BilateralError, ConfigError
from ..base.yaml_files import in_one_line
from ..data.hierarchy import LabelHierarchy
from ..experiments.experiment import Experiment
from ..experiments.joint_inference import UNFITTED
from ..experiments.measures import measure
from ..experiments.networks import settings_of
from ..experiments.published import find
from ..experiments.results import SeedResult, Table
from ..experiments.rows import Row, plan_rows
from ..experiments.run import finish
from ..experiments.tables import COSTS
from ..runs.config import Config, ConfigSource, read_config
from ..runs.predictions import Predictions
from ..runs.scheduling import Executor
from ..runs.stage_epochs import tell_stage_epochs
from ..runs.stored import StoredRun
from ..runs.train import load_data
from ..training import distributed
from .outcome import HELD_OUT, SweepOutcome, write
from .search import Search, Setting, is_swept, read_search

log = logging.getLogger(__name__)
_PREFIX = "setting_"
_WHERE = re.compile(rf"(?:the config: )?experiment\.variants\.{_PREFIX}\d+(?:\.set|\.from)?: ")


@dataclass(frozen=True)
class PlannedSweep:
    """A sweep before its first run. row: of which all settings are. measures: columns to show, by name."""

    search: Search
    row: str
    measures: list[str]
    work: Experiment


def sweep(
    config: ConfigSource,
    arguments: Sequence[str],
    samples: int | None = None,
    search_seed: int | None = None,
    row: str | None = None,
    measures: Sequence[str] = (),
    executor: Executor | None = None,
    output: Path | str | None = None,
    show: Callable[[SweepOutcome], object] = lambda found: None,
) -> SweepOutcome:
    """Do one row of an experiment with many settings, the same seeds for each, and write tables and figures.

    config: a YAML file, a dict of the same form, or a `Config`. arguments: as on the command line, `KEY=[VALUE, ...]`
    or `KEY=uniform(0, 1)` for a key that is swept, `key=value` for others. samples: how many settings are drawn at
    random; None: all of the grid. row: the experiment's row; None: the one that the config's contrasts name. measures:
    columns of the experiment's table that are shown, with "held_out_" before one for the held-out images. executor:
    where the runs are done; this machine if None. output: a folder in place of `{save_dir}/{name}-sweep`. show: is
    called with what came of it before it is written. Under torchrun every process gets it, and the first one writes.

    Raises ConfigError before anything is run, for what cannot be tried; RunsFailedError after all others were done.

    >>> tiny = {"name": "shapes", "shapes": {"train_per_class": 2, "test_per_class": 1}}
    >>> settings = {"data": tiny, "training": {"epochs": 1}, "workers": 1}
    >>> found = sweep(settings, ["model.left.width=[0.03125, 0.0625]"], row="left")
    >>> found.lines[["model.left.width", "seed"]].values.tolist()
    [[0.03125, 0.0], [0.0625, 0.0]]
    """
    with distributed.process_group():
        planned = plan_sweep(config, arguments, samples, search_seed, row, measures)
        work = planned.work
        folder = Path(output) if output is not None else work.config.save_dir / f"{work.config.name}-sweep"
        table = work.run(executor)
        lines = _lines(planned, table)
        there = [name for name in planned.measures if name in lines and lines[name].notna().any()]
        found = SweepOutcome(planned.search, planned.row, there, folder, lines)
        if distributed.is_first():
            if len(found.lines):
                show(found)
                write(found)
            finish(work, table, folder, executor)
    return found


def plan_sweep(
    config: ConfigSource,
    arguments: Sequence[str],
    samples: int | None = None,
    search_seed: int | None = None,
    row: str | None = None,
    measures: Sequence[str] = (),
) -> PlannedSweep:
    """Read and check a sweep, as `sweep` does; nothing is run."""
    search = read_search(list(filter(is_swept, arguments)), samples, search_seed)
    overrides = [argument for argument in arguments if not is_swept(argument)]
    # The first setting stands in the config itself, which without it may lack what others need; a variant brings that.
    of_variant = row is not None and find(row) is None
    overrides += [] if of_variant else [f"{key}={value}" for key, value in search.settings[0].items()]
    own = settings_of(read_config(config, overrides))
    row = row or own.contrasts.row
    hidden = list(dict.fromkeys([row, *own.variants]))
    if taken := next((name for name in own.variants if name.startswith(_PREFIX)), None):
        raise ConfigError(f"experiment.variants.{taken}: a sweep gives its rows such names; rename it")

    def with_rows(settings: Sequence[Setting]) -> Config:
        """The config of the experiment whose rows are these settings of the row, and no others."""
        texts = [f"experiment.rows={in_one_line([row])}", f"experiment.without={in_one_line(hidden)}"]
        texts.append("experiment.contrasts.against=[]")
        for number, setting in enumerate(settings, 1):
            variant = f"experiment.variants.{_PREFIX}{number}"
            texts += [f"{variant}.from={row}", *(f"{variant}.set.{key}={value}" for key, value in setting.items())]
        return read_config(config, [*overrides, *texts])

    try:
        settled = with_rows(search.settings)
        dataset = load_data(settled)
        # A key that the row does not read is found where it alone differs from the first setting. A grid has such rows.
        alone = [{**search.settings[0], key: each[key]} for key in search.keys for each in search.settings[1:]]
        if search.is_random and alone:
            plan_rows(with_rows(alone), dataset)
        work = Experiment(settled, dataset)
    except BilateralError as error:
        # Errors speak of the keys that the user gave, once each, and not of the rows that were made of these.
        said = [_WHERE.sub("", line) for line in str(error).splitlines()]
        raise type(error)("\n".join(dict.fromkeys(said))) from None
    for number, setting in enumerate(search.settings, 1):
        values = ", ".join(f"{key}={value}" for key, value in setting.items())
        log.info("%s%d%s: %s", _PREFIX, number, f" (its runs: {row})" if number == 1 and not of_variant else "", values)
    tell_stage_epochs(settled, arguments, search.keys)
    if not settled.evaluate:
        raise ConfigError("evaluate: a sweep compares tested networks; it must be true")
    return PlannedSweep(search, row, _measures(work, measures, dataset.hierarchy), work)


def _measures(work: Experiment, wanted: Sequence[str], hierarchy: LabelHierarchy) -> list[str]:
    """The columns to show: those that are wanted, else fine and coarse accuracy, if the row has them."""
    runs = next(iter(work.rows[0].runs.values()))
    labels = {"fine": torch.arange(2), "coarse": torch.tensor(hierarchy.coarse_of_fine[:2])}
    counts = {"fine": hierarchy.fine_count, "coarse": hierarchy.coarse_count}
    logits = [{level: torch.zeros(2, counts[level]) for level in run.config.model.levels} for run in runs]
    said = work.rows[0].combine([Predictions(each, labels) for each in logits], hierarchy)
    there = list(measure(said, hierarchy))
    there += [*COSTS, *([HELD_OUT + name for name in there] if work.config.protocol == "clean" else [])]
    for name in wanted:
        if name not in there:
            raise ConfigError(f"--measure: the row's table has no column {name!r:.80}; it has {', '.join(there)}")
    return list(dict.fromkeys(wanted)) or [name for name in ("fine_pct", "coarse_pct") if name in there]


def _lines(planned: PlannedSweep, table: Table) -> pd.DataFrame:
    """A line a setting and seed: the values of its keys, and all that was measured."""
    hierarchy, settings = planned.work.dataset.hierarchy, planned.search.settings
    lines = [
        {
            "setting": row.name,
            **setting,
            "seed": seed,
            **each.measures,
            **_held_out(row, each, hierarchy),
            **result.costs,
        }
        for row, result, setting in zip(planned.work.rows, table.rows, settings, strict=True)
        for seed, each in result.seeds.items()
    ]
    found = pd.DataFrame(lines)
    numbers = found.reindex(columns=planned.search.keys).apply(pd.to_numeric, errors="coerce").dropna(axis="columns")
    return found.assign(**numbers)


def _held_out(row: Row, found: SeedResult, hierarchy: LabelHierarchy) -> dict[str, float]:
    """The same measures of the images that validated; none where the protocol holds out none."""
    kept = [StoredRun.open(Path(folder)).held_out for folder in found.folders]
    known = [each for each in kept if each is not None]
    if len(known) < len(kept):
        return {}
    exponent = found.measures.get("joint_exponent", UNFITTED)
    return {HELD_OUT + key: value for key, value in measure(row.combine(known, hierarchy), hierarchy, exponent).items()}
