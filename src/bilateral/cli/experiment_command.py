"""The commands that do the published experiment, and its three rows that are the system."""

import logging
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from rich.table import Table as RichTable

from ..base.errors import ConfigError, RunsFailedError
from ..base.files import to_json
from ..data.images import HierarchicalDataset
from ..experiment.experiment import Experiment, PlannedRun, system_config
from ..experiment.results import Table
from ..experiment.seed_records import read_seeds, write_seeds
from ..experiment.table_files import as_json, write
from ..experiment.tables import blocks, gains_block, render, system_block, timing
from ..experiment.twice import measure_gains, read_gains, twice_as_long, write_gains
from ..runs import cluster
from ..runs.config import Config, read_config
from ..runs.results import write_result_all
from ..runs.runner import commit
from ..runs.scheduling import Executor
from ..runs.workers import local
from ..training import distributed
from ..training.device import choose_device, describe_machine
from .terminal import echo, wide
from .train_commands import QUICKSTART, load_data, write_what_was_shown

log = logging.getLogger(__name__)
PRINTED = 2
"""How many of the tables are printed, the first ones; all are in the files."""


@dataclass(frozen=True)
class Place:
    """Where the runs are to be done, as the command line has it."""

    executor: str
    address: str | None
    demand: list[str]
    workers: int | None


def system(path: Path | None, overrides: list[str], seeds: int | None, join: bool, as_json_text: bool) -> None:
    """Do `bilateral system` and print its table."""
    if seeds is not None:
        if seeds < 1:
            raise ConfigError(f"--seeds: must be 1 or more, not {seeds}")
        overrides = [*overrides, f"seeds={list(range(seeds))}"]
    config = read_config(path or QUICKSTART, overrides)
    with distributed.process_group():
        run_system(config, [], join, as_json_text)


def run_system(config: Config, parts: Sequence[Config], join: bool, as_json_text: bool) -> None:
    """Do the experiment of three rows (two without `join`), and print its table. parts: as for `Experiment`."""
    dataset = load_data(config)
    config = system_config(config, join)
    work = Experiment(config, dataset, parts=parts)
    table = work.run(local(work.runner, work.runs, config.workers), keep_going=False)
    if not distributed.is_first():
        return
    if not config.evaluate:
        log.info("nothing was tested (evaluate: false)")
        return
    if as_json_text:
        echo(to_json(as_json(table), indent=1))
    else:
        block = system_block(table, config.name)
        shown = RichTable(title=block.title, title_justify="left")
        for number, heading in enumerate(block.headings):
            shown.add_column(heading, justify="right" if number else "left", no_wrap=number > 0)
        for cells in block.cells:
            shown.add_row(*cells)
        wide(100).print(shown)
    _keep(config, table, dataset, config.save_dir / f"{config.name}-system", "local")
    for row in table.rows:
        write_result_all([Path(folder) for found in row.seeds.values() for folder in found.folders])


def experiment(
    path: Path | None,
    overrides: list[str],
    plan: bool,
    place: Place,
    seeds_from: Path | None,
    twice: bool,
    as_json_text: bool,
) -> None:
    """Do `bilateral experiment`."""
    if path is None:
        raise ConfigError("experiment needs a config file, such as configs/experiment/quick.yaml")
    if place.workers is not None:
        overrides = [*overrides, f"workers={place.workers}"]
    config = read_config(path, overrides)
    elsewhere = _elsewhere(place)
    given = read_seeds(seeds_from) if seeds_from is not None else []
    with distributed.process_group():
        dataset = load_data(config)
        work = Experiment(twice_as_long(config) if twice else config, dataset, given)
        if plan:
            planned = distributed.from_first(work.preview)
            if distributed.is_first():
                _print_plan(planned, as_json_text)
            return
        folder = config.save_dir / f"{config.name}-experiment"
        if twice:
            gains = measure_gains(
                config, dataset, lambda each: elsewhere or local(each.runner, each.runs, config.workers)
            )
            if distributed.is_first():
                write_gains(folder, gains)
                echo(
                    to_json([asdict(gain) for gain in gains], indent=1)
                    if as_json_text
                    else render(gains_block(gains), "txt")
                )
            return
        table = work.run(elsewhere or local(work.runner, work.runs, config.workers), read_gains(folder))
        if not distributed.is_first():
            return
        _print_table(table, as_json_text)
        _keep(config, table, dataset, folder, place.executor)
    if table.failures:
        raise RunsFailedError(f"{len(table.failures)} runs failed:\n" + "\n".join(map(str, table.failures)))


def _keep(config: Config, table: Table, dataset: HierarchicalDataset, folder: Path, executor: str) -> None:
    """Write what was shown. Where that cannot be written over older results, that is a warning."""
    made_by = commit()
    provenance = {
        "finished": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": made_by,
        "machine": describe_machine(choose_device(config.training.device)),
        "executor": executor,
        "config": config.model_dump(mode="json", exclude_none=True),
    }

    def keep() -> None:
        write(folder, config, dataset.name, table, provenance)
        write_seeds(folder / "seeds", table, dataset, config, made_by)

    write_what_was_shown(keep, folder / "table.json")


def _elsewhere(place: Place) -> Executor | None:
    """The executor of another machine that is asked for; None for this one."""
    name, jobs = place.executor, place.workers
    if name not in ("local", "dask", *cluster.QUEUES):
        raise ConfigError(f"--executor: there is no {name!r}; allowed: local, dask, {', '.join(cluster.QUEUES)}")
    if name != "dask" and (place.address or place.demand):
        raise ConfigError(f"--address and --demand belong to --executor dask, not to {name}")
    if name == "local":
        return None
    if name == "dask":
        if place.address is None:
            raise ConfigError("--executor dask needs --address, the scheduler's, such as tcp://10.0.0.1:8786")
        if jobs is not None:
            raise ConfigError("--workers: a Dask cluster has the workers that it has; start them with `dask worker`")
        return cluster.dask(place.address, place.demand)
    if jobs is None:
        raise ConfigError(f"--executor {name} needs --workers, the number of jobs")
    return cluster.batch_system(name, jobs)


def _print_plan(planned: list[PlannedRun], as_json_text: bool) -> None:
    total = sum(each.seconds for each in planned)
    console = wide(120)
    if as_json_text:
        console.print_json(
            data={
                "runs": [
                    {
                        "id": each.identity,
                        "role": each.run.role,
                        "seed": each.run.seed,
                        "state": each.state,
                        "parents": [parent.title for parent in each.run.parents.values()],
                        "training_pflops": each.cost.training_flops / 1e15,
                        "left_s": each.seconds,
                    }
                    for each in planned
                ],
                "left_s": total,
            }
        )
        return
    table = RichTable(title="what an experiment of this config runs", title_justify="left")
    for heading in ("run", "seed", "needs", "state"):
        table.add_column(heading)
    for heading in ("parameters", "PFLOPs", "time left"):
        table.add_column(heading, justify="right")
    for each in planned:
        table.add_row(
            each.run.role,
            str(each.run.seed),
            ", ".join(parent.title for parent in each.run.parents.values()),
            each.state,
            f"{each.cost.parameters:,}",
            f"{each.cost.training_flops / 1e15:.3g}",
            _duration(each.seconds),
        )
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
