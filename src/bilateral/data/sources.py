"""The data sources by name, and the one door through which a data set is opened."""

from collections.abc import Callable
from typing import NamedTuple

from ..base.errors import ConfigError, DataError
from ..base.own_code import call, is_own
from ..base.registry import Registry, read_options
from .config import DataConfig
from .images import HierarchicalDataset


class Source(NamedTuple):
    """Where a source's loader stands, and which settings it reads."""

    loader: str
    reads: frozenset[str]


SOURCES: dict[str, Source] = {
    "shapes": Source("bilateral.data.shapes:load", frozenset({"shapes"})),
    "navon": Source("bilateral.data.navon:load", frozenset({"options"})),
    "cifar100": Source("bilateral.data.cifar100.source:load", frozenset({"root", "download"})),
    "folders": Source(
        "bilateral.data.folders.source:load",
        frozenset({"root", "train_dir", "val_dir", "test_dir", "raw_data_dir", "image_size", "num_workers", "options"}),
    ),
    "table": Source("bilateral.data.tables.table:load", frozenset({"root", "image_size", "num_workers", "options"})),
    "huggingface": Source(
        "bilateral.data.tables.huggingface:load",
        frozenset({"root", "download", "image_size", "num_workers", "options"}),
    ),
}
REGISTRY = Registry("source", {name: source.loader for name, source in SOURCES.items()}, "package.module:function")
_READ_BY_ALL = frozenset({"name", "options", "validation_fraction", "split_seed"})


def load(config: DataConfig) -> HierarchicalDataset:
    """Open the data set that `config` names.

    A source of the user's own may have settings: the fields of its `Options`, a Section, which it finds, checked, in
    `config.options`. Raises ConfigError for an unknown source or a setting that it does not read; DataError for bad
    data, and for a source of the user's own that fails or gives something else.
    """
    loader = find_loader(config)
    config = config.model_copy(update={"options": read_options(loader, config.options, "data.options")})
    if not is_own(config.name):
        return loader(config)
    dataset = call(lambda: loader(config), f"data.name: {config.name!r}", DataError)
    if not isinstance(dataset, HierarchicalDataset):
        raise DataError(
            f"data.name: {config.name!r} gave an object of type {type(dataset).__name__}; it must return a "
            "bilateral.data.images.HierarchicalDataset"
        )
    return dataset


def find_loader(config: DataConfig) -> Callable[[DataConfig], HierarchicalDataset]:
    """Give the loader of a registered name, or of a `package.module:function`, after checking the settings."""
    source = SOURCES.get(config.name)
    if source is not None:
        unread = config.changed_fields() - source.reads - _READ_BY_ALL
        if unread:
            reads = ", ".join(sorted(source.reads))
            raise ConfigError(f"data.{min(unread)}: the source {config.name!r} does not read it; it reads: {reads}")
    loader: Callable[[DataConfig], HierarchicalDataset] = REGISTRY.find(config.name, "data.name")
    if not callable(loader):
        raise ConfigError(f"data.name: {config.name!r} is of type {type(loader).__name__}, not a function of a config")
    return loader
