"""What is read in class folders and what is not: links, names, files of other kinds, damage."""

import os
import re
import shutil
import warnings
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from bilateral.base.errors import BilateralError, DataError
from data.image_trees import (
    open_folders,
    write_image,
    write_nested,
)
from data.strange import STRANGE, make_strange


def test_links_that_form_a_loop(nested):
    (nested / "loop").symlink_to(nested / "loop")
    with pytest.raises(DataError, match=r"cannot read folder .*loop"):
        open_folders(train_dir=nested / "loop")
    (nested / "loop").unlink()
    (nested / "train" / "fish" / "again").symlink_to(nested / "train")
    with pytest.raises(DataError, match="again/fish: a folder where the images"):
        open_folders(root=nested)


@pytest.mark.parametrize("place", ["train/fish", "train/fish/trout", ""])
def test_a_folder_that_may_not_be_read(nested, monkeypatch, place):
    listed = Path.iterdir

    def refuse(folder: Path):
        if folder == nested / place:
            raise PermissionError(13, "Permission denied", str(folder))
        return listed(folder)

    monkeypatch.setattr(Path, "iterdir", refuse)
    with pytest.raises(DataError, match=rf"cannot read folder {nested / place}: Permission denied"):
        open_folders(root=nested)


@pytest.mark.parametrize("kind", STRANGE)
def test_pipes_devices_and_sockets_among_the_images_are_refused_at_once(nested, kind):
    make_strange(nested / "train" / "fish" / "trout" / "0.png", kind)
    with pytest.raises(DataError, match=r"trout/0\.png: it is a pipe, a device or a socket"):
        open_folders(root=nested)


def test_a_class_folder_whose_name_is_no_text(nested):
    (nested / "train" / "fish" / "trout").rename(nested / "train" / "fish" / os.fsdecode(b"trou\xff"))
    with pytest.raises(DataError, match=r"fish/trou.: the name of this class folder is no UTF-8 text.*rename it"):
        open_folders(root=nested)


def test_file_names_that_are_no_text(documented):
    expected = open_folders(root=documented).fingerprint
    for level in ("fine/0", "coarse/0"):
        folder = documented / "train" / level
        (folder / "0.png").rename(folder / os.fsdecode(b"0\xff.png"))
    assert open_folders(root=documented).fingerprint == expected


def test_class_names_of_control_characters(nested):
    for split in ("train", "test"):
        (nested / split / "fish" / "trout").rename(nested / split / "fish" / "\x1b[31m\n")
    assert "\x1b[31m\n" in open_folders(root=nested).hierarchy.fine_names


def test_images_of_one_pixel(tmp_path):
    for split in ("train", "test"):
        for fine in ("shark", "trout"):
            write_image(tmp_path / split / "fish" / fine / "0.png", 0, size=(1, 1))
    assert open_folders(root=tmp_path).train.images.shape == (2, 3, 1, 1)


def test_thousands_of_classes_take_seconds(tmp_path):
    write_image(tmp_path / "0.png", 0, size=(1, 1))
    for split in ("train", "test"):
        for number in range(2000):
            folder = tmp_path / "set" / split / str(number % 500) / str(number)
            folder.mkdir(parents=True)
            (folder / "0.png").symlink_to(tmp_path / "0.png")
    assert open_folders(root=tmp_path / "set").hierarchy.coarse_count == 500


def test_hidden_files_and_those_of_the_system_are_passed_over(nested):
    expected = open_folders(root=nested).fingerprint
    for name in ("Thumbs.db", "desktop.ini", ".DS_Store", ".hidden.png", ".cache/x.png"):
        for folder in ("", "train", "train/fish", "train/fish/trout"):
            (nested / folder / name).parent.mkdir(exist_ok=True)
            (nested / folder / name).write_bytes(b"no image")
    assert open_folders(root=nested).fingerprint == expected


def test_what_is_not_read_is_told_in_one_warning(documented):
    expected = open_folders(root=documented).fingerprint
    for place in ("train/fine/0/a.tga", "train/fine/0/b.TGA", "test/coarse/1/c.psd", "test/notes", "train/fine/d.exr"):
        (documented / place).write_bytes(b"not read")
    write_image(documented / "stray.png", 0)
    write_image(documented / "extra" / "1.png", 0)
    write_image(documented / "train" / "coarse" / "0" / "alone.png", 0)
    with pytest.warns(UserWarning, match="^not read: ") as told:
        assert open_folders(root=documented).fingerprint == expected
    assert len(told) == 1
    text = str(told[0].message)
    assert re.search(r"5 files \(\.tga, [.\w, ]+\), for example .*train/fine/", text)
    for part in (".tga", ".psd", ".exr", "no suffix", "extra/ in ", "1 image outside its folders", "stray.png"):
        assert part in text
    assert re.search(r"1 image of coarse/ that fine/ lacks, for example .*train/coarse/0/alone\.png", text)


def test_many_folders_and_suffixes_that_are_not_read_are_counted(nested):
    for number in range(9):
        (nested / f"other{number}").mkdir()
        (nested / "train" / "trees" / "oak" / f"a.x{number}").write_text("")
    with pytest.warns(UserWarning, match=r"9 files \(.* and 4 more\).*other4/ and 4 more in "):
        open_folders(root=nested)


