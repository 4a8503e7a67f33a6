"""The commands that train: one network, the system of three, and the published experiment."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import asdict
from functools import partial
from importlib.resources import files
from pathlib import Path
from shlex import quote

from ..base.errors import ConfigError, DataError
from ..base.files import to_json
from ..base.run_folders import Provenance
from ..base.text import duration
from ..experiments import run
from ..experiments.experiment import Experiment
from ..experiments.results import Table
from ..experiments.seed_records import read_seeds
from ..experiments.table_files import as_json
from ..experiments.tables import Block, gains_block, narrow, render, short_block
from ..experiments.twice import measure_gains, twice_as_long, write_gains
from ..runs import cluster
from ..runs.config import Config, read_config, with_settings
from ..runs.scheduling import Executor
from ..runs.stage_epochs import tell_stage_epochs
from ..runs.stored import StoredRun
from ..runs.train import load_data
from ..runs.train import train as train_network
from ..training import distributed
from .arguments import RunOptions, config_and_overrides, of_seeds
from .terminal import echo, echo_filled, echo_metrics, suggest

log = logging.getLogger(__name__)
QUICKSTART = Path(str(files("bilateral.cli") / "quickstart.yaml"))


def train(*arguments: str, seeds: int | None = None, own_code: Sequence[str] = (), json: bool = False) -> None:
    """Do `bilateral train` and print each seed's test metrics."""
    path, overrides = config_and_overrides(arguments)
    if path is None and not overrides:
        raise ConfigError("train needs a config file, such as configs/example1/1_left.yaml, or key=value settings")
    config = read_config(path, [*overrides, *of_seeds(seeds)])
    show = _print_runs_json if json else partial(_print_runs, config=config)
    train_network(config, (), own_code or (), show)


def _print_runs(runs: Sequence[StoredRun], config: Config) -> None:
    for each in runs:
        echo(f"seed {each.seed}: {each.folder}")
        echo_metrics(each.metrics, "  ")
    folder = runs[0].folder
    suggest(*_use(str(folder), config), *_curves(config, folder.parent))


def _print_runs_json(runs: Sequence[StoredRun]) -> None:
    echo(to_json([{"seed": each.seed, "folder": str(each.folder), **each.metrics} for each in runs], indent=1))


def system(*arguments: str, seeds: int | None, join: bool, json: bool) -> None:
    """Do `bilateral system` and print its table."""
    path, overrides = config_and_overrides(arguments)
    config = read_config(path or QUICKSTART, [*overrides, *of_seeds(seeds)])
    tell_stage_epochs(config, overrides)
    table = run.system(config, join=join, show=lambda table: print_table(table, config, json))
    if distributed.is_first() and not json:
        row = table.rows[-1]
        if row.name == "specialised" and row.seeds:
            (folder,) = next(iter(row.seeds.values())).folders
            page = quote(str(config.save_dir / f"{config.name}-system"))
            suggest(
                *_use(folder, config),
                f"bilateral report {page}{own_options(config)}",
                *_curves(config, config.save_dir),
            )


def _use(run: str, config: Config) -> list[str]:
    """The commands that give a trained network pictures."""
    own = own_options(config)
    return [f"bilateral explore {quote(run)}{own}", f"bilateral predict {quote(run)} IMAGE{own}"]


def _curves(config: Config, folder: Path) -> list[str]:
    """The command that shows how losses and accuracies went, where the tracker is the one that it reads."""
    return [f"tensorboard --logdir {quote(str(folder))}"] if config.tracker == "tensorboard" else []


def own_options(config: Config) -> str:
    """The options that name a config's own code, its variants' too, to a command that looks into its runs."""
    variants = config.experiment.variants.values() if config.experiment else ()
    named = config.named_code.union(*(with_settings(config, each.set).named_code for each in variants))
    return "".join(f" --own {quote(name)}" for name in sorted(named))


def print_table(table: Table, config: Config, as_json_text: bool = False) -> None:
    """Print the table of a system or an experiment; where that asks something, the verdict too."""
    if not config.evaluate:
        log.info("nothing was tested (evaluate: false)")
    elif as_json_text:
        echo(to_json(as_json(table), indent=1))
    else:
        echo(render(short_block(table, config.name), "txt"))
        for sentence in filter(None, (table.answer, *table.doubts)):
            echo_filled(sentence)


def experiment(*arguments: str, options: RunOptions, seeds_from: Path | None, twice: bool, json: bool) -> None:
    """Do `bilateral experiment`."""
    path, overrides = options.config_and_overrides(arguments, "experiment")
    config = read_config(path, overrides)
    tell_stage_epochs(config, overrides)
    elsewhere = elsewhere_of(options)
    if options.plan:
        given = read_seeds(seeds_from) if seeds_from is not None else []
        planned = twice_as_long(config) if twice else config
        print_plan(lambda: Experiment(planned, load_data(planned), given), json)
    elif twice:
        with distributed.process_group():
            gains = measure_gains(config, load_data(config), elsewhere)
            if distributed.is_first():
                write_gains(config.save_dir / f"{config.name}-experiment", gains)
                said = to_json([asdict(each) for each in gains], indent=1)
                echo(said if json else render(narrow(gains_block(gains)), "txt"))
    else:
        run.experiment(config, (), elsewhere, seeds_from, lambda table: print_table(table, config, json))
        if distributed.is_first() and not json:
            folder = config.save_dir / f"{config.name}-experiment"
            echo(f"All tables: {folder / 'table.txt'} (.md, .tex, .json), *.csv")
            page, own = quote(str(folder)), own_options(config)
            asked = config.experiment.contrasts.row if config.experiment else "specialised"
            rows = Provenance.read(folder).runs
            looked = [f"bilateral explore {page} --row {asked}{own}"] if rows.get(asked) else []
            suggest(f"bilateral report {page}{own}", *looked, *_curves(config, config.save_dir))


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
        run, pflops = each.run, each.training_flops / 1e15
        parents = [parent.title for parent in run.parents.values()]
        said = {"id": each.identity, "role": run.role, "seed": run.seed, "state": each.state, "parents": parents}
        runs.append({**said, "training_pflops": pflops, "left_s": each.seconds})
        costs = [f"{each.parameters:,}", f"{pflops:.3g}", duration(each.seconds)]
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
