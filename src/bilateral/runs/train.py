"""Trains one network for every seed of a config."""

import logging
from collections.abc import Callable, Sequence

from ..data import sources
from ..data.images import HierarchicalDataset
from ..training import distributed
from .config import Config, ConfigSource, read_config
from .plan import Run
from .results import write_result_all, write_what_was_shown
from .runner import Runner
from .stored import StoredRun
from .workers import run_all

log = logging.getLogger(__name__)


def train(
    config: ConfigSource | None,
    overrides: Sequence[str] = (),
    own_code: Sequence[str] = (),
    show: Callable[[list[StoredRun]], object] = lambda runs: None,
) -> list[StoredRun]:
    """Train and test the network of a config for each of its seeds, and give the finished runs in that order.

    config: a YAML file, a dict of the same form, or a `Config`. overrides: `key=value`, as on the command line.
    own_code: `package.module:Class` names that checkpoints in the config may name. show: is called with the runs before
    their summary, `result_all.yaml`, is written beside them. What is finished is reused, what was interrupted goes on.
    Under torchrun the first process alone gets the runs, others an empty list.

    Raises ConfigError for a config that cannot be, DataError for its data, TrainingDivergedError for a loss that is NaN
    or infinite.

    >>> tiny = {"shapes": {"train_per_class": 2, "test_per_class": 1}}
    >>> hemisphere = {"arch": "resnet9", "width": 0.0625}
    >>> model = {"mode_hemis": "unilateral", "mode_heads": "fine", "left": hemisphere}
    >>> (run,) = train({"data": tiny, "model": model, "training": {"epochs": 1}, "workers": 1})
    >>> run.seed, sorted(run.metrics)
    (0, ['test_acc', 'test_acc_rollup', 'test_loss'])
    >>> run.network().hierarchy.fine_names[:2]
    ('plain disc', 'striped disc')
    """
    config = read_config(config, overrides)
    config = config.model_copy(update={"own_code": [*config.own_code, *own_code]})
    with distributed.process_group():
        runner = Runner(load_data(config))
        results = run_all(runner, [Run(config, seed) for seed in config.seeds], config.workers)
        if not distributed.is_first():
            return []
        runs = [StoredRun.open(result.folder, config.own_code) for result in results]
        show(runs)
        if runs[0].metrics:
            folders = [run.folder for run in runs]
            write_what_was_shown(lambda: write_result_all(folders), folders[0].parent / "result_all.yaml")
        return runs


def load_data(config: Config) -> HierarchicalDataset:
    """Open the config's data set, and say what it is."""
    dataset = sources.load(config.data)
    hierarchy = dataset.hierarchy
    training, test = (f"{len(images):,}" for images in (dataset.train, dataset.test))
    text = "data: %s, %s training images%s and %s test images, %d fine and %d coarse labels"
    validating = _what_validates(config, dataset)
    log.info(text, dataset.name, training, validating, test, hierarchy.fine_count, hierarchy.coarse_count)
    return dataset


def _what_validates(config: Config, dataset: HierarchicalDataset) -> str:
    if config.protocol == "original":
        return ""  # the test images validate, as the protocol's name says
    if dataset.validation is not None:
        return f", {len(dataset.validation):,} validation images"
    return f" ({100 * config.data.validation_fraction:g}% of each class are held out for validation)"
