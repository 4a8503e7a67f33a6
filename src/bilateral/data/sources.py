"""The data sources by name, and the one door through which a data set is opened."""

import importlib
from collections.abc import Callable
from typing import NamedTuple

from ..base.errors import ConfigError
from .config import DataConfig
from .images import HierarchicalDataset


class Source(NamedTuple):
    """Where a source's loader stands, and which settings it reads."""

    loader: str
    reads: frozenset[str]


SOURCES: dict[str, Source] = {
    "shapes": Source("bilateral.data.shapes:load", frozenset({"shapes"})),
    "cifar100": Source("bilateral.data.cifar100:load", frozenset({"root", "download"})),
    "folders": Source(
        "bilateral.data.folders:load",
        frozenset({"root", "train_dir", "val_dir", "test_dir", "raw_data_dir", "image_size", "num_workers"}),
    ),
}
_READ_BY_ALL = frozenset({"name", "validation_fraction", "split_seed"})


def load(config: DataConfig) -> HierarchicalDataset:
    """Open the data set that `config` names.

    Raises ConfigError for an unknown source or a setting that it does not read; DataError for bad data.
    """
    return find_loader(config)(config)


def find_loader(config: DataConfig) -> Callable[[DataConfig], HierarchicalDataset]:
    """Give the loader of a registered name, or of a `package.module:function`, after checking the settings."""
    source = SOURCES.get(config.name)
    if source is not None:
        _refuse_unread(config, source)
    elif ":" not in config.name:
        known = ", ".join(SOURCES)
        raise ConfigError(f"data.name: unknown source {config.name!r}; allowed: {known}, or package.module:function")
    module_name, _, function = (source.loader if source else config.name).partition(":")
    try:
        return getattr(importlib.import_module(module_name), function)
    except (ImportError, AttributeError, ValueError, TypeError) as error:
        raise ConfigError(f"data.name: cannot import {config.name!r}: {error}") from error


def _refuse_unread(config: DataConfig, source: Source) -> None:
    unread = config.changed_fields() - source.reads - _READ_BY_ALL
    if unread:
        raise ConfigError(
            f"data.{min(unread)}: the source {config.name!r} does not read it; it reads: "
            + ", ".join(sorted(source.reads))
        )
