"""The commands that do the published experiment, and its three rows that are the system."""

import logging
from collections.abc import Callable
from dataclasses import asdict
from importlib.resources import files
from pathlib import Path

from rich.table import Table as RichTable

from ..base.errors import ConfigError
from ..base.files import to_json
from ..experiments import run
from ..experiments.experiment import Experiment
from ..experiments.results import Table
from ..experiments.seed_records import read_seeds
from ..experiments.table_files import as_json
from ..experiments.tables import blocks, gains_block, render, system_block, timing
from ..experiments.twice import measure_gains, twice_as_long, write_gains
from ..runs import cluster
from ..runs.config import read_config
from ..runs.scheduling import Executor
from ..runs.train import load_data
from ..runs.workers import local
from ..training import distributed
from .arguments import RunOptions, config_and_overrides
from .terminal import echo, wide

log = logging.getLogger(__name__)
QUICKSTART = Path(str(files("bilateral.cli") / "quickstart.yaml"))
PRINTED = 2
"""How many of the tables are printed, the first ones; all are in the files."""


def system(*arguments: str, seeds: int | None, join: bool, json: bool) -> None:
    """Do `bilateral system` and print its table."""
    path, overrides = config_and_overrides(arguments)
    if seeds is not None:
        if seeds < 1:
            raise ConfigError(f"--seeds: must be 1 or more, not {seeds}")
        overrides = [*overrides, f"seeds={list(range(seeds))}"]
    config = read_config(path or QUICKSTART, overrides)
    run.system(config, join=join, show=lambda table: print_system(table, config.name, json))


def print_system(table: Table, name: str, as_json_text: bool = False) -> None:
    """Print the table of three rows."""
    if not any(row.seeds for row in table.rows):
        log.info("nothing was tested (evaluate: false)")
    elif as_json_text:
        echo(to_json(as_json(table), indent=1))
    else:
        block = system_block(table, name)
        shown = RichTable(title=block.title, title_justify="left")
        for number, heading in enumerate(block.headings):
            shown.add_column(heading, justify="right" if number else "left", no_wrap=number > 0)
        for cells in block.cells:
            shown.add_row(*cells)
        wide(100).print(shown)


def experiment(*arguments: str, options: RunOptions, seeds_from: Path | None, twice: bool, json: bool) -> None:
    """Do `bilateral experiment`."""
    config = read_config(*options.config_and_overrides(arguments, "experiment"))
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
        run.experiment(config, (), elsewhere, seeds_from, lambda table: _print_table(table, json))


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
        planned = distributed.from_first(plan().preview)
        if not distributed.is_first():
            return
    total = sum(each.seconds for each in planned)
    console = wide(120)
    table = RichTable(title="what an experiment of this config runs", title_justify="left")
    for heading in ("run", "seed", "needs", "state"):
        table.add_column(heading)
    for heading in ("parameters", "PFLOPs", "time left"):
        table.add_column(heading, justify="right")
    runs = []
    for each in planned:
        run, pflops = each.run, each.cost.training_flops / 1e15
        parents = [parent.title for parent in run.parents.values()]
        said = {"id": each.identity, "role": run.role, "seed": run.seed, "state": each.state, "parents": parents}
        runs.append({**said, "training_pflops": pflops, "left_s": each.seconds})
        costs = [f"{each.cost.parameters:,}", f"{pflops:.3g}", _duration(each.seconds)]
        table.add_row(run.role, str(run.seed), ", ".join(parents), each.state, *costs)
    if as_json_text:
        console.print_json(data={"runs": runs, "left_s": total})
        return
    console.print(table)
    left = sum(each.state != "finished" for each in planned)
    console.print(
        f"{len(planned)} runs, {len(planned) - left} finished and reused, {left} to do: "
        f"about {_duration(total)} on this machine",
        highlight=False,
    )


def _print_table(table: Table, as_json_text: bool) -> None:
    if as_json_text:
        echo(to_json(as_json(table), indent=1))
        return
    for block in blocks(table)[:PRINTED]:
        echo(render(block, "txt"))
    if table.answer:
        echo(table.answer)
    for doubt in table.doubts:
        echo(doubt)
    log.info("%s", render(timing(table.rows), "txt"))


def _duration(seconds: float) -> str:
    minutes = seconds / 60
    if minutes < 1:
        return f"{seconds:.0f} s"
    return f"{minutes:.0f} min" if minutes < 100 else f"{minutes / 60:.1f} h"
