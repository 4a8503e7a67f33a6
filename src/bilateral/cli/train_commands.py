"""The commands that train."""

import logging
import warnings
from collections.abc import Callable, Sequence
from importlib.resources import files
from pathlib import Path

from ..base.errors import ConfigError, OutputError
from ..data import sources
from ..data.images import HierarchicalDataset
from ..runs.config import Config, read_config
from ..runs.plan import Run
from ..runs.results import write_result_all
from ..runs.runner import Runner
from ..runs.workers import run_all
from ..training import distributed
from .terminal import echo

log = logging.getLogger(__name__)
QUICKSTART = Path(str(files("bilateral.cli") / "quickstart.yaml"))


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
        folders = [result.folder for result in results]
        write_what_was_shown(lambda: write_result_all(folders), folders[0].parent / "result_all.yaml")


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
