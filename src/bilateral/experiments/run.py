"""Does an experiment or a system from its config to its files: what the commands and `bilateral.experiment` call."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

from ..base.errors import RunsFailedError
from ..runs.config import Config, ConfigSource, read_config
from ..runs.results import write_result_all, write_what_was_shown
from ..runs.runner import commit
from ..runs.scheduling import Executor
from ..runs.train import load_data
from ..training import distributed
from ..training.device import choose_device, describe_machine
from .experiment import Experiment, system_config
from .results import Table
from .seed_records import read_seeds, write_seeds
from .table_files import write
from .twice import read_gains

Show = Callable[[Table], object]
"""What is done with a table before it is written, which may fail."""


def experiment(
    config: ConfigSource,
    overrides: Sequence[str] = (),
    executor: Executor | None = None,
    seeds_from: Path | str | None = None,
    show: Show = lambda table: None,
) -> Table:
    """Do the published experiment of a config: train what is missing, compare the rows, and write the tables.

    config: a YAML file, a dict of the same form, or a `Config`. overrides: `key=value`, as on the command line.
    executor: where the runs are done (`bilateral.runs.cluster`); worker processes of this machine if None.
    seeds_from: a folder of seeds that were done elsewhere. show: is called with the table before it is written to
    `{save_dir}/{name}-experiment`. Under torchrun every process gets the table, and the first one writes it.

    Raises ConfigError for a config that no experiment can be made of, RunsFailedError where runs failed, after all
    others were done and the table was written.

    >>> tiny = {"name": "shapes", "shapes": {"train_per_class": 2, "test_per_class": 1}}
    >>> model = {side: {"arch": "resnet9", "width": 0.0625} for side in ("left", "right")}
    >>> rows = {"rows": ["left", "specialised"], "contrasts": {"against": []}}
    >>> settings = {"data": tiny, "model": model, "training": {"epochs": 1}, "experiment": rows, "workers": 1}
    >>> table = experiment(settings)
    >>> [(row.name, sorted(row.seeds)) for row in table.rows]
    [('left', [0]), ('specialised', [0])]
    """
    config = read_config(config, overrides)
    given = read_seeds(Path(seeds_from)) if seeds_from is not None else []
    with distributed.process_group():
        work = Experiment(config, load_data(config), given)
        folder = config.save_dir / f"{config.name}-experiment"
        table = work.run(executor, read_gains(folder))
        if distributed.is_first():
            show(table)
            finish(work, table, folder, executor)
    return table


def system(
    config: ConfigSource,
    overrides: Sequence[str] = (),
    join: bool = True,
    parts: Sequence[Config] = (),
    show: Show = lambda table: None,
) -> Table:
    """Do the experiment of three rows: left, right and, with `join`, the network of both.

    parts: as for `Experiment`. The rest is as in `experiment`, but that the first failure of a run is raised at once,
    and that nothing is written where the config says `evaluate: false`.
    """
    config = system_config(read_config(config, overrides), join)
    with distributed.process_group():
        work = Experiment(config, load_data(config), parts=parts)
        table = work.run(keep_going=False)
        if distributed.is_first():
            show(table)
            if config.evaluate:
                finish(work, table, config.save_dir / f"{config.name}-system")
                for row in table.rows:
                    write_result_all([Path(folder) for found in row.seeds.values() for folder in found.folders])
    return table


def finish(work: Experiment, table: Table, folder: Path, executor: Executor | None = None) -> None:
    """Write a table, the records of its seeds and where it came from. executor: what did the runs, as in `experiment`.

    Raises RunsFailedError where runs failed, after that.
    """
    config, made_by = work.config, commit()
    provenance = {
        "finished": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": made_by,
        "machine": describe_machine(choose_device(config.training.device)),
        "executor": executor.name if executor else "local",
        "config": config.model_dump(mode="json", exclude_none=True),
    }

    def keep() -> None:
        write(folder, config, work.dataset.name, table, provenance)
        write_seeds(folder / "seeds", table, work.dataset, config, made_by)

    write_what_was_shown(keep, folder / "table.json")
    if table.failures:
        failures = "\n".join(map(str, table.failures))
        raise RunsFailedError(f"{len(table.failures)} runs failed:\n{failures}")
