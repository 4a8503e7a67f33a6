"""CIFAR-100 as folders of images, one tree for each label level, and a file that names the labels."""

import io
import os
import shutil
import threading
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from ...base.errors import DataError, OutputError
from ...base.files import sole_writer, write_text, writing
from ...base.yaml_files import to_yaml
from ..hierarchy_file import FILE_NAME, StatedHierarchy, read_hierarchy
from ..image_files import read_image
from ..threads import for_each
from .source import RawSplit, read_raw

_REMEDY = "nothing was written: choose another target, or move it away"


@dataclass(frozen=True)
class Summary:
    """What a preparation did: images of each split now there, and how many of all it had to write."""

    target: Path
    images: dict[str, int]
    written: int

    def __str__(self) -> str:
        counts = " and ".join(f"{count} {split}" for split, count in self.images.items())
        return f"{self.target}: {counts} images, each in fine/ and coarse/; {self.written} written now"


class _Place(NamedTuple):
    """Where one image belongs in both trees, and its pixels, uint8 (3, H, W)."""

    fine: Path
    coarse: Path
    pixels: np.ndarray


def prepare_cifar100(raw: Path, target: Path, download: bool = False, num_workers: int = 4) -> Summary:
    """Write {train,test}/{fine,coarse}/<label id>/<file name>.png and hierarchy.yaml from CIFAR-100's raw files.

    `raw` is any place that `cifar100.read_raw` reads, or downloads to if `download` is set. An image has one file
    name in both trees; its coarse file is a hard link to the fine one, or a copy where the file system has no links.
    Images that share a coarse folder and a name get numbers ("name-2.png"). Files that are already there are compared
    with the raw images and kept: a second call writes nothing, and after an interruption it goes on. `num_workers`
    threads encode and compare.

    Raises DataError for bad raw files; OutputError if `target` holds anything else where the images belong (then
    nothing is written), cannot be written, or is just being written by another process.
    """
    source = read_raw(raw, download_missing=download)
    splits = {"train": source.train, "test": source.test}
    images = {split: len(content.images) for split, content in splits.items()}
    stated = StatedHierarchy(name="cifar100", **vars(source.hierarchy), images=images)
    places = [place for split, content in splits.items() for place in _places(content, target / split)]
    missing = _missing(places, stated, target, num_workers)
    if missing or read_hierarchy(target) is None:
        with sole_writer(target / ".prepare.lock", f"the folder {target}"):
            missing = _missing(places, stated, target, num_workers)
            # It counts the images, so it stands there first: an unfinished preparation is then told from a whole.
            write_text(target / FILE_NAME, to_yaml(stated.model_dump(mode="json")))
            _write(missing, target, num_workers)
    return Summary(target, stated.images, len(missing))


def unique_file_names(split: RawSplit) -> list[str]:
    """Give each image a file name of its own within its coarse label, and so within its fine one.

    Names that differ in case alone count as the same, as they do on some file systems.
    Raises DataError for a name that begins with a dot: such files are hidden.
    """
    names = [name if name.lower().endswith(".png") else f"{name}.png" for name in split.filenames]
    keys = [(coarse, name.casefold()) for coarse, name in zip(split.coarse.tolist(), names)]
    taken, used = set(keys), set()
    copies: defaultdict[tuple[int, str], int] = defaultdict(lambda: 1)
    for index, (coarse, key) in enumerate(keys):
        if key.startswith("."):
            raise DataError(f"raw image {index} is named {names[index]!r}: a file of this name would be hidden")
        if (coarse, key) in used:
            stem, renamed = names[index][:-4], (coarse, key)
            while renamed in taken:
                copies[coarse, key] += 1
                names[index] = f"{stem}-{copies[coarse, key]}.png"
                renamed = (coarse, names[index].casefold())
        used.add((coarse, key))
    return names


def _places(split: RawSplit, folder: Path) -> list[_Place]:
    return [
        _Place(folder / "fine" / str(fine) / name, folder / "coarse" / str(coarse) / name, pixels)
        for fine, coarse, name, pixels in zip(
            split.fine.tolist(), split.coarse.tolist(), unique_file_names(split), split.images.numpy()
        )
    ]


def _missing(places: list[_Place], stated: StatedHierarchy, target: Path, num_workers: int) -> list[_Place]:
    """Give the images that lack a file. Raises OutputError if anything else stands where they belong."""
    if read_hierarchy(target) not in (None, stated):
        raise OutputError(f"{target / FILE_NAME} describes other data; {_REMEDY}")
    expected: dict[Path, set[str]] = defaultdict(set)
    for place in places:
        for file in (place.fine, place.coarse):
            expected[file.parent].add(file.name)
    for folder in list(expected):
        expected[folder.parent].add(folder.name)
        expected[folder.parent.parent].add(folder.parent.name)
    present = {folder: _present(folder, expected[folder]) for folder in sorted(expected)}

    def lacks_file(place: _Place) -> bool:
        fine_there, coarse_there = (file.name in present[file.parent] for file in (place.fine, place.coarse))
        if fine_there:
            _compare(place.fine, place.pixels)
        if coarse_there and not (fine_there and place.coarse.samefile(place.fine)):
            _compare(place.coarse, place.pixels)
        return not (fine_there and coarse_there)

    lacking = for_each(lacks_file, places, "checking images", num_workers)
    return [place for place, lacks in zip(places, lacking) if lacks]


def _present(folder: Path, expected: set[str]) -> set[str]:
    """Names in a folder, all among those expected; without empty files, which a power cut leaves."""
    try:
        with os.scandir(folder) as entries:
            sizes = {entry.name: entry.stat().st_size for entry in entries if not entry.name.startswith(".")}
    except FileNotFoundError:
        return set()
    except OSError as error:
        raise OutputError(f"cannot read {folder}: {error.strerror}; {_REMEDY}") from error
    foreign = min(sizes.keys() - expected, default=None)
    if foreign is not None:
        raise OutputError(f"{folder / foreign} is not part of CIFAR-100; {_REMEDY}")
    return {name for name, size in sizes.items() if size > 0}


def _compare(file: Path, pixels: np.ndarray) -> None:
    try:
        same = np.array_equal(read_image(file), pixels.transpose(1, 2, 0))
    except DataError as error:
        raise OutputError(f"{error}; {_REMEDY}") from error
    if not same:
        raise OutputError(f"{file} shows another image than the raw files; {_REMEDY}")


def _write(missing: list[_Place], target: Path, num_workers: int) -> None:
    unfinished = target / ".unfinished"
    made: set[Path] = set()

    def write(place: _Place) -> None:
        temporary = unfinished / f"{threading.get_ident()}.png"
        temporary.write_bytes(_encode(place.pixels))
        for folder in {place.fine.parent, place.coarse.parent} - made:
            folder.mkdir(parents=True, exist_ok=True)
            made.add(folder)
        temporary.replace(place.fine)
        try:
            os.link(place.fine, place.coarse)
        except OSError:  # no hard links here, or an empty file in the way
            shutil.copyfile(place.fine, temporary)
            temporary.replace(place.coarse)

    with writing(target):
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.mkdir()
        try:
            for_each(write, missing, "writing images", num_workers)
        finally:
            shutil.rmtree(unfinished, ignore_errors=True)


def _encode(pixels: np.ndarray) -> bytes:
    file = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(pixels.transpose(1, 2, 0))).save(file, "PNG", compress_level=1)
    return file.getvalue()
