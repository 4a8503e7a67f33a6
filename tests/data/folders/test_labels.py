"""Where the coarse labels of folders of images come from: the tree, a hierarchy file, raw files, file names."""

import contextlib
import shutil

import pytest
import torch

from bilateral.base.errors import ConfigError, DataError
from bilateral.data.cifar100 import source as cifar100
from bilateral.data.hierarchy import LabelHierarchy
from bilateral.data.images import channel_statistics
from data.image_trees import (
    FINE_IDS,
    PER_CLASS,
    open_folders,
    rename_to_ids,
    state_hierarchy,
    write_documented,
    write_flat,
    write_image,
    write_nested,
)


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
    none = cifar100.RawSplit(*(torch.empty(0, dtype=torch.uint8),) * 3, filenames=[])
    raw = cifar100.RawCifar100(LabelHierarchy(("a", "b"), ("A", "B"), (1, 0)), train=none, test=none)
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


SHORT = "fish: [shark, trout]\nflowers: [rose, tulip]\ntrees: [oak]\n"


@pytest.mark.parametrize("place", ["hierarchy.yaml", "elsewhere/families.yaml"])
def test_fine_folders_alone_with_a_hierarchy(tmp_path, place):
    write_nested(tmp_path / "nested" / "train")
    write_nested(tmp_path / "nested" / "test", first_seed=100)
    expected = open_folders(root=tmp_path / "nested").fingerprint
    root, file = tmp_path / "flat", tmp_path / "flat" / place
    write_flat(root / "train")
    write_flat(root / "test", first_seed=100)
    with pytest.raises(DataError, match=r"nothing tells which coarse label .*`animal: \[cat, dog\]`"):
        open_folders(root=root)
    file.parent.mkdir(exist_ok=True)
    file.write_text(SHORT)
    options = {"hierarchy": str(file)} if "/" in place else {}
    with pytest.warns(UserWarning, match="elsewhere/") if options else contextlib.nullcontext():
        assert open_folders(root=root, options=options).fingerprint == expected


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("tulip", "lily", r"train/tulip: no label of the hierarchy has this name"),
        ("tulip", "tulip, lily", r"class 'lily' has no image"),
        ("tulip", "rose", r"hierarchy\.yaml: two fine labels are both named 'rose'"),
    ],
)
def test_fine_folders_that_the_hierarchy_does_not_name_or_names_twice(tmp_path, old, new, message):
    write_flat(tmp_path / "train")
    write_flat(tmp_path / "test")
    (tmp_path / "hierarchy.yaml").write_text(SHORT.replace(old, new))
    with pytest.raises(DataError, match=message):
        open_folders(root=tmp_path)


def test_a_hierarchy_for_folders_that_give_both_labels(nested):
    with pytest.raises(ConfigError, match=r"data\.options\.hierarchy: .*gives all labels itself"):
        open_folders(root=nested, options={"hierarchy": "families.yaml"})
    with pytest.raises(ConfigError, match=r"data\.options\.levels: unknown setting; this kind has: hierarchy"):
        open_folders(root=nested, options={"levels": 3})


def test_splits_of_nested_and_flat_layout(nested):
    write_flat(nested / "val")
    with pytest.raises(DataError, match="two layouts"):
        open_folders(root=nested)
