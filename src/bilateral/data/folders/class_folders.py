"""Image files sorted into folders of classes: what lies where. Nothing is decoded here.

Three layouts of a split's folder are read:

    documented    fine/<fine label>/<file>, and the same images again as coarse/<coarse label>/<file>
    nested        <coarse label>/<fine label>/<file>
    flat          <fine label>/<file>

Hidden files are passed over, files without an image's suffix are noted; an image or a folder at any other place is an
error, so that none is left out unnoticed. Only these fixed depths are read, so links that form a loop do no harm.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, NamedTuple

from ...base.errors import DataError
from ..image_files import IMAGE_SUFFIXES

LEVELS = {"fine", "coarse"}
_OF_THE_SYSTEM = {"thumbs.db", "desktop.ini"}

ClassKey = tuple[str, ...]
"""Folder names of a class: (coarse, fine) in the nested layout, (fine,) in the others."""
Layout = Literal["documented", "nested", "flat"]


@dataclass(frozen=True)
class ClassFolders:
    """The image files of one split by class, each class's sorted by name."""

    place: Path
    """The split's folder: the one that holds fine/ in the documented layout."""
    layout: Layout
    files: dict[ClassKey, list[Path]]
    no_images: list[Path] = field(default_factory=list)
    """What else lies there: files whose suffix is none of an image."""
    coarse_alone: list[Path] = field(default_factory=list)
    """Images in coarse/ of whose names there is none in fine/, where `coarse_folder_of_fine` has looked."""

    @property
    def top(self) -> Path:
        """The folder that holds the class folders, or in the nested layout those of coarse labels."""
        return self.place / "fine" if self.layout == "documented" else self.place


class Entries(NamedTuple):
    """What is visible in a folder, each kind sorted by name."""

    folders: list[Path]
    images: list[Path]
    others: list[Path]


def scan(place: Path) -> ClassFolders:
    """List the images of a split; `place` is its folder, or the fine/ or coarse/ one in it.

    Raises DataError, naming the folder, for a class with no image and for anything that fits neither layout.
    """
    if place.name in LEVELS and any(list_folder(folder).images for folder in list_folder(place).folders):
        place, documented = place.parent, True
    else:
        names = {folder.name for folder in list_folder(place).folders}
        documented = bool(names) and names <= LEVELS
        if names > LEVELS:
            raise DataError(
                f"{place}: beside fine/ and coarse/, which hold the images by label, lies {min(names - LEVELS)}/; move "
                "it elsewhere, or rename fine/ and coarse/ if they are labels"
            )
    layout: Layout = "documented" if documented else "flat" if _is_flat(place) else "nested"
    tree = ClassFolders(place, layout, {}, list_folder(place).others)
    if documented and not any(folder.name == "fine" for folder in list_folder(place).folders):
        raise DataError(f"{place}: there is no folder fine/, from which images and fine labels are read")
    for folder in _class_folders(tree.top, tree):
        if layout == "nested":
            for fine in _class_folders(folder, tree):
                tree.files[folder.name, fine.name] = _images(fine, tree)
        else:
            tree.files[folder.name,] = _images(folder, tree)
    return tree


def coarse_folder_of_fine(tree: ClassFolders) -> dict[str, str] | None:
    """Find each fine folder's coarse folder by the names of its files, or give None if there is no coarse/.

    Raises DataError if the files of a fine folder do not all lie in exactly one coarse folder.
    """
    if tree.layout == "flat" or not any(folder.name == "coarse" for folder in list_folder(tree.place).folders):
        return None
    holders: dict[str, set[str]] = {}
    known = {image.name for images in tree.files.values() for image in images}
    for coarse in _class_folders(tree.place / "coarse", tree):
        for image in _images(coarse, tree):
            holders.setdefault(image.name, set()).add(coarse.name)
            if image.name not in known:
                tree.coarse_alone.append(image)

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


def list_folder(folder: Path) -> Entries:
    """List a folder. Raises DataError where it is not there or cannot be read."""
    try:
        entries = sorted(folder.iterdir(), key=lambda entry: entry.name)
        visible = [entry for entry in entries if not entry.name.startswith(".")]
        images = [entry for entry in visible if is_image(entry)]
        folders = [entry for entry in visible if not is_image(entry) and entry.is_dir()]
    except FileNotFoundError:
        raise DataError(f"folder {folder} does not exist") from None
    except OSError as error:
        raise DataError(f"cannot read folder {folder}: {error.strerror}") from error
    known = {*images, *folders}
    others = [entry for entry in visible if entry not in known and entry.name.lower() not in _OF_THE_SYSTEM]
    return Entries(folders, images, others)


def is_image(path: Path) -> bool:
    """Tell by its name whether a file is an image."""
    return path.suffix.lower() in IMAGE_SUFFIXES


def _is_flat(place: Path) -> bool:
    entries = [list_folder(folder) for folder in list_folder(place).folders]
    return any(each.images for each in entries) and not any(each.folders for each in entries)


def _class_folders(parent: Path, tree: ClassFolders) -> list[Path]:
    folders, images, others = list_folder(parent)
    if images:
        raise DataError(
            f"{images[0]}: an image where folders of classes are expected; the layouts are "
            "<split>/<coarse>/<fine>/<file>, <split>/<fine>/<file> with a hierarchy.yaml, and "
            "<split>/fine/<label>/<file> with <split>/coarse/<label>/<file>"
        )
    if not folders:
        raise DataError(f"{parent}: there is no folder of a class in it")
    for folder in folders:
        try:
            folder.name.encode()
        except UnicodeEncodeError:
            raise DataError(
                f"{folder}: the name of this class folder is no UTF-8 text, in which names of classes are recorded; "
                "rename it"
            ) from None
    if parent != tree.place:
        tree.no_images.extend(others)
    return folders


def _images(class_folder: Path, tree: ClassFolders) -> list[Path]:
    folders, images, others = list_folder(class_folder)
    if folders:
        raise DataError(f"{folders[0]}: a folder where the images of class {class_folder.name!r} are expected")
    if not images:
        raise DataError(f"{class_folder}: class {class_folder.name!r} has no image")
    tree.no_images.extend(others)
    return images
