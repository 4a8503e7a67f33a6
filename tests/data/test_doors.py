"""Whatever lies where a data set is sought: a data set comes of it or one sentence, within seconds."""

import gzip
import io
import os
import pickle
import tarfile
import time
import warnings
from pathlib import Path
from tempfile import TemporaryDirectory, gettempdir

import numpy as np
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from bilateral.base.errors import BilateralError
from bilateral.data.cifar100.raw_files import ARCHIVE, FOLDER
from bilateral.data.config import DataConfig
from bilateral.data.hierarchy_file import FILE_NAME
from bilateral.data.image_files import MAX_PIXELS, decode_image
from bilateral.data.images import HierarchicalDataset
from bilateral.data.sources import load
from data.strange import STRANGE, make_strange
from doors import many, passes


def open_door(**values: object) -> HierarchicalDataset | None:
    """Load a data set; None where that is refused in one sentence. Anything else fails the test."""
    found: list[HierarchicalDataset] = []
    sentence = passes(lambda: found.append(load(DataConfig(**values))), Path(gettempdir()))
    assert "\n" not in sentence and all(isinstance(dataset, HierarchicalDataset) for dataset in found)
    return found[0] if found else None


def cifar_files() -> dict[str, bytes]:
    fine = [label for label in range(100) for _ in range(2)]
    split = {
        b"filenames": [b"%d.png" % number for number in range(200)],
        b"fine_labels": fine,
        b"coarse_labels": [label % 20 for label in fine],
        b"data": np.arange(200 * 3072, dtype=np.uint32).astype(np.uint8).reshape(200, 3072),
    }
    meta = {
        b"fine_label_names": [b"fine %d" % label for label in range(100)],
        b"coarse_label_names": [b"coarse %d" % label for label in range(20)],
    }
    return {name: pickle.dumps(value, 2) for name, value in {"train": split, "test": split, "meta": meta}.items()}


GOOD_FILES = cifar_files()


def packed(files: dict[str, bytes], mode: str = "w:gz") -> bytes:
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode=mode) as tar:  # type: ignore[call-overload]
        for name, value in files.items():
            info = tarfile.TarInfo(f"{FOLDER}/{name}")
            info.size = len(value)
            tar.addfile(info, io.BytesIO(value))
    return content.getvalue()


GOOD_ARCHIVE = packed(GOOD_FILES)
GOOD_TAR = packed(GOOD_FILES, "w")


@st.composite
def damaged(draw: st.DrawFn, content: bytes) -> bytes:
    """A file with some bytes changed, cut out, put in or repeated; most often near its ends, where its structure is."""
    found = bytearray(content)
    for _ in range(draw(st.integers(1, 6))):
        if not found:
            break
        place = draw(st.integers(0, min(600, len(found) - 1)) | st.integers(0, len(found) - 1))
        if draw(st.booleans()):
            place = len(found) - 1 - place
        match draw(st.integers(0, 3)):
            case 0:
                found[place] = draw(st.integers(0, 255))
            case 1:
                del found[place : place + draw(st.integers(1, 2000))]
            case 2:
                found[place:place] = draw(st.binary(min_size=1, max_size=20))
            case 3:
                found[place:place] = found[place : place + draw(st.integers(1, 600))]
    return bytes(found)


INSTRUCTIONS = st.sampled_from(
    [bytes([code]) for code in range(256)]
    + [pickle.EMPTY_LIST, pickle.MARK, pickle.APPENDS, pickle.TUPLE, pickle.BUILD, pickle.REDUCE, pickle.STOP]
    + [b"K\x07", b"U\x04data", b"q\x00", b"h\x00", b"cnumpy\nndarray\n", b"cnumpy\ndtype\n", b"X\x01\0\0\0a"]
    + [b"cos\nsystem\n", b"cnumpy.core.multiarray\n_reconstruct\n", b"U\x02u1K\0K\x01\x87", b"\x8a\x09" + b"\xff" * 9]
)
PROGRAMS = st.lists(INSTRUCTIONS, max_size=60).map(lambda parts: b"\x80\x02" + b"".join(parts))


