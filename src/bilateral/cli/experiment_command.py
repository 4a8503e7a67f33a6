"""The commands that do the published experiment, and its three rows that are the system."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import asdict
from importlib.resources import files
from pathlib import Path
from shlex import quote

from ..base.errors import ConfigError, DataError
from ..base.files import to_json
from ..base.text import duration
from ..experiments import run
from ..experiments.experiment import Experiment
from ..experiments.results import Table
from ..experiments.seed_records import read_seeds
from ..experiments.table_files import as_json
from ..experiments.tables import Block, gains_block, render, short_block
from ..experiments.twice import measure_gains, twice_as_long, write_gains
from ..models.config import SIDES
from ..runs import cluster
from ..runs.config import Config, read_config
from ..runs.scheduling import Executor
from ..runs.train import load_data
from ..runs.workers import local
from ..training import distributed
from .arguments import RunOptions, config_and_overrides, of_seeds
from .terminal import echo, echo_filled, suggest

log = logging.getLogger(__name__)
QUICKSTART = Path(str(files("bilateral.cli") / "quickstart.yaml"))


def system(*arguments: str, seeds: int | None, join: bool, json: bool) -> None:
    """Do `bilateral system` and print its table."""
    path, overrides = config_and_overrides(arguments)
    config = read_config(path or QUICKSTART, [*overrides, *of_seeds(seeds)])
    _tell_epochs(config, overrides)
    table = run.system(config, join=join, show=lambda table: print_system(table, config.name, json))
    if distributed.is_first() and not json:
        _suggest_after_system(table, config)


def _tell_epochs(config: Config, overrides: Sequence[str]) -> None:
    """Say which trainings an override of `training.epochs` does not shorten."""
    typed = {text.partition("=")[0] for text in overrides}
    sections = {f"pretraining.{side}": getattr(config.pretraining, side) for side in SIDES}
    if config.experiment:
        sections |= {"experiment.end_to_end": config.experiment.end_to_end}
    kept = [
        f"{name}.epochs={section.epochs}"
        for name, section in sections.items()
        if section.epochs != config.training.epochs and f"{name}.epochs" not in typed
    ]
    if "training.epochs" in typed and kept:
        log.info("training.epochs is of the joined network; these stay unless you give them too: %s", ", ".join(kept))


def _suggest_after_system(table: Table, config: Config) -> None:
    row = table.rows[-1]
    if row.name == "specialised" and row.seeds:
        (folder,) = next(iter(row.seeds.values())).folders
        suggest(
            f"bilateral explore {quote(folder)}",
            f"bilateral report {quote(str(config.save_dir / f'{config.name}-system'))}",
        )


def print_system(table: Table, name: str, as_json_text: bool = False) -> None:
    """Print the table of three rows."""
    if not any(row.seeds for row in table.rows):
        log.info("nothing was tested (evaluate: false)")
    elif as_json_text:
        echo(to_json(as_json(table), indent=1))
    else:
        echo(render(short_block(table, name), "txt"))


def experiment(*arguments: str, options: RunOptions, seeds_from: Path | None, twice: bool, json: bool) -> None:
    """Do `bilateral experiment`."""
    path, overrides = options.config_and_overrides(arguments, "experiment")
    config = read_config(path, overrides)
    _tell_epochs(config, overrides)
    elsewhere = elsewhere_of(options)
    if options.plan:
        given = read_seeds(seeds_from) if seeds_from is not None else []
        planned = twice_as_long(config) if twice else config
        print_plan(lambda: Experiment(planned, load_data(planned), given), json)
    elif twice:
        with distributed.process_group():
            gains = measure_gains(
                config, load_data(config), lambda each: elsewhere or local(each.runner, each.runs, config.workers)
            )
            if distributed.is_first():
                write_gains(config.save_dir / f"{config.name}-experiment", gains)
                said = to_json([asdict(each) for each in gains], indent=1)
                echo(said if json else render(gains_block(gains), "txt"))
    else:
        run.experiment(config, (), elsewhere, seeds_from, lambda table: _print_table(table, config.name, json))
        if distributed.is_first() and not json:
            folder = config.save_dir / f"{config.name}-experiment"
            echo(f"All tables: {folder / 'table.txt'} (.md, .tex, .json), *.csv")
            suggest(f"bilateral report {quote(str(folder))}")


def elsewhere_of(options: RunOptions) -> Executor | None:
    """Give the executor of another machine that is asked for; None for this one. Raises ConfigError."""
    name, address, demand, jobs = options.executor, options.address, options.demand or [], options.workers
    if name not in ("local", "dask", *cluster.QUEUES):
        raise ConfigError(f"--executor: there is no {name!r}; allowed: local, dask, {', '.join(cluster.QUEUES)}")
    if name != "dask" and (address or demand):
        raise ConfigError(f"--address and --demand belong to --executor dask, not to {name}")
    if name == "local":
        return None
    if name == "dask":
        if address is None:
            raise ConfigError("--executor dask needs --address, the scheduler's, such as tcp://10.0.0.1:8786")
        if jobs is not None:
            raise ConfigError("--workers: a Dask cluster has the workers that it has; start them with `dask worker`")
        return cluster.dask(address, demand)
    if jobs is None:
        raise ConfigError(f"--executor {name} needs --workers, the number of jobs")
    return cluster.batch_system(name, jobs)


def print_plan(plan: Callable[[], Experiment], as_json_text: bool) -> None:
    """Plan an experiment, and print what will run, what is reused, and the time left."""
    with distributed.process_group():
        try:
            planned = distributed.from_first(plan().preview)
        except DataError as error:
            raise DataError(f"{error}; --plan reads the data, and downloads nothing") from None
        if not distributed.is_first():
            return
    total = sum(each.seconds for each in planned)
    runs, cells = [], []
    for each in planned:
        run, pflops = each.run, each.cost.training_flops / 1e15
        parents = [parent.title for parent in run.parents.values()]
        said = {"id": each.identity, "role": run.role, "seed": run.seed, "state": each.state, "parents": parents}
        runs.append({**said, "training_pflops": pflops, "left_s": each.seconds})
        costs = [f"{each.cost.parameters:,}", f"{pflops:.3g}", duration(each.seconds)]
        cells.append([run.role, each.state, str(run.seed), *costs])
    if as_json_text:
        echo(to_json({"runs": runs, "left_s": total}, indent=1))
        return
    headings = ["run", "state", "seed", "parameters", "PFLOPs", "time left"]
    echo(render(Block("What an experiment of this config runs", "", headings, cells, words=2), "txt"))
    left = sum(each.state != "finished" for each in planned)
    echo(
        f"{len(planned)} runs, {len(planned) - left} finished and reused, {left} to do: "
        f"about {duration(total)} on this machine"
    )


def _print_table(table: Table, name: str, as_json_text: bool) -> None:
    if as_json_text:
        echo(to_json(as_json(table), indent=1))
        return
    echo(render(short_block(table, name), "txt"))
    for sentence in (table.answer, *table.doubts):
        echo_filled(sentence)
