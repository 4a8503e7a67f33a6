import os
import re
import shutil
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from bilateral.base.errors import BilateralError, ConfigError, DataError
from bilateral.data.config import DataConfig
from bilateral.data.images import HierarchicalDataset, channel_statistics
from bilateral.data.sources import load
from data.strange import STRANGE, make_strange

FAMILIES = {"fish": ["shark", "trout"], "trees": ["oak"], "flowers": ["rose", "tulip"]}
PER_CLASS = 5


def write_image(path: Path, seed: int, size: tuple[int, int] = (8, 8)) -> np.ndarray:
    pixels = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)
    return pixels


def write_nested(folder: Path, first_seed: int = 0) -> None:
    seed = first_seed
    for coarse, members in FAMILIES.items():
        for fine in members:
            for _ in range(PER_CLASS):
                write_image(folder / coarse / fine / f"{seed}.png", seed)
                seed += 1


def write_documented(folder: Path, first_seed: int = 0, coarse_tree: bool = True) -> None:
    """The same images as nested, with label ids: coarse 0 to 2; fine 0 to 10 in steps that text order would mix up."""
    seed = first_seed
    for coarse, members in enumerate(FAMILIES.values()):
        for fine in members:
            for _ in range(PER_CLASS):
                write_image(folder / "fine" / FINE_IDS[fine] / f"{seed}.png", seed)
                if coarse_tree:
                    write_image(folder / "coarse" / str(coarse) / f"{seed}.png", seed)
                seed += 1


FINE_IDS = {"shark": "0", "trout": "1", "oak": "2", "rose": "9", "tulip": "10"}


@pytest.fixture
def nested(tmp_path):
    write_nested(tmp_path / "train")
    write_nested(tmp_path / "test", first_seed=100)
    return tmp_path


@pytest.fixture
def documented(tmp_path):
    write_documented(tmp_path / "train")
    write_documented(tmp_path / "test", first_seed=100)
    return tmp_path


def open_folders(**settings) -> HierarchicalDataset:
    return load(DataConfig(name="folders", **settings))


def state_hierarchy(root: Path, **changes) -> None:
    stated = {
        "name": "garden",
        "coarse_names": ["animal", "plant"],
        "fine_names": ["shark", "trout", "oak", "rose", "tulip"],
        "coarse_of_fine": [0, 0, 1, 1, 1],
    }
    (root / "hierarchy.yaml").write_text(yaml.safe_dump(stated | changes))


def rename_to_ids(split: Path) -> None:
    """Make fine ids 0 to 4, and drop the coarse tree."""
    (split / "fine" / "9").rename(split / "fine" / "3")
    (split / "fine" / "10").rename(split / "fine" / "4")
    shutil.rmtree(split / "coarse")


def test_nested_layout(nested):
    dataset = open_folders(root=nested)
    assert dataset.name == "folders"
    assert dataset.hierarchy.coarse_names == ("fish", "flowers", "trees")
    assert dataset.hierarchy.fine_names == ("shark", "trout", "rose", "tulip", "oak")
    assert dataset.hierarchy.coarse_of_fine == (0, 0, 1, 1, 2)
    assert dataset.validation is None
    assert (dataset.mean, dataset.std) == channel_statistics(dataset.train.images)
    for images in (dataset.train, dataset.test):
        assert images.fine.tolist() == [label for label in range(5) for _ in range(PER_CLASS)]
    oak = np.random.default_rng(10).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    assert np.array_equal(dataset.train.images[20].permute(1, 2, 0).numpy(), oak)


def test_nested_layout_by_split_folders(nested):
    by_folders = open_folders(train_dir=nested / "train", test_dir=nested / "test", num_workers=0)
    assert by_folders.fingerprint == open_folders(root=nested).fingerprint


def test_documented_layout(documented):
    dataset = open_folders(root=documented)
    assert dataset.hierarchy.fine_names == ("0", "1", "2", "9", "10")
    assert dataset.hierarchy.coarse_names == ("0", "1", "2")
    assert dataset.hierarchy.coarse_of_fine == (0, 0, 1, 2, 2)
    tulip = np.random.default_rng(20).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    assert dataset.train.fine[20] == 4
    assert np.array_equal(dataset.train.images[20].permute(1, 2, 0).numpy(), tulip)


@pytest.mark.parametrize("level", ["fine", "coarse"])
def test_documented_layout_by_split_or_level_folders(documented, level):
    expected = open_folders(root=documented).fingerprint
    by_split = open_folders(train_dir=documented / "train", test_dir=documented / "test")
    by_level = open_folders(train_dir=documented / "train" / level, test_dir=documented / "test" / level)
    assert by_split.fingerprint == by_level.fingerprint == expected