def test_the_good_ones_are_read(tmp_path):
    write_cifar(tmp_path, GOOD_FILES)
    assert open_door(name="cifar100", root=tmp_path) is not None
    (tmp_path / ARCHIVE).write_bytes(GOOD_ARCHIVE)
    assert open_door(name="cifar100", root=tmp_path / ARCHIVE) is not None


def write_cifar(folder: Path, files: dict[str, bytes]) -> None:
    (folder / FOLDER).mkdir()
    for name, content in files.items():
        (folder / FOLDER / name).write_bytes(content)


@pytest.mark.parametrize("name", GOOD_FILES)
@many
@given(data=st.data())
def test_pickles_of_any_bytes(name, data):
    content = data.draw(damaged(GOOD_FILES[name]) | PROGRAMS | PROGRAMS.map(lambda program: program + b"."))
    with TemporaryDirectory() as folder:
        write_cifar(Path(folder), GOOD_FILES | {name: content})
        open_door(name="cifar100", root=Path(folder))


@many
@given(content=damaged(GOOD_ARCHIVE) | damaged(GOOD_TAR).map(lambda tar: gzip.compress(tar, 1)))
def test_archives_of_any_bytes(content):
    with TemporaryDirectory() as folder:
        (Path(folder) / ARCHIVE).write_bytes(content)
        open_door(name="cifar100", root=Path(folder))


def image_bytes() -> list[bytes]:
    found = []
    pixels = np.random.default_rng(0).integers(0, 256, (8, 8, 4), dtype=np.uint8)
    for form in ("PNG", "GIF", "BMP", "TIFF", "PPM", "JPEG", "WEBP"):
        for mode in ("RGB", "L", "P"):
            if mode == "P" and form in ("PPM", "JPEG"):
                continue
            content = io.BytesIO()
            Image.fromarray(pixels).convert("RGB").convert(mode).save(content, form)
            found.append(content.getvalue())
    return found


IMAGES = image_bytes()
# No name of two letters or a folder above: a tree stays in its folder.
WORDS = ["fine", "coarse", "train", "test", "val", "valid", "dev", "TRAIN", "0", "1", "007", "oak", "Oak", "x\x1b[31m"]
FOLDERS = st.sampled_from([word.encode() for word in WORDS]) | st.sampled_from([b"caf\xe9", b".hidden", b"a.png"])
FILES = st.builds(
    lambda stem, suffix: stem + suffix,
    st.sampled_from([b"1", b"2", b"a b", b"\xff", b"\x1b[0m", b"hierarchy"]),
    st.sampled_from([b".png", b".png", b".JPG", b".tif", b".txt", b"", b".yaml", b".heic", b".png.gz"]),
)
HIERARCHIES = st.sampled_from(
    [
        b"name: a\ncoarse_names: [x]\nfine_names: [oak, elm]\ncoarse_of_fine: [0, 0]\n",
        b"name: 1\ncoarse_names: [x]\n",
        b"x: [oak, elm]\n",
        b"[]",
        b"&a [*a]",
        b"name: !!python/name:os.system\n",
    ]
)
CONTENTS = st.sampled_from(IMAGES) | st.sampled_from(IMAGES).flatmap(damaged) | st.binary(max_size=30) | HIERARCHIES
GOOD = st.just(IMAGES[0])
LEAVES = st.one_of(GOOD, GOOD, CONTENTS, st.sampled_from([*STRANGE, "up", "itself", "absent"]))
CLASSES = st.dictionaries(FILES, LEAVES, max_size=4) | st.dictionaries(st.sampled_from([b"1.png", b"2.png"]), GOOD)
TREES = st.recursive(CLASSES, lambda below: st.dictionaries(FOLDERS | FILES, below, max_size=4), max_leaves=20)
SPLITS = st.fixed_dictionaries(
    {},
    optional=dict.fromkeys((b"train", b"test", b"valid", b"dev", b"extra"), TREES) | {b"hierarchy.yaml": HIERARCHIES},
)


