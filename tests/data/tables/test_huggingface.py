"""Data sets of the library datasets, made on disk."""

import numpy as np
import pytest
from PIL import Image as Pictures

from bilateral.base.errors import ConfigError, DataError
from bilateral.data.config import DataConfig
from bilateral.data.images import HierarchicalDataset
from bilateral.data.sources import load

COLUMNS = {"image": "img", "fine": "fine_label", "coarse": "coarse_label"}


def open_set(**settings) -> HierarchicalDataset:
    return load(DataConfig(name="huggingface", **settings))


@pytest.fixture(scope="module")
def datasets():
    return pytest.importorskip("datasets", reason="it comes with bilateral[huggingface]")


def make(datasets, count: int = 8, fine: list[int] | None = None):
    """Four fine classes under two coarse ones, as ClassLabels whose order is not that of the alphabet."""
    fine = [n % 4 for n in range(count)] if fine is None else fine
    images = [Pictures.fromarray(np.full((8, 8, 3), 10 * n, np.uint8)) for n in range(len(fine))]
    kinds = datasets.ClassLabel(names=["oak", "cat", "elm", "dog"]), datasets.ClassLabel(names=["tree", "animal"])
    features = dict(zip(COLUMNS.values(), (datasets.Image(), *kinds)))
    columns = {"img": images, "fine_label": fine, "coarse_label": [label % 2 for label in fine]}
    return datasets.Dataset.from_dict(columns, datasets.Features(features))


def test_it_needs_its_library(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "datasets", None)
    with pytest.raises(ConfigError, match=r'datasets is not installed, .*: pip install "bilateral\[huggingface\]"'):
        open_set(options={"name": "someone/something"})


def test_from_disk_with_the_names_of_class_labels(datasets, tmp_path):
    splits = {
        "train": make(datasets, 12),
        "validation": make(datasets),
        "test": make(datasets, 4),
        "extra": make(datasets),
    }
    datasets.DatasetDict(splits).save_to_disk(tmp_path / "set")
    with pytest.warns(UserWarning, match="not read: of .* the splits extra"):
        dataset = open_set(root=tmp_path / "set", options=COLUMNS)
    assert dataset.hierarchy.fine_names == ("cat", "dog", "elm", "oak")
    assert dataset.hierarchy.coarse_names == ("animal", "tree")
    assert dataset.hierarchy.coarse_of_fine == (0, 0, 1, 1)
    assert dataset.train.fine.tolist() == [3, 0, 2, 1] * 3
    assert dataset.train.images[:, 0, 0, 0].tolist() == [10 * n for n in range(12)]
    assert (len(dataset.test), dataset.validation and len(dataset.validation)) == (4, 8)
    with pytest.warns(UserWarning, match="not read: of .* the splits extra, test"):
        other = open_set(root=tmp_path / "set", options={**COLUMNS, "test": "validation"}, image_size=16)
    assert other.validation is None and other.test.images.shape == (8, 3, 16, 16)


def test_one_split_with_a_hierarchy_file(datasets, tmp_path):
    make(datasets, 20).remove_columns("coarse_label").save_to_disk(tmp_path / "set")
    with pytest.raises(DataError, match=r"no column 'coarse'; .*its columns are img, fine_label"):
        open_set(root=tmp_path / "set", options={"image": "img", "fine": "fine_label"})
    (tmp_path / "families.yaml").write_text("tree: [oak, elm]\nanimal: [cat, dog]\n")
    options = {"image": "img", "fine": "fine_label", "hierarchy": str(tmp_path / "families.yaml")}
    with pytest.warns(UserWarning, match="held out"):
        dataset = open_set(root=tmp_path / "set", options=options)
    assert dataset.hierarchy.fine_names == ("oak", "elm", "cat", "dog") and len(dataset.test) == 4


def test_files_in_a_folder_by_name(datasets, tmp_path):
    make(datasets, 20).to_parquet(tmp_path / "set" / "train.parquet")
    make(datasets).to_parquet(tmp_path / "set" / "test.parquet")
    dataset = open_set(options={**COLUMNS, "name": str(tmp_path / "set")})
    assert (len(dataset.train), len(dataset.test)) == (20, 8)


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({}, ConfigError, r"give either root, .*, or options\.name"),
        ({"root": "x", "options": {"name": "x"}}, ConfigError, r"give either root, .*, or options\.name"),
        ({"root": "nowhere"}, DataError, "cannot open the data set nowhere: "),
        ({"options": {"name": "nobody/nothing"}}, DataError, r"nobody/nothing: .*; data\.download=true fetches it"),
        (
            {"root": "set", "options": {}},
            DataError,
            r"no column 'image'; name another by data\.options\.image=COLUMN; its columns are img, ",
        ),
        (
            {"root": "set", "options": {**COLUMNS, "test": "later"}},
            DataError,
            r"no split 'later'; data\.options\.test names one of",
        ),
        (
            {"root": "set", "options": {**COLUMNS, "test": "train"}},
            ConfigError,
            "'train' is given for training and for another",
        ),
        ({"root": "set", "options": {**COLUMNS, "image": "fine_label"}}, DataError, "train, row 1: it has no image"),
    ],
)
def test_what_is_wrong_is_one_sentence(datasets, tmp_path, monkeypatch, settings, error, message):
    make(datasets).save_to_disk(tmp_path / "set")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(error, match=message) as caught:
        open_set(**settings)
    assert "\n" not in str(caught.value)


def test_rows_without_a_label(datasets, tmp_path):
    make(datasets, fine=[0, 1, -1, 2, 3]).save_to_disk(tmp_path / "set")
    with pytest.raises(DataError, match=r"train, column 'fine_label', row 3: there is no label"):
        open_set(root=tmp_path / "set", options=COLUMNS)
