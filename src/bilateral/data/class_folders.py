"""Image files sorted into folders of classes: what lies where. Nothing is decoded here.

Two layouts of a split's folder are read:

    documented    fine/<fine label>/<file>, and the same images again as coarse/<coarse label>/<file>
    nested        <coarse label>/<fine label>/<file>

Hidden files and files without an image's suffix are passed over; an image or a folder at any other place is an
error, so that none is left out unnoticed. Only these fixed depths are read, so links that form a loop do no harm.
"""

from dataclasses import dataclass
from pathlib import Path

from ..base.errors import DataError
from .image_files import IMAGE_SUFFIXES

LEVELS = {"fine", "coarse"}

ClassKey = tuple[str, ...]
"""Folder names of a class: (fine,) in the documented layout, (coarse, fine) in the nested one."""


@dataclass(frozen=True)
class ClassFolders:
    """The image files of one split by class, each class's sorted by name."""

    place: Path
    """The split's folder: the one that holds fine/ in the documented layout."""
    nested: bool
    files: dict[ClassKey, list[Path]]


def scan(place: Path) -> ClassFolders:
    """List the images of a split; `place` is its folder, or the fine/ or coarse/ one in it.

    Raises DataError, naming the folder, for a class with no image and for anything that fits neither layout.
    """
    if place.name in LEVELS and any(_list(folder)[1] for folder in _list(place)[0]):
        place, documented = place.parent, True
    else:
        names = {folder.name for folder in _list(place)[0]}
        documented = bool(names) and names <= LEVELS
    if not documented:
        nested = [(coarse, fine) for coarse in _class_folders(place) for fine in _class_folders(coarse)]
        return ClassFolders(place, True, {(coarse.name, fine.name): _images(fine) for coarse, fine in nested})
    if not (place / "fine").is_dir():
        raise DataError(f"{place}: there is no folder fine/, from which images and fine labels are read")
    return ClassFolders(place, False, {(fine.name,): _images(fine) for fine in _class_folders(place / "fine")})


def coarse_folder_of_fine(tree: ClassFolders) -> dict[str, str] | None:
    """Find each fine folder's coarse folder by the names of its files, or give None if there is no coarse/.

    Raises DataError if the files of a fine folder do not all lie in exactly one coarse folder.
    """
    if not (tree.place / "coarse").is_dir():
        return None
    holders: dict[str, set[str]] = {}
    for coarse in _class_folders(tree.place / "coarse"):
        for image in _images(coarse):
            holders.setdefault(image.name, set()).add(coarse.name)

    found = {}
    for (fine,), files in tree.files.items():
        shared = set(holders.get(files[0].name, ()))
        for file in files:
            shared &= holders.get(file.name, set())
            if not shared:
                where = ", ".join(in_label_order(holders.get(file.name, set()))) or "none"
                raise DataError(
                    f"{tree.place}: the images of fine/{fine} must all lie in exactly one folder of coarse/, but "
                    f"{file.name} breaks this (it lies in: {where})"
                )
        if len(shared) > 1:
            raise DataError(
                f"{tree.place}: the file names of fine/{fine} stand in several folders of coarse/: "
                f"{', '.join(in_label_order(shared))}; they must stand in exactly one"
            )
        found[fine] = shared.pop()
    return found


def is_label_id(name: str) -> bool:
    """Tell whether a folder's name is a label id, as in CIFAR-100's documented layout."""
    return name.isascii() and name.isdecimal()


def in_label_order(names: set[str]) -> list[str]:
    """Order folder names: as numbers where all are label ids ("2" before "10"), else as text."""
    if all(map(is_label_id, names)):
        return sorted(names, key=lambda name: (int(name), name))
    return sorted(names)


def _class_folders(parent: Path) -> list[Path]:
    folders, images = _list(parent)
    if images:
        raise DataError(
            f"{images[0]}: an image where folders of classes are expected; the layouts are "
            "<split>/fine/<label>/<file> with <split>/coarse/<label>/<file>, and <split>/<coarse>/<fine>/<file>"
        )
    if not folders:
        raise DataError(f"{parent}: there is no folder of a class in it")
    return folders


def _images(class_folder: Path) -> list[Path]:
    folders, images = _list(class_folder)
    if folders:
        raise DataError(f"{folders[0]}: a folder where the images of class {class_folder.name!r} are expected")
    if not images:
        raise DataError(f"{class_folder}: class {class_folder.name!r} has no image")
    return images


def _list(folder: Path) -> tuple[list[Path], list[Path]]:
    """Folders and image files in a folder, sorted by name."""
    try:
        entries = sorted(folder.iterdir(), key=lambda entry: entry.name)
    except FileNotFoundError:
        raise DataError(f"folder {folder} does not exist") from None
    except OSError as error:
        raise DataError(f"cannot read folder {folder}: {error.strerror}") from error
    visible = [entry for entry in entries if not entry.name.startswith(".")]
    images = [entry for entry in visible if entry.suffix.lower() in IMAGE_SUFFIXES]
    folders = [entry for entry in visible if entry.suffix.lower() not in IMAGE_SUFFIXES and entry.is_dir()]
    return folders, images