def test_hierarchy_file_names_the_label_ids(documented):
    rename_to_ids(documented / "train")
    rename_to_ids(documented / "test")
    state_hierarchy(documented)
    dataset = open_folders(train_dir=documented / "train" / "fine", test_dir=documented / "test" / "fine")
    assert dataset.name == "garden"
    assert dataset.hierarchy.fine_names == ("shark", "trout", "oak", "rose", "tulip")
    assert dataset.hierarchy.coarse_of_fine == (0, 0, 1, 1, 1)
    assert dataset.train.coarse.tolist() == [0] * 2 * PER_CLASS + [1] * 3 * PER_CLASS
    assert (dataset.mean, dataset.std) == channel_statistics(dataset.train.images)


def test_hierarchy_file_names_the_folders(documented):
    for split in ("train", "test"):
        for name, label_id in FINE_IDS.items():
            (documented / split / "fine" / label_id).rename(documented / split / "fine" / name)
        shutil.rmtree(documented / split / "coarse")
    state_hierarchy(documented)
    assert open_folders(root=documented).hierarchy.fine_names == ("shark", "trout", "oak", "rose", "tulip")


def test_cifar100_is_normalised_as_published(documented):
    rename_to_ids(documented / "train")
    rename_to_ids(documented / "test")
    state_hierarchy(documented, name="cifar100")
    dataset = open_folders(root=documented)
    assert (dataset.mean, dataset.std) == ((0.5071, 0.4867, 0.4408), (0.2675, 0.2565, 0.2761))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"images": {"train": 26}}, "counts 26 train images, but 25 are there"),
        ({"images": {"test": 24}}, "counts 24 test images, but 25 are there"),
        ({"coarse_of_fine": [0, 0, 1, 1]}, "names 5 fine labels but gives 4"),
        ({"coarse_of_fine": [0, 0, 1, 1, 2]}, "'tulip' belongs to coarse label 2, which is outside 0 to 1"),
        ({"fine_names": 5}, "hierarchy.yaml: fine_names: "),
        ({"surprise": 5}, "hierarchy.yaml: surprise: "),
        ({"fine_names": ["shark", "trout", "oak", "rose"], "coarse_of_fine": [0, 0, 1, 1]}, "fine/4: no label"),
        ({"fine_names": [*"abcdef"], "coarse_of_fine": [0, 0, 1, 1, 1, 1]}, "train: class 'f' has no image"),
    ],
)
def test_hierarchy_file_that_does_not_fit(documented, changes, message):
    rename_to_ids(documented / "train")
    rename_to_ids(documented / "test")
    state_hierarchy(documented, **changes)
    with pytest.raises(DataError, match=message):
        open_folders(root=documented)


def test_hierarchy_file_of_other_data_than_the_raw_files(documented):
    state_hierarchy(documented)
    with pytest.raises(ConfigError, match=r"data\.raw_data_dir is of CIFAR-100, but .* describes 'garden'"):
        open_folders(root=documented, raw_data_dir=documented)


def test_hierarchy_file_that_is_no_yaml(documented):
    (documented / "hierarchy.yaml").write_text("name: [")
    with pytest.raises(DataError, match=r"cannot read .*hierarchy\.yaml"):
        open_folders(root=documented)


def test_hierarchy_file_against_the_coarse_tree(documented):
    state_hierarchy(
        documented,
        coarse_names=["animal", "tree", "flower"],
        fine_names=[f"label {label}" for label in range(11)],
        coarse_of_fine=[0, 0, 0, 1, 1, 1, 1, 1, 1, 2, 2],
    )
    with pytest.raises(DataError, match=r"images of fine/2 lie in coarse/1, but .* under 'animal'"):
        open_folders(root=documented)


def test_two_folders_of_one_label(documented):
    rename_to_ids(documented / "train")
    write_image(documented / "train" / "fine" / "oak" / "1.png", 1)
    state_hierarchy(documented)
    with pytest.raises(DataError, match="two folders are both of label 'oak'"):
        open_folders(root=documented)


def test_no_coarse_labels_anywhere(tmp_path):
    write_documented(tmp_path / "train", coarse_tree=False)
    with pytest.raises(DataError, match=r"coarse/ .*hierarchy\.yaml.*data\.raw_data_dir"):
        open_folders(train_dir=tmp_path / "train")