@pytest.mark.parametrize(
    ("place", "message"),
    [
        ("train/stray.png", r"train/stray\.png: an image where folders of classes are expected"),
        ("train/fish/stray.png", r"fish/stray\.png: an image where folders of classes are expected"),
        ("train/fish/trout/old/stray.png", "trout/old: a folder where the images of class 'trout' are expected"),
        ("test/fish/carp/stray.png", "test/fish/carp: the training images have no class folder"),
        ("test/birds/crow/stray.png", "test/birds/crow: the training images have no class folder"),
        ("train/fish/carp/stray.txt", "fish/carp: class 'carp' has no image"),
        ("train/birds/stray.txt", "train/birds: there is no folder of a class"),
    ],
)
def test_what_fits_no_layout_is_named(nested, place, message):
    write_image(nested / "image.png", 0)
    (nested / place).parent.mkdir(parents=True, exist_ok=True)
    (nested / "image.png").rename(nested / place)
    with pytest.raises(DataError, match=message):
        open_folders(root=nested)


def test_unreadable_image_is_named(nested):
    (nested / "test" / "trees" / "oak" / "110.png").write_bytes(b"broken")
    with pytest.raises(DataError, match=r"cannot read image .*oak/110\.png"):
        open_folders(root=nested)


def test_links_that_form_a_loop_end_in_an_error(nested):
    (nested / "train" / "fish" / "trout" / "up").symlink_to(nested / "train", target_is_directory=True)
    with pytest.raises(DataError, match="trout/up: a folder"):
        open_folders(root=nested)


def test_linked_class_folders_and_files_are_read(nested, tmp_path_factory):
    tmp_path = tmp_path_factory.mktemp("elsewhere")
    expected = open_folders(root=nested).fingerprint
    (nested / "train" / "fish").rename(tmp_path / "elsewhere")
    (nested / "train" / "fish").symlink_to(tmp_path / "elsewhere", target_is_directory=True)
    (nested / "train" / "trees" / "oak" / "10.png").rename(tmp_path / "oak.png")
    (nested / "train" / "trees" / "oak" / "10.png").symlink_to(tmp_path / "oak.png")
    assert open_folders(root=nested).fingerprint == expected


# A letter in front: on some systems a name may not be a dot, a device or end in a dot. Lower case: some ignore case.
names = st.from_regex(r"[a-zäß0-9][a-z0-9äß_ é-]{0,8}", fullmatch=True)


trees = st.dictionaries(
    names,
    st.dictionaries(names, st.sets(names, min_size=1, max_size=3), min_size=1, max_size=3),
    min_size=1,
    max_size=3,
).filter(lambda tree: set(tree) - {"fine", "coarse"})


MODES = {"RGB": 3, "L": 1, "RGBA": 4}


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    tree=trees,
    size=st.tuples(st.integers(1, 6), st.integers(1, 6)),
    mode=st.sampled_from(sorted(MODES)),
    suffix=st.sampled_from(["png", "TIF"]),
    num_workers=st.integers(0, 2),
)
def test_random_trees_are_read_exactly(tmp_path_factory, tree, size, mode, suffix, num_workers):
    root = tmp_path_factory.mktemp("tree")
    generator = np.random.default_rng(0)
    written = {}
    for split in ("train", "test"):
        for coarse, fine_folders in tree.items():
            for fine, files in fine_folders.items():
                for file in files:
                    pixels = generator.integers(0, 256, (*size, MODES[mode]), dtype=np.uint8)
                    pixels[..., 3:] = 255
                    path = root / split / coarse / fine / f"{file}.{suffix}"
                    path.parent.mkdir(parents=True, exist_ok=True)
                    Image.fromarray(pixels.squeeze(-1) if mode == "L" else pixels).save(path)
                    rgb = np.broadcast_to(pixels[..., :3], (*size, 3))
                    written[split, coarse, fine, file] = rgb.transpose(2, 0, 1).tobytes()

    dataset = open_folders(root=root, num_workers=num_workers)
    read = {}
    for split, images in dataset.splits().items():
        for image, fine, coarse in zip(images.images, images.fine.tolist(), images.coarse.tolist()):
            coarse_name = dataset.hierarchy.coarse_names[coarse]
            fine_name = dataset.hierarchy.fine_names[fine].removeprefix(f"{coarse_name}/")
            read.setdefault((split, coarse_name, fine_name), []).append(image.numpy().tobytes())
    expected = {}
    # Files are read in the order of their names, of which the suffix is part: "0-.png" before "0.png".
    for split, coarse, fine, file in sorted(written, key=lambda key: (*key[:3], f"{key[3]}.{suffix}")):
        expected.setdefault((split, coarse, fine), []).append(written[split, coarse, fine, file])
    assert read == expected


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(damage=st.data())
def test_damaged_images_never_end_in_a_traceback(tmp_path, damage):
    shutil.rmtree(tmp_path / "train", ignore_errors=True)
    write_nested(tmp_path / "train")
    victim = tmp_path / "train" / "trees" / "oak" / "10.png"
    content = bytearray(victim.read_bytes())
    for _ in range(damage.draw(st.integers(1, 5))):
        content[damage.draw(st.integers(0, len(content) - 1))] = damage.draw(st.integers(0, 255))
    victim.write_bytes(content)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            open_folders(root=tmp_path, num_workers=0)
        except BilateralError as error:
            assert "10.png" in str(error)
