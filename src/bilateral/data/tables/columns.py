"""Data in columns: an image, a fine and a coarse label in each row. What tables and Hugging Face data sets share."""

import os
import warnings
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from numbers import Integral
from pathlib import Path
from typing import Any, NamedTuple

from ...base.errors import DataError
from ...base.section import Section, Text, UserPath
from ..config import DataConfig
from ..folders.labels import find_label, label_ids, nested_labels
from ..hierarchy_file import FILE_NAME, StatedHierarchy, read_hierarchy, read_hierarchy_file
from ..image_files import Encoded
from ..images import HierarchicalDataset
from ..labelled import Images, Labelled, read_dataset

Pair = tuple[str, str]
"""The coarse and the fine label of a row, by name."""


class Columns(Section):
    """The names of the columns, and what is not in them."""

    image: Text = "image"
    """Paths of image files, the bytes of such files, or {bytes, path}."""
    fine: Text = "fine"
    coarse: Text = "coarse"
    hierarchy: UserPath | None = None
    """A file of lines such as `animal: [cat, dog]`, which counts in place of a column of coarse labels."""
    folder: UserPath | None = None
    """Where the images' paths start, and out of which none leads; None: the folder of the data."""


class Rows(NamedTuple):
    """The N images of a split, and their labels by name; what is coarse does not count where a hierarchy is known."""

    what: str
    """The split or its file, for errors."""
    images: Images
    fine: list[str]
    coarse: list[str]

    def select(self, rows: Sequence[int]) -> "Rows":
        """Give the rows at these places, in that order."""
        images, fine, coarse = self.images, self.fine, self.coarse
        return Rows(
            self.what, [images[row] for row in rows], [fine[row] for row in rows], [coarse[row] for row in rows]
        )


def find_hierarchy(
    options: Columns, columns: Collection[str], place: Path | str, beside: Path | None
) -> StatedHierarchy | None:
    """Give the hierarchy of data without a column of coarse labels, from a file; None where there is such a column.

    beside: the folder whose hierarchy.yaml counts where the options name no file. Raises DataError for a column that is
    missing, and as `read_hierarchy_file` does.
    """
    its = f"its columns are {', '.join(columns)}"
    for key, column in (("image", options.image), ("fine", options.fine)):
        if column not in columns:
            raise DataError(f"{place}: there is no column {column!r}; name another by data.options.{key}=COLUMN; {its}")
    if options.hierarchy is not None:
        return read_hierarchy_file(options.hierarchy)
    known = None if options.coarse in columns or beside is None else read_hierarchy(beside)
    if known is None and options.coarse not in columns:
        raise DataError(
            f"{place}: there is no column {options.coarse!r}; name another by data.options.coarse=COLUMN, or "
            f"give by data.options.hierarchy=FILE a file with lines such as `animal: [cat, dog]`; {its}"
        )
    return known


def label_names(values: Iterable[Any], what: str, first: int = 1) -> list[str]:
    """Give the labels of all rows as text. what: the column, and first: the first row's number, for errors.

    Raises DataError, with the row's number, for one that is missing, or neither text nor a whole number.
    """
    names = []
    for row, value in enumerate(values, start=first):
        if isinstance(value, Integral) and not isinstance(value, bool):
            value = str(int(value))
        name = value.strip() if isinstance(value, str) else ""
        if not name:
            missing = str(value).strip() in ("", "None", "nan", "<NA>")
            reason = "there is no label" if missing else f"{value!r:.40} is neither text nor a whole number"
            raise DataError(f"{what}, row {row}: {reason}; mend the row, or leave it out")
        names.append(name)
    return names


def picture(value: Any, folder: Path | None, what: str) -> Path | Encoded:
    """Give the image file that an entry holds or names. what: the row, for errors.

    folder: where its path starts, and out of which it may not lead; None: it may lead anywhere. Raises DataError.
    """
    if isinstance(value, Mapping):
        value = value.get("path") if value.get("bytes") is None else value["bytes"]
    if isinstance(value, bytes):
        return Encoded(value, what)
    if not isinstance(value, str) or not value or "\0" in value:
        raise DataError(f"{what}: it has no image, which is a path, or the bytes of an image file")
    if folder is None:
        return Path(value)
    path = os.path.normpath(folder / value)
    if not Path(os.path.abspath(path)).is_relative_to(os.path.abspath(folder)):  # noqa: PTH100, which follows links
        raise DataError(
            f"{what}: {value} leads out of {folder}; data.options.folder names a folder that holds all images"
        )
    return Path(path)


