"""The source `huggingface`: a data set of the library datasets, from disk or from the Hub.

data: {name: huggingface, download: true, options: {name: uoft-cs/cifar100, image: img, fine: fine_label,
       coarse: coarse_label}}
"""

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...base.errors import ConfigError, DataError
from ...base.extras import need
from ...base.section import Text
from ..config import DataConfig
from ..image_files import Encoded
from ..images import HierarchicalDataset
from ..splits import SPLIT_NAMES
from .columns import Columns, Rows, find_hierarchy, label_names, picture, read_rows

if TYPE_CHECKING:
    from datasets import Dataset


class Options(Columns):
    """Beside the columns: which data set of the Hub, if it is not from disk, and its splits."""

    name: Text | None = None
    """OWNER/NAME on the Hub, or a folder of files as such a data set has."""
    subset: Text | None = None
    """Its configuration, if it has several."""
    revision: Text | None = None
    """Its branch, tag or commit; a commit always gives the same data."""
    train: Text | None = None
    """The split of this name; None: that of a usual name."""
    validation: Text | None = None
    test: Text | None = None


def load(config: DataConfig) -> HierarchicalDataset:
    """Read the data set that `config.root` (by `save_to_disk`) or `options.name` names, as uint8 (N, 3, H, W).

    Nothing is fetched without `download`. Labels of the type ClassLabel have its names. Without a column of coarse
    labels they come from `options.hierarchy`. Without test images a fifth of each class becomes the test set, with a
    warning. `image_size` makes squares of that many pixels a side; without it all images must have one size.

    Raises ConfigError for contradictory settings or a library that is not installed; DataError for a data set that
    cannot be opened, a column or a label that is not there, an image that cannot be read, a class with no image.
    """
    need("datasets", "huggingface", "data.name: huggingface")
    options = Options.model_validate(dict(config.options))
    if (config.root is None) == (options.name is None):
        raise ConfigError(
            "data: give either root, a folder that `save_to_disk` has written, or options.name, a data set of the Hub"
        )
    place = str(config.root or options.name)
    splits = _splits(_open(config, options, place), options, place)
    known = find_hierarchy(options, splits["train"].column_names, place, config.root)
    rows = {
        split: _rows(f"{place}, {split}", each, config.root, options, known is None) for split, each in splits.items()
    }
    return read_rows("huggingface", rows, known, config, place)


def _open(config: DataConfig, options: Options, place: str) -> "dict[str, Dataset]":
    import datasets

    offline = datasets.config.HF_HUB_OFFLINE
    try:
        if config.root is not None:
            found = datasets.load_from_disk(str(config.root))
        else:
            datasets.config.HF_HUB_OFFLINE = offline or not config.download
            found = datasets.load_dataset(options.name, options.subset, revision=options.revision)
    except Exception as error:  # it raises errors of any kind
        hint = "" if config.root or config.download else "; data.download=true fetches it from the Hub"
        raise DataError(f"cannot open the data set {place}: {' '.join(str(error).split())}{hint}") from error
    finally:
        datasets.config.HF_HUB_OFFLINE = offline
    return dict(found) if isinstance(found, dict) else {"train": found}


def _splits(found: "dict[str, Dataset]", options: Options, place: str) -> "dict[str, Dataset]":
    chosen: dict[str, str] = {}
    for split, names in SPLIT_NAMES.items():
        name = getattr(options, split) or next((name for name in found if name.lower() in names), None)
        if name is None and split != "train":
            continue
        if name not in found:
            raise DataError(
                f"{place}: there is no split {name or split!r}; data.options.{split} names one of {', '.join(found)}"
            )
        chosen[split] = name
    if chosen.get("validation") == chosen.get("test"):
        chosen.pop("validation", None)
    if chosen["train"] in (chosen.get("validation"), chosen.get("test")):
        raise ConfigError(f"data.options: the split {chosen['train']!r} is given for training and for another split")
    if unread := found.keys() - set(chosen.values()):
        warnings.warn(f"not read: of {place} the splits {', '.join(sorted(unread))}", stacklevel=3)
    return {split: found[name] for split, name in chosen.items()}


def _rows(what: str, data: "Dataset", folder: Path | None, options: Options, with_coarse: bool) -> Rows:
    if not len(data):
        raise DataError(f"{what}: this split has no row")
    columns = [options.fine, *([options.coarse] if with_coarse else [])]
    labels = [_labels(data, column, f"{what}, column {column!r}") for column in columns]
    return Rows(what, _Pictures(data, options.image, options.folder or folder, what), labels[0], labels[-1])


def _labels(data: "Dataset", column: str, what: str) -> list[str]:
    kind, values = data.features[column], data.with_format(None)[column][:]
    if hasattr(kind, "names"):  # a ClassLabel; rows without a label have -1
        values = [kind.names[value] if value is not None and value >= 0 else None for value in values]
    return label_names(values, what)


class _Pictures(Sequence[Path | Encoded]):
    """The images of a data set, each taken from its files when it is asked for."""

    def __init__(self, data: "Dataset", column: str, folder: Path | None, what: str) -> None:
        from datasets import Image

        data = data.select_columns([column]).with_format(None)
        is_image = isinstance(data.features[column], Image)
        self.data = data.cast_column(column, Image(decode=False)) if is_image else data
        self.column, self.folder, self.what = column, folder, what

    def __len__(self) -> int:
        return len(self.data)

    def __getitem__(self, row: Any) -> Any:
        return picture(self.data[row][self.column], self.folder, f"{self.what}, row {row + 1}")
