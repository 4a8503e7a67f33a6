"""The source `folders`: image files of any common kind, sorted into folders by label (see `class_folders`).

The splits' folders, train/ and test/, lie in a `root`, or are `train_dir` and `test_dir`. A `root` without these
folders is one split itself.
"""

import warnings
from collections import Counter
from contextlib import suppress
from pathlib import Path

from ...base.errors import ConfigError, DataError
from ...base.section import Section, UserPath
from ..config import DataConfig
from ..hierarchy_file import FILE_NAME, StatedHierarchy, read_hierarchy, read_hierarchy_file
from ..images import HierarchicalDataset
from ..labelled import Labelled, read_dataset
from ..splits import SPLIT_NAMES
from .class_folders import LEVELS, ClassFolders, coarse_folder_of_fine, list_folder, scan
from .labels import FolderLabels, check_coarse_folders, documented_labels, nested_labels

_MOST_NAMED = 5


class Options(Section):
    """Beside the settings of `data` itself."""

    hierarchy: UserPath | None = None
    """The file that says which coarse label each fine one belongs to, where it is not hierarchy.yaml beside them."""


def load(config: DataConfig) -> HierarchicalDataset:
    """Read the images, by label and then file name, as uint8 (N, 3, H, W).

    In the documented layout `train_dir` may also be the fine/ or coarse/ folder itself. Images come from fine/;
    the hierarchy from `options.hierarchy` or `hierarchy.yaml` beside the splits' folders, else from `raw_data_dir`
    (CIFAR-100's raw files), else from the coarse/ tree, which must agree with either. Folders all named by numbers are
    label ids.

    A validation folder (`val_dir`, or val/, valid/, validation/ or dev/ in `root`) gives the data set's validation
    images, unless it is the test folder. Without a test folder a fifth of each class becomes the test set, with a
    warning. Another one names what lies there and is not read. `image_size` makes squares of that many pixels a side;
    without it all images must have one size.

    Raises ConfigError for contradictory settings; DataError, naming the place, for data that fits neither layout,
    an image that cannot be read, a class with no image or one that the training images lack.
    """
    folders = _split_folders(config)
    trees = {split: scan(folder) for split, folder in folders.items()}
    known = _known_hierarchy(config, Options.model_validate(dict(config.options)), trees["train"])
    _check_counts(config, trees, known)
    labels = _label_folders(trees, known)
    _tell_unread(config, folders, trees)
    splits = {}
    for split, tree in trees.items():
        classes = sorted((labels.label(tree, key), paths) for key, paths in tree.files.items())
        fine = [label for label, paths in classes for _ in paths]
        splits[split] = Labelled([path for _, paths in classes for path in paths], fine)
    name = known.name if known is not None and known.name else "folders"
    return read_dataset(name, labels.hierarchy, splits, config, trees["train"].place)


def _split_folders(config: DataConfig) -> dict[str, Path]:
    given = {"train": config.train_dir, "validation": config.val_dir, "test": config.test_dir}
    if config.root is not None:
        if any(given.values()):
            raise ConfigError(
                "data.root contradicts data.train_dir, val_dir and test_dir; give either root, which holds "
                "the folders train/ and test/, or the others"
            )
        given = {split: _folder_in(config.root, names) for split, names in SPLIT_NAMES.items()}
        if not any(given.values()) and list_folder(config.root).folders:
            given["train"] = config.root
        if given["train"] is None:
            raise DataError(f"data.root: there is no folder train/ in {config.root}")
    if given["train"] is None:
        raise ConfigError("data.root or data.train_dir must say where the source 'folders' finds its images")

    folders = {split: folder for split, folder in given.items() if folder is not None}
    places = {split: _split_place(folder) for split, folder in folders.items()}
    if "validation" in places and places["validation"] == places.get("test"):
        del folders["validation"], places["validation"]
    for split, place in places.items():
        if split != "train" and place == places["train"]:
            raise ConfigError(f"data: {place} is given for training and for {split}; each needs images of its own")
    return folders


def _folder_in(root: Path, names: set[str]) -> Path | None:
    present = [folder for folder in list_folder(root).folders if folder.name.lower() in names]
    if len(present) > 1:
        raise DataError(f"{present[0]} and {present[1]} are both there; keep one")
    return present[0] if present else None