def read_rows(
    name: str, rows: Mapping[str, Rows], known: StatedHierarchy | None, config: DataConfig, place: Path | str
) -> HierarchicalDataset:
    """Number the labels of every split's rows, and read the images, as `read_dataset` does.

    known: the hierarchy; the fine labels are its names or ids. None: each pair of a coarse and a fine name is a class,
    in the order of the coarse, then of the fine names. Raises DataError for a label that the hierarchy or the training
    images lack.
    """
    if known is None:
        return read_dataset(name, *_by_pairs(rows, place), config, place)
    counts = {split: len(each.fine) for split, each in rows.items()}
    for split, expected in known.images.items():
        if expected != counts.get(split, 0):
            raise DataError(
                f"{place}: {FILE_NAME} counts {expected} {split} images, but {counts.get(split, 0)} are there"
            )
    ids, splits = label_ids(known.fine_names), {}
    for split, each in rows.items():
        found = {fine: find_label(fine, ids, f"{each.what}: fine label {fine!r}") for fine in dict.fromkeys(each.fine)}
        splits[split] = Labelled(each.images, [found[fine] for fine in each.fine])
    return read_dataset(known.name or name, known.hierarchy, splits, config, place)


def _by_pairs(rows: Mapping[str, Rows], place: Path | str) -> tuple[Any, dict[str, Labelled]]:
    pairs = {split: list(zip(each.coarse, each.fine)) for split, each in rows.items()}
    known = Counter(pairs["train"])
    _check_each_fine_has_one_coarse(known, place)
    labels = nested_labels(known)
    splits = {}
    for split, each in rows.items():
        if strange := set(pairs[split]) - known.keys():
            coarse, fine = min(strange)
            others = "; they have it with " + _listed(own) if (own := _coarse_of(known, fine)) else ""
            raise DataError(
                f"{each.what}: the training images have no fine label {fine!r} with coarse label {coarse!r}{others}"
            )
        splits[split] = Labelled(each.images, [labels.fine_of[pair] for pair in pairs[split]])
    return labels.hierarchy, splits


def _check_each_fine_has_one_coarse(pairs: Mapping[Pair, int], place: Path | str) -> None:
    """Warn of a fine label with several coarse ones. Raises DataError where the two columns must be swapped."""
    doubled = {fine: own for fine in sorted({fine for _, fine in pairs}) if len(own := _coarse_of(pairs, fine)) > 1}
    if not doubled:
        return
    fine, own = min(doubled.items(), key=lambda each: min(each[1].values()))
    if len({coarse for coarse, _ in pairs}) == len(pairs):
        raise DataError(
            f"{place}: fine label {fine!r} has {len(own)} coarse labels, and no coarse label has two fine ones, so the "
            "two columns seem to be swapped; data.options.fine and data.options.coarse name them"
        )
    warnings.warn(
        f"{place}: fine label {fine!r} has the coarse labels {_listed(own)}, which makes {len(own)} classes; if that "
        "is a mistake, mend the coarse labels",
        stacklevel=5,
    )


def _coarse_of(pairs: Mapping[Pair, int], fine: str) -> dict[str, int]:
    """The coarse labels that a fine one has, and in how many rows; the most frequent first."""
    own = {coarse: count for (coarse, name), count in pairs.items() if name == fine}
    return dict(sorted(own.items(), key=lambda each: (-each[1], each[0])))


def _listed(own: Mapping[str, int]) -> str:
    shown = [f"{coarse!r} ({count:,} row{'s' if count > 1 else ''})" for coarse, count in own.items()]
    return ", ".join(shown[:3]) + (", ..." if len(shown) > 3 else "")
