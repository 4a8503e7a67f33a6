"""The source `table`: a CSV or Parquet file with a row for each image: its path or bytes, and its labels.

data: {name: table, root: labels.csv, image_size: 32, options: {fine: breed, coarse: species}}
"""

import io
from pathlib import Path
from typing import TYPE_CHECKING

from ...base.errors import ConfigError, DataError
from ...base.extras import need
from ...base.files import nearest, read_bytes
from ...base.memory import check_memory
from ...base.section import Text, UserPath
from ..config import DataConfig
from ..images import HierarchicalDataset
from ..splits import SPLIT_NAMES
from .columns import Columns, Rows, find_hierarchy, label_names, picture, read_rows

if TYPE_CHECKING:
    from pandas import DataFrame

MAX_BYTES = 2**34
"""Size of the largest table that is read."""
MAX_HEADER = 2**20
PARQUET = {".parquet", ".pq"}
_SEPARATORS = ",;\t"


class Options(Columns):
    """Beside the columns: where validation and test images are, if in tables of their own."""

    split: Text | None = None
    """The column that says train, validation or test; None: `split`, where there is one."""
    validation: UserPath | None = None
    test: UserPath | None = None


def load(config: DataConfig) -> HierarchicalDataset:
    """Read the images that the table `config.root` names, in its order, as uint8 (N, 3, H, W).

    Without a column of coarse labels they come from `options.hierarchy`, or hierarchy.yaml beside the table. Without
    test images a fifth of each class becomes the test set, with a warning. `image_size` makes squares of that many
    pixels a side; without it all images must have one size.

    Raises ConfigError for contradictory settings or a library that is not installed; DataError, naming table and row,
    for a column or a label that is not there, an image that cannot be read, and a class with no image.
    """
    options = Options.model_validate(dict(config.options))
    if config.root is None:
        raise ConfigError("data.root must name the table, a CSV or Parquet file")
    table = read_table(config.root)
    known = find_hierarchy(options, list(table.columns), config.root, config.root.parent)
    rows = _by_split(_rows(config.root, table, options, known is None), table, options)
    for split, path in (("validation", options.validation), ("test", options.test)):
        if path is None:
            continue
        if split in rows:
            raise ConfigError(f"data.options.{split}: the column of splits in {config.root} has {split} images already")
        other = read_table(path)
        find_hierarchy(options, list(other.columns), path, path.parent)
        rows[split] = _rows(path, other, options, known is None)
    return read_rows("table", rows, known, config, config.root)


def read_table(path: Path) -> "DataFrame":
    """Read a table of at least one row: Parquet by its suffix, else CSV, in which every entry is text.

    CSV is UTF-8, with commas, semicolons or tabs between the columns. Raises ConfigError where pandas, or for Parquet
    pyarrow, is not installed; DataError where the file is not there, or is no such table.
    """
    is_parquet = path.suffix.lower() in PARQUET
    for library in ("pandas", "pyarrow") if is_parquet else ("pandas",):
        need(library, "table", f"the table {path}")
    import pandas as pd

    try:
        content = read_bytes(path, MAX_BYTES)
        if is_parquet:
            _check_size(content, path)
            table = pd.read_parquet(io.BytesIO(content))
        else:
            header = content[:MAX_HEADER].splitlines()[:1]
            separator = max(_SEPARATORS, key=b"".join(header).decode("latin-1").count)
            table = pd.read_csv(
                io.BytesIO(content),
                sep=separator,
                dtype=str,
                keep_default_na=False,
                encoding="utf-8-sig",
                skipinitialspace=True,
                index_col=False,
            )
    except OSError as error:
        hint = "; give a table's file, or data.name=folders for images in folders" if path.is_dir() else nearest(path)
        raise DataError(f"cannot read the table {path}: {error.strerror or error}{hint}") from None
    except UnicodeDecodeError as error:
        raise DataError(
            f"cannot read the table {path}: it is no UTF-8 text ({error.reason}); save it as UTF-8"
        ) from None
    except Exception as error:  # damaged bytes make readers raise errors of any kind
        raise DataError(f"cannot read the table {path}: {' '.join(str(error).split())}") from None
    if table.empty:
        raise DataError(f"{path}: the table has no row")
    return table.rename(columns=str)


def _check_size(content: bytes, path: Path) -> None:
    from pyarrow.parquet import read_metadata

    found = read_metadata(io.BytesIO(content))
    size = sum(found.row_group(number).total_byte_size for number in range(found.num_row_groups))
    check_memory(size, f"reading the table {path}", "name image files in it in place of their bytes")


def _rows(path: Path, table: "DataFrame", options: Options, with_coarse: bool) -> Rows:
    folder = options.folder or path.parent
    first = first_row(path)
    numbered = enumerate(table[options.image], start=first)
    images = [picture(each, folder, f"{path}, row {row}") for row, each in numbered]
    files = {each: row for row, each in enumerate(images, start=first) if isinstance(each, Path)}
    if missing := [file for file in files if not file.exists()]:
        raise DataError(
            f"{path}: {len(missing):,} of {len(images):,} images are not there, such as {missing[0]} of row "
            f"{files[missing[0]]}; their paths start in {folder.resolve()}; data.options.folder=FOLDER names another"
        )
    columns = [options.fine, *([options.coarse] if with_coarse else [])]
    labels = [label_names(table[column], f"{path}, column {column!r}", first) for column in columns]
    return Rows(str(path), images, labels[0], labels[-1])


def first_row(path: Path) -> int:
    """The number of a table's first row in errors: in a CSV file as a spreadsheet shows it, below the header."""
    return 1 if path.suffix.lower() in PARQUET else 2


def _by_split(rows: Rows, table: "DataFrame", options: Options) -> dict[str, Rows]:
    """Take the rows apart by the column of splits, where there is one."""
    column = options.split or "split"
    if column not in table.columns:
        if options.split is not None:
            raise DataError(f"{rows.what}: there is no column {column!r}, which data.options.split names")
        return {"train": rows}
    found: dict[str, list[int]] = {}
    first = first_row(Path(rows.what))
    for place, value in enumerate(label_names(table[column], f"{rows.what}, column {column!r}", first)):
        split = next((split for split, names in SPLIT_NAMES.items() if value.lower() in names), None)
        if split is None:
            raise DataError(f"{rows.what}, row {place + first}: the split {value!r} must be train, validation or test")
        found.setdefault(split, []).append(place)
    if "train" not in found:
        raise DataError(f"{rows.what}: no row is of the split train")
    return {split: rows.select(of_split) for split, of_split in found.items()}