def test_file_in_a_second_coarse_folder(documented):
    (documented / "train" / "coarse" / "0" / "3.png").rename(documented / "train" / "coarse" / "2" / "3.png")
    with pytest.raises(DataError, match=r"fine/0 must all lie in exactly one .*3\.png breaks this \(it lies in: 2\)"):
        open_folders(root=documented)


def test_file_that_the_coarse_tree_lacks(documented):
    (documented / "test" / "coarse" / "1" / "112.png").unlink()
    with pytest.raises(DataError, match=r"112\.png breaks this \(it lies in: none\)"):
        open_folders(root=documented)


def test_file_names_that_do_not_tell_the_coarse_label(tmp_path):
    for fine, coarse in (("cat", "animals"), ("oak", "plants")):
        write_image(tmp_path / "train" / "fine" / fine / "1.png", 0)
        write_image(tmp_path / "train" / "coarse" / coarse / "1.png", 0)
    with pytest.raises(DataError, match="several folders of coarse/: animals, plants"):
        open_folders(root=tmp_path)


def test_raw_files_give_names_and_coarse_labels(tmp_path, monkeypatch):
    from types import SimpleNamespace

    from bilateral.data import cifar100

    raw = SimpleNamespace(fine_names=("a", "b"), coarse_names=("A", "B"), coarse_of_fine=(1, 0))
    monkeypatch.setattr(cifar100, "read_raw", {tmp_path / "raw": raw}.__getitem__)
    for split, label in (("train", 0), ("train", 1), ("test", 0), ("test", 1)):
        write_image(tmp_path / split / "fine" / str(label) / "x.png", label)
    dataset = open_folders(root=tmp_path, raw_data_dir=tmp_path / "raw")
    assert dataset.name == "cifar100"
    assert dataset.hierarchy.fine_names == ("a", "b")
    assert dataset.train.coarse.tolist() == [1, 0]
    assert dataset.mean == cifar100.MEAN

    write_nested(tmp_path / "nested" / "train")
    with pytest.raises(ConfigError, match=r"data\.raw_data_dir"):
        open_folders(root=tmp_path / "nested", raw_data_dir=tmp_path / "raw")


def test_one_fine_name_under_two_coarse_ones(nested):
    for split in ("train", "test"):
        write_image(nested / split / "trees" / "rose" / "1.png", 1)
    names = open_folders(root=nested).hierarchy.fine_names
    assert names == ("shark", "trout", "flowers/rose", "tulip", "oak", "trees/rose")


def test_train_alone_gives_a_fifth_for_testing(nested):
    shutil.rmtree(nested / "test")
    with pytest.warns(UserWarning, match="20% of every class are held out"):
        dataset = open_folders(root=nested)
    assert torch.bincount(dataset.test.fine).tolist() == [1] * 5
    assert torch.bincount(dataset.train.fine).tolist() == [4] * 5
    assert dataset.mean == channel_statistics(dataset.train.images)[0]
    with pytest.warns(UserWarning, match="held out"):
        assert open_folders(train_dir=nested / "train", split_seed=7).fingerprint == dataset.fingerprint


def test_train_alone_needs_two_images_of_a_class(nested):
    shutil.rmtree(nested / "test")
    for file in sorted((nested / "train" / "trees" / "oak").iterdir())[1:]:
        file.unlink()
    with pytest.raises(DataError, match="class 'oak' has one image"):
        open_folders(root=nested)


@pytest.mark.parametrize("name", ["val", "valid", "validation", "dev", "Valid"])
def test_validation_folder(nested, name):
    write_nested(nested / name, first_seed=200)
    by_root = open_folders(root=nested)
    by_folders = open_folders(train_dir=nested / "train", val_dir=nested / name, test_dir=nested / "test")
    assert by_root.fingerprint == by_folders.fingerprint
    assert by_root.validation is not None
    assert not torch.equal(by_root.validation.images, by_root.test.images)


@pytest.mark.parametrize("names", [("val", "validation"), ("dev", "valid"), ("Train", "train"), ("test", "testing")])
def test_two_folders_of_one_split(nested, names):
    for name in names:
        if not (nested / name).exists():
            write_nested(nested / name)
    with pytest.raises(DataError, match=rf"{names[0]} and .*{names[1]} are both there; keep one"):
        open_folders(root=nested)


def test_names_of_splits_in_capitals(nested):
    expected = open_folders(root=nested).fingerprint
    (nested / "train").rename(nested / "Train")
    (nested / "test").rename(nested / "TEST")
    assert open_folders(root=nested).fingerprint == expected