@st.composite
def nearly_good(draw: st.DrawFn) -> dict:
    """A data set of class folders, in which up to three entries are others."""
    classes = draw(st.dictionaries(FOLDERS, st.sets(FOLDERS, min_size=1, max_size=2), min_size=1, max_size=2))
    documented = draw(st.booleans())

    def split() -> dict:
        files = {
            fine: {fine + b"%d.png" % n: IMAGES[0] for n in range(3)} for each in classes.values() for fine in each
        }
        if not documented:
            return {coarse: {fine: dict(files[fine]) for fine in members} for coarse, members in classes.items()}
        above = {
            coarse: {name: file for fine in members for name, file in files[fine].items()}
            for coarse, members in classes.items()
        }
        return {b"fine": files, b"coarse": above}

    splits = draw(st.sets(st.sampled_from([b"test", b"valid", b"dev", b"extra"]), max_size=2))
    tree = {name: split() for name in sorted(splits | {b"train"})} if draw(st.integers(0, 3)) else split()
    for _ in range(draw(st.integers(0, 3))):
        place = tree
        for _ in range(draw(st.integers(0, 4))):
            below = [entry for entry in place.values() if isinstance(entry, dict)]
            place = draw(st.sampled_from(below)) if below else place
        place[draw(FOLDERS | FILES | st.sampled_from(sorted(place) or [b"1.png"]))] = draw(LEAVES | TREES)
    return tree


def make(place: Path, tree: object) -> None:
    match tree:
        case dict():
            place.mkdir()
            for name, below in tree.items():
                make(place / os.fsdecode(name), below)
        case bytes():
            place.write_bytes(tree)
        case "up":
            place.symlink_to(place.parent.parent)
        case "itself":
            place.symlink_to(place)
        case "absent":
            place.symlink_to(place.parent / "nowhere")
        case _:
            make_strange(place, str(tree))


@pytest.mark.parametrize("image_size", [None, 8])
@many
@given(tree=nearly_good() | nearly_good() | TREES | SPLITS)
def test_folders_of_anything(image_size, tree):
    with TemporaryDirectory() as folder:
        make(Path(folder) / "set", tree)
        open_door(name="folders", root=Path(folder) / "set", image_size=image_size, num_workers=0)


NAMES = st.text(max_size=5) | st.integers() | st.none() | st.booleans() | st.floats()
VALUES = st.recursive(NAMES, lambda below: st.lists(below, max_size=4) | st.dictionaries(NAMES, below, max_size=3))


@many
@given(
    stated=st.fixed_dictionaries(
        {
            "name": st.just("a") | VALUES,
            "coarse_names": st.just(["x"]) | VALUES,
            "fine_names": st.just(["oak", "elm"]) | VALUES,
            "coarse_of_fine": st.just([0, 0]) | VALUES,
        },
        optional={"images": st.dictionaries(st.sampled_from(["train", "test"]) | NAMES, st.integers() | VALUES)},
    )
)
def test_hierarchies_of_anything(stated):
    with TemporaryDirectory() as folder:
        for place in ("train/fine/oak", "train/fine/elm", "test/fine/oak", "test/fine/elm"):
            (Path(folder) / place).mkdir(parents=True)
            (Path(folder) / place / "1.png").write_bytes(IMAGES[0])
        (Path(folder) / FILE_NAME).write_text(yaml.safe_dump(stated), encoding="utf-8")
        open_door(name="folders", root=Path(folder))


@many
@given(content=st.sampled_from(IMAGES).flatmap(damaged), image_size=st.sampled_from([None, 8]))
def test_images_of_any_bytes(content, image_size):
    started = time.monotonic()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            pixels = decode_image(content, "it", image_size)
            assert pixels.dtype == np.uint8 and pixels.shape[2:] == (3,) and pixels.size <= 3 * MAX_PIXELS
        except BilateralError as error:
            assert str(error).strip() and "\n" not in str(error)
    assert time.monotonic() - started < 10


GOOD_TABLE = "image,fine,coarse,split\n" + "".join(
    f"{n}.png,{fine},tree,{split}\n" for n, fine in enumerate(("oak", "elm")) for split in ("train", "train", "test")
)


@many
@given(content=damaged(GOOD_TABLE.encode()) | st.binary(max_size=60))
def test_tables_of_any_bytes(content):
    with TemporaryDirectory() as folder:
        for number in range(2):
            (Path(folder) / f"{number}.png").write_bytes(IMAGES[0])
        (Path(folder) / "labels.csv").write_bytes(content)
        open_door(name="table", root=Path(folder) / "labels.csv")