def _split_place(folder: Path) -> Path:
    with suppress(OSError, RuntimeError):  # links that form a loop: nothing can be read there
        folder = folder.resolve()
    return folder.parent if folder.name in LEVELS else folder


def _known_hierarchy(config: DataConfig, options: Options, train: ClassFolders) -> StatedHierarchy | None:
    if train.layout == "nested":
        for key, given in (("raw_data_dir", config.raw_data_dir), ("options.hierarchy", options.hierarchy)):
            if given is not None:
                raise ConfigError(
                    f"data.{key}: {train.place} has the layout <coarse>/<fine>/<file>, which gives all labels itself; "
                    f"leave {key} out"
                )
        return None
    root_is_one_split = config.root is not None and train.place == _split_place(config.root)
    beside = train.place if root_is_one_split else train.place.parent
    known = read_hierarchy_file(options.hierarchy) if options.hierarchy else read_hierarchy(beside)
    if known is None and config.raw_data_dir is not None:
        from ..cifar100.source import read_raw

        return StatedHierarchy(name="cifar100", **vars(read_raw(config.raw_data_dir).hierarchy))
    if known is not None and known.name != "cifar100" and config.raw_data_dir is not None:
        raise ConfigError(
            f"data.raw_data_dir is of CIFAR-100, but {options.hierarchy or beside / FILE_NAME} describes "
            f"{known.name or 'other labels'!r}; leave one of them out"
        )
    return known


def _check_counts(config: DataConfig, trees: dict[str, ClassFolders], known: StatedHierarchy | None) -> None:
    for split, expected in known.images.items() if known else ():
        if split not in trees and config.root is None:
            continue
        found = sum(map(len, trees[split].files.values())) if split in trees else 0
        if found != expected:
            place = trees[split].place if split in trees else config.root
            raise DataError(
                f"{place}: hierarchy.yaml counts {expected} {split} images, but {found} are there; complete "
                "them (run the preparation again), or mend the count"
            )


def _tell_unread(config: DataConfig, folders: dict[str, Path], trees: dict[str, ClassFolders]) -> None:
    """Warn once of all that lies among the images and is not read."""
    unread = []
    files = [file for tree in trees.values() for file in tree.no_images if file.name != FILE_NAME]
    if files:
        suffixes = [suffix or "no suffix" for suffix, _ in Counter(file.suffix.lower() for file in files).most_common()]
        unread.append(f"{_counted(len(files), 'file')} ({_listed(suffixes)}), for example {files[0]}")
    astray = [file for tree in trees.values() for file in tree.coarse_alone]
    if astray:
        unread.append(f"{_counted(len(astray), 'image')} of coarse/ that fine/ lacks, for example {astray[0]}")
    if config.root is not None and config.root not in folders.values():
        entries = list_folder(config.root)
        others = [f"{folder.name}/" for folder in entries.folders if folder not in folders.values()]
        if others:
            unread.append(f"{_listed(others)} in {config.root}")
        if entries.images:
            unread.append(
                f"{_counted(len(entries.images), 'image')} outside its folders, for example {entries.images[0]}"
            )
    if unread:
        warnings.warn(f"not read: {'; '.join(unread)}", stacklevel=3)


def _counted(count: int, what: str) -> str:
    return f"{count:,} {what}{'s' if count > 1 else ''}"


def _listed(names: list[str]) -> str:
    rest = len(names) - _MOST_NAMED
    return ", ".join(names[:_MOST_NAMED]) + (f" and {rest} more" if rest > 0 else "")


def _label_folders(trees: dict[str, ClassFolders], known: StatedHierarchy | None) -> FolderLabels:
    train = trees["train"]
    for split, tree in trees.items():
        if tree.layout != train.layout:
            raise DataError(f"{train.place} and {tree.place} have two layouts; training and {split} images need one")
    if train.layout == "nested":
        return nested_labels(train.files)
    coarse_of = {split: coarse_folder_of_fine(tree) for split, tree in trees.items()}
    labels = documented_labels(train, known.hierarchy if known else None, coarse_of["train"])
    for split, tree in trees.items():
        check_coarse_folders(tree, labels, coarse_of[split] or {})
    return labels
