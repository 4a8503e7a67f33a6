"""The commands that train."""

import logging
import warnings
from collections.abc import Callable, Sequence
from importlib.resources import files
from pathlib import Path

from rich.table import Table

from ..base.errors import ConfigError, OutputError
from ..data import sources
from ..data.images import HierarchicalDataset
from ..runs.config import Config, read_config
from ..runs.plan import Run
from ..runs.results import COLUMNS, SystemRow, cells, write_result_all
from ..runs.runner import Runner
from ..runs.system import run_system
from ..runs.workers import run_all
from ..training import distributed
from .terminal import echo, wide

log = logging.getLogger(__name__)
QUICKSTART = Path(str(files("bilateral.cli") / "quickstart.yaml"))


def system(path: Path | None, overrides: list[str], seeds: int | None, join: bool, as_json: bool) -> None:
    """Do `bilateral system` and print its table."""
    if seeds is not None:
        if seeds < 1:
            raise ConfigError(f"--seeds: must be 1 or more, not {seeds}")
        overrides = [*overrides, f"seeds={list(range(seeds))}"]
    config = read_config(path or QUICKSTART, overrides)
    with distributed.process_group():
        run_and_print([config], join, as_json)


def run_and_print(configs: list[Config], join: bool, as_json: bool) -> None:
    """Run the system on the data set that all configs share, and print its table."""
    table = run_system(configs, load_data(configs[0]), join)
    if not distributed.is_first():
        return
    if not table.rows:
        log.info("nothing was tested (evaluate: false)")
    elif as_json:
        echo(table.json)
    else:
        _print_table(table.rows, f"{configs[0].name}: accuracy on the test set, %")
    write_what_was_shown(table.write, table.folder / "table.json")


def write_what_was_shown(write: Callable[[], object], file: Path) -> None:
    """Write results that are on the screen already. Where they cannot be written over older ones, that is a warning."""
    try:
        write()
        log.info("written to %s", file.parent)
    except OutputError as error:
        if not file.exists():
            raise
        warnings.warn(f"{error}; {file.parent} keeps what an earlier command wrote", stacklevel=1)


def train(path: Path | None, overrides: list[str], own_code: Sequence[str] = ()) -> None:
    """Do `bilateral train` and print each seed's test metrics."""
    if path is None and not overrides:
        raise ConfigError("train needs a config file, such as configs/example1/1_left.yaml, or key=value settings")
    config = read_config(path, overrides)
    config = config.model_copy(update={"own_code": [*config.own_code, *own_code]})
    with distributed.process_group():
        runner = Runner(load_data(config))
        results = run_all(runner, [Run(config, seed) for seed in config.seeds], config.workers)
        if not distributed.is_first():
            return
    for result in results:
        echo(f"seed {result.run.seed}: {result.folder}")
        for name, value in result.metrics.items():
            echo(f"  {name:20} {value:.4f}")
    if results[0].metrics:
        write_what_was_shown(lambda: write_result_all(results), results[0].folder.parent / "result_all.yaml")


def load_data(config: Config) -> HierarchicalDataset:
    """Open the config's data set, and say what it is."""
    dataset = sources.load(config.data)
    hierarchy = dataset.hierarchy
    log.info(
        "data: %s, %s training and %s test images, %d fine and %d coarse labels",
        dataset.name,
        f"{len(dataset.train):,}",
        f"{len(dataset.test):,}",
        hierarchy.fine_count,
        hierarchy.coarse_count,
    )
    return dataset


def _print_table(rows: list[SystemRow], title: str) -> None:
    """Print the table of accuracies on standard output."""
    table = Table(title=title, title_justify="left")
    table.add_column("network")
    for heading in ("n", *COLUMNS.values()):
        table.add_column(heading, justify="right", no_wrap=True)
    for row in rows:
        table.add_row(*cells(row))
    wide(100).print(table)
