"""Layouts and splits of folders of images."""

import shutil

import numpy as np
import pytest
import torch

from bilateral.base.errors import ConfigError, DataError
from bilateral.data.images import channel_statistics
from data.image_trees import (
    PER_CLASS,
    open_folders,
    rename_to_ids,
    state_hierarchy,
    write_documented,
    write_image,
    write_nested,
)


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


def test_cifar100_is_normalised_as_published(documented):
    rename_to_ids(documented / "train")
    rename_to_ids(documented / "test")
    state_hierarchy(documented, name="cifar100")
    dataset = open_folders(root=documented)
    assert (dataset.mean, dataset.std) == ((0.5071, 0.4867, 0.4408), (0.2675, 0.2565, 0.2761))


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


def test_sizes_that_differ_between_splits(nested):
    write_image(nested / "test" / "trees" / "oak" / "110.png", 0, size=(9, 12))
    with pytest.raises(DataError, match=r"8x8 pixels, .*oak/110\.png has 9x12"):
        open_folders(root=nested)
    assert open_folders(root=nested, image_size=16).test.images.shape == (25, 3, 16, 16)