def test_class_folders_alone_are_a_data_set(nested):
    with pytest.warns(UserWarning, match="20% of every class are held out"):
        expected = open_folders(train_dir=nested / "train")
    with pytest.warns(UserWarning, match="20% of every class are held out"):
        assert open_folders(root=nested / "train").fingerprint == expected.fingerprint


def test_fine_and_coarse_folders_alone_are_a_data_set(documented):
    with pytest.warns(UserWarning, match="20% of every class are held out"):
        unnamed = open_folders(root=documented / "train")
    assert unnamed.hierarchy.fine_names == ("0", "1", "2", "9", "10")
    rename_to_ids(documented / "train")
    state_hierarchy(documented / "train", images={"train": 25})
    with pytest.warns(UserWarning, match="held out") as told:
        dataset = open_folders(root=documented / "train")
    assert len(told) == 1
    assert dataset.name == "garden"
    assert (len(dataset.train), len(dataset.test)) == (20, 5)
    assert dataset.hierarchy.coarse_of_fine == (0, 0, 1, 1, 1)


def test_a_split_that_is_counted_and_not_there(documented):
    state_hierarchy(documented, images={"validation": 25})
    with pytest.raises(DataError, match="counts 25 validation images, but 0 are there"):
        open_folders(root=documented)


def test_a_folder_beside_fine_and_coarse(documented):
    write_image(documented / "train" / "masks" / "0" / "1.png", 0)
    with pytest.raises(DataError, match=r"beside fine/ and coarse/, .* lies masks/"):
        open_folders(root=documented)


@pytest.mark.parametrize("level", ["", "fine"])
def test_validation_folder_that_is_the_test_folder(documented, level):
    dataset = open_folders(
        train_dir=documented / "train", val_dir=documented / "test" / level, test_dir=documented / "test"
    )
    assert dataset.validation is None


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({}, "data.root or data.train_dir must say"),
        ({"root": "", "train_dir": "train"}, "data.root contradicts"),
        ({"root": "", "test_dir": "test"}, "data.root contradicts"),
        ({"test_dir": "test"}, "data.root or data.train_dir must say"),
        ({"train_dir": "train", "test_dir": "train"}, "for training and for test"),
        ({"train_dir": "train/fine", "val_dir": "train/coarse", "test_dir": "test"}, "for training and for validation"),
    ],
)
def test_contradictory_settings(documented, settings, message):
    with pytest.raises(ConfigError, match=message):
        open_folders(**{name: documented / place for name, place in settings.items()})


def test_root_without_training_images(tmp_path):
    with pytest.raises(DataError, match="no folder train/ in"):
        open_folders(root=tmp_path)
    write_nested(tmp_path / "test")
    with pytest.raises(DataError, match="no folder train/ in"):
        open_folders(root=tmp_path)
    with pytest.raises(DataError, match="absent does not exist"):
        open_folders(train_dir=tmp_path / "absent")
    (tmp_path / "file").write_text("")
    for place in ("file", "a" * 5000):
        with pytest.raises(DataError, match="cannot read folder"):
            open_folders(root=tmp_path / place)


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


def test_unknown_class_in_the_documented_test_folder(documented):
    write_image(documented / "test" / "fine" / "77" / "x.png", 0)
    write_image(documented / "test" / "coarse" / "0" / "x.png", 0)
    with pytest.raises(DataError, match="test/fine/77: the training images have no class folder"):
        open_folders(root=documented)


def test_class_that_the_test_folder_lacks(nested):
    shutil.rmtree(nested / "test" / "trees")
    with pytest.raises(DataError, match="test: class 'oak' has no image"):
        open_folders(root=nested)


def test_splits_of_two_layouts(nested):
    write_documented(nested / "val")
    with pytest.raises(DataError, match="two layouts"):
        open_folders(root=nested)


def test_coarse_folder_alone(documented):
    shutil.rmtree(documented / "train" / "fine")
    for place in ({"root": documented}, {"train_dir": documented / "train" / "coarse"}):
        with pytest.raises(DataError, match="train: there is no folder fine/"):
            open_folders(**place)


def test_unreadable_image_is_named(nested):
    (nested / "test" / "trees" / "oak" / "110.png").write_bytes(b"broken")
    with pytest.raises(DataError, match=r"cannot read image .*oak/110\.png"):
        open_folders(root=nested)


def test_sizes_that_differ_between_splits(nested):
    write_image(nested / "test" / "trees" / "oak" / "110.png", 0, size=(9, 12))
    with pytest.raises(DataError, match=r"8x8 pixels, .*oak/110\.png has 9x12"):
        open_folders(root=nested)
    assert open_folders(root=nested, image_size=16).test.images.shape == (25, 3, 16, 16)


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
