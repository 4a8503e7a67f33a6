"""The command that shows what was read of a data set, before anything is trained."""

import warnings
from functools import partial
from pathlib import Path

import torch
from rich import box
from rich.table import Table
from rich.text import Text

from ..base.errors import ConfigError, DataError
from ..base.files import check_place
from ..base.text import shown
from ..data import sources
from ..data.images import HierarchicalDataset, HierarchicalImages
from ..data.sheet import write_sheet
from ..runs.checks import cost_of_size
from ..runs.config import read_config
from ..runs.execution import split
from .arguments import config_and_overrides
from .terminal import echo_filled, wide

_echo = partial(echo_filled, indent="  ")


def data(*arguments: str, sheet: Path | None) -> None:
    """Do `bilateral data`."""
    path, overrides = config_and_overrides(arguments)
    if path is None and not overrides:
        raise ConfigError("data needs a config file, or settings such as data.name=folders data.root=DIR")
    if sheet is not None:
        check_place(sheet)
    config = read_config(path, overrides)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            dataset = sources.load(config.data)
            training, validation = split(config, dataset)
        except DataError:
            _tell(caught)  # it may say why
            raise
    splits = {"train": training, "validation": validation, "test": dataset.test}
    if validation is dataset.test:
        del splits["validation"]
    _echo(_title(dataset))
    wide().print(_table(dataset, splits))
    if dataset.validation is None and "validation" in splits:
        share = f"data.validation_fraction={config.data.validation_fraction:g}"
        _echo(f"The validation images are held out of the training images of each class ({share}).")
    _tell(caught)
    if not any(str(warning.message).startswith("not read") for warning in caught):
        _echo("Nothing was left out.")
    if hint := cost_of_size(*dataset.train.images.shape[2:]):
        _echo(f"Note: {hint}.")
    if sheet is not None:
        write_sheet(dataset, sheet)
        _echo(f"Examples: {sheet}")


def _tell(caught: list[warnings.WarningMessage]) -> None:
    for warning in caught:
        _echo(f"Note: {warning.message}.")


def _title(dataset: HierarchicalDataset) -> str:
    every, hierarchy = dataset.splits().values(), dataset.hierarchy
    height, width = dataset.train.images.shape[2:]
    size = sum(images.images.nbytes for images in every) / 1e6
    return (
        f"{dataset.name}: {sum(map(len, every)):,} images of {width}x{height} pixels ({size:,.1f} MB in memory), "
        f"{hierarchy.fine_count} fine and {hierarchy.coarse_count} coarse labels"
    )


def _table(dataset: HierarchicalDataset, splits: dict[str, HierarchicalImages]) -> Table:
    """A line for each fine label, by coarse label, with its images in each split."""
    hierarchy, table = dataset.hierarchy, Table(box=box.SIMPLE_HEAD, show_footer=True)
    for heading, footer in (("coarse", "all"), ("fine", "")):
        table.add_column(heading, footer, overflow="fold", max_width=30)
    for name, images in splits.items():
        table.add_column(name, f"{len(images):,}", justify="right", no_wrap=True)
    counts = [torch.bincount(each.fine, minlength=hierarchy.fine_count).tolist() for each in splits.values()]
    for coarse, coarse_name in enumerate(hierarchy.coarse_names):
        for fine, fine_name in enumerate(hierarchy.fine_names):
            if hierarchy.coarse_of_fine[fine] == coarse:
                names = [Text(shown(name)) for name in (coarse_name, fine_name)]
                table.add_row(*names, *(f"{each[fine]:,}" for each in counts))
                coarse_name = ""
    return table
