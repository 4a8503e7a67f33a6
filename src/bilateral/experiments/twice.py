"""What twice the epochs of every training would bring an experiment's rows: measured, and kept beside its table."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ..base.errors import ConfigError
from ..base.files import read_json, to_json, write_text
from ..data.images import HierarchicalDataset
from ..runs.config import Config
from ..runs.runner import RunResult
from ..runs.scheduling import Executor, run_plan
from ..runs.stored import StoredRun
from .experiment import Experiment
from .results import Gain

FILE = "twice.json"
_MOST_BYTES = 2**20


def twice_as_long(config: Config) -> Config:
    """The same experiment, with twice the epochs of every training, and one seed."""
    values = config.model_dump(mode="json")
    longer = {section: _doubled(section, values[section]) for section in ("training", "pretraining", "experiment")}
    return Config.model_validate({**values, **longer, "seeds": config.seeds[:1]})


def _doubled(key: str, value: Any) -> Any:
    """A setting or a section with twice the epochs of trainings; those in the model are of schedules."""
    if key.rpartition(".")[2] in ("epochs", "warmup_epochs"):
        return 2 * value
    if isinstance(value, dict) and not key.startswith("model"):
        return {name: _doubled(name, each) for name, each in value.items()}
    return value


def measure_gains(config: Config, dataset: HierarchicalDataset, executor: Executor | None = None) -> list[Gain]:
    """Do the experiment's first seed, and the same with twice the epochs, and compare them on held-out images.

    executor: where the runs are done; worker processes of this machine if None.
    Raises ConfigError where none are held out, and what a run raises.
    """
    if config.protocol == "original":
        raise ConfigError("--twice compares on held-out images, which protocol: original has not; take protocol: clean")
    once = Experiment(config.model_copy(update={"seeds": config.seeds[:1]}), dataset)
    twice = Experiment(twice_as_long(config), dataset)
    before, after = (_held_out_pct(each, executor or each.local()) for each in (once, twice))
    kinds = {row.name: once.kinds(row) for row in once.rows}
    seed = config.seeds[0]
    return [Gain(row.name, row.title, seed, kinds[row.name], before[row.name], after[row.name]) for row in once.rows]


def _held_out_pct(experiment: Experiment, executor: Executor) -> dict[str, dict[str, float]]:
    """Accuracies on held-out images, %, by row and level, for the first seed."""
    done = run_plan(experiment.runner, experiment.plan, executor)
    found = {}
    for row in experiment.rows:
        results = [done[experiment.runner.identity(run)] for run in next(iter(row.runs.values()))]
        held_out = [StoredRun.open(each.folder).held_out for each in results if isinstance(each, RunResult)]
        predictions = row.combine([each for each in held_out if each is not None], experiment.dataset.hierarchy)
        found[row.name] = {level: predictions.accuracy_pct(level) for level in predictions.logits}
    return found


def write_gains(folder: Path, gains: Sequence[Gain]) -> None:
    """Keep what was measured beside an experiment's table."""
    write_text(folder / FILE, to_json([asdict(gain) for gain in gains], indent=1))


def read_gains(folder: Path) -> list[Gain]:
    """Read what was kept; none where there is no such file. Raises OutputError for one that is damaged."""
    path = folder / FILE
    if not path.exists():
        return []
    gains: list[Gain] = read_json(path, list[Gain], "delete it, and measure again by --twice", _MOST_BYTES)
    return gains
