import hashlib
import io
import os
import pickle
import tarfile
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from bilateral.base.errors import ConfigError, DataError
from bilateral.data import sources
from bilateral.data.cifar100 import raw_files
from bilateral.data.cifar100 import source as cifar100
from bilateral.data.cifar100.raw_files import ARCHIVE, FOLDER, Official
from bilateral.data.cifar100.source import UnofficialDataWarning, load, read_raw
from bilateral.data.config import DataConfig

Content = dict[str, dict]
unofficial = pytest.mark.filterwarnings("ignore::bilateral.data.cifar100.source.UnofficialDataWarning")


def make_content(train: int = 100, test: int = 100, seed: int = 0) -> Content:
    """A set of noise in the official form: fine label k belongs to coarse label (7 * k) % 20."""
    generator = np.random.default_rng(seed)

    def split(count: int) -> dict:
        fine = generator.permutation(np.arange(count) % 100)
        return {
            "filenames": [f"thing_s_{number:06d}.png".encode() for number in generator.integers(0, 9, count)],
            "batch_label": b"batch 1 of 1",
            "fine_labels": fine.tolist(),
            "coarse_labels": (7 * fine % 20).tolist(),
            "data": generator.integers(0, 256, (count, 3072), dtype=np.uint8),
        }

    meta = {
        "fine_label_names": [b"fine %d" % label for label in range(100)],
        "coarse_label_names": [b"coarse %d" % label for label in range(20)],
    }
    return {"train": split(train), "test": split(test), "meta": meta}


def python3_pickle(content: dict) -> bytes:
    return pickle.dumps({key.encode(): value for key, value in content.items()}, protocol=2)


def write_folder(folder: Path, content: Content, dumps: Callable[[dict], bytes] = python3_pickle) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, value in content.items():
        (folder / name).write_bytes(dumps(value))
    return folder


def write_archive(path: Path, content: Content) -> Path:
    with tarfile.open(path, "w:gz", compresslevel=1) as tar:
        for name, value in content.items():
            data = python3_pickle(value)
            info = tarfile.TarInfo(f"{FOLDER}/{name}")
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return path


def assert_holds(raw: cifar100.RawCifar100, content: Content) -> None:
    assert raw.hierarchy.fine_names == tuple(name.decode() for name in content["meta"]["fine_label_names"])
    assert raw.hierarchy.coarse_names == tuple(name.decode() for name in content["meta"]["coarse_label_names"])
    assert raw.hierarchy.coarse_of_fine == tuple(7 * label % 20 for label in range(100))
    for split, expected in ((raw.train, content["train"]), (raw.test, content["test"])):
        count = len(expected["data"])
        assert split.images.dtype == torch.uint8
        assert split.images.shape == (count, 3, 32, 32)
        assert np.array_equal(split.images.numpy().reshape(count, -1), expected["data"])
        assert split.fine.dtype == split.coarse.dtype == torch.int64
        assert split.fine.tolist() == expected["fine_labels"]
        assert split.coarse.tolist() == expected["coarse_labels"]
        assert split.filenames == [name.decode() for name in expected["filenames"]]


@unofficial
@settings(max_examples=15, deadline=None)
@given(
    train=st.integers(100, 230),
    test=st.integers(1, 120),
    seed=st.integers(0, 2**32),
    form=st.sampled_from(["python 2", "python 3", "text keys"]),
)
def test_round_trip_is_exact(python2_pickle, tmp_path_factory, train, test, seed, form):
    forms = {"python 2": python2_pickle, "python 3": python3_pickle, "text keys": lambda value: pickle.dumps(value, 2)}
    content = make_content(train, test, seed)
    assert_holds(read_raw(write_folder(tmp_path_factory.mktemp("raw"), content, forms[form])), content)


@unofficial
def test_every_kind_of_root_gives_the_same_set(tmp_path):
    content = make_content()
    folder = write_folder(tmp_path / "folder" / FOLDER, content)
    (tmp_path / "packed").mkdir()
    archive = write_archive(tmp_path / "packed" / ARCHIVE, content)
    for root in (folder, folder.parent, archive, archive.parent):
        assert_holds(read_raw(root), content)


def test_load_gives_the_data_set_with_the_published_statistics(tmp_path):
    content = make_content(200)
    write_folder(tmp_path, content)
    with pytest.warns(UnofficialDataWarning):
        dataset = sources.load(DataConfig(name="cifar100", root=tmp_path))
    assert dataset.name == "cifar100"
    assert dataset.mean == (0.5071, 0.4867, 0.4408)
    assert dataset.std == (0.2675, 0.2565, 0.2761)
    assert dataset.validation is None
    assert (len(dataset.train), len(dataset.test)) == (200, 100)
    assert dataset.hierarchy.coarse_of_fine == tuple(7 * label % 20 for label in range(100))
    assert np.array_equal(dataset.test.images.flatten(1).numpy(), content["test"]["data"])
    dataset.train.images[0] += 1  # the memory is its own to write


def test_another_set_is_read_with_one_warning_that_names_files_and_sums(tmp_path):
    write_folder(tmp_path, make_content())
    with pytest.warns(UnofficialDataWarning, match="not the published set") as caught:
        read_raw(tmp_path)
    assert len(caught) == 1
    assert caught[0].filename == __file__
    for name in ("train", "test", "meta"):
        md5 = hashlib.md5((tmp_path / name).read_bytes()).hexdigest()
        assert f"{tmp_path / name} has MD5 {md5}, not {raw_files.OFFICIAL_FILES[name].md5}" in str(caught[0].message)


@pytest.fixture
def published(tmp_path, monkeypatch) -> Path:
    """A small set whose sums count as the published ones."""
    folder = write_folder(tmp_path / FOLDER, make_content())
    sums = {}
    for name in ("train", "test", "meta"):
        content = (folder / name).read_bytes()
        sums[name] = Official(len(content), hashlib.md5(content).hexdigest())
    monkeypatch.setattr(raw_files, "OFFICIAL_FILES", sums)
    return folder


def test_the_published_set_is_read_without_a_warning(published):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        read_raw(published)


@pytest.mark.parametrize("name", ["train", "test", "meta"])
def test_one_changed_byte_of_the_published_set_is_a_wrong_checksum(published, name):
    content = bytearray((published / name).read_bytes())
    content[len(content) // 2] ^= 16
    (published / name).write_bytes(content)
    with pytest.raises(DataError, match=f"{published / name} has the published size but the wrong checksum"):
        read_raw(published)


def spoil(content: Content, file: str, key: str, change: Callable) -> None:
    content[file][key] = change(content[file][key])


def with_item(value: object) -> Callable[[list], list]:
    return lambda items: [value, *items[1:]]


ENDLESS: list = ["x"]  # written out, it would fill any memory
for _ in range(60):
    ENDLESS = [ENDLESS, ENDLESS]


@unofficial
@pytest.mark.parametrize(
    ("file", "key", "change", "complaint"),
    [
        ("train", "data", lambda data: data[:, :3071], r"data is uint8 \(100, 3071\), not uint8 \(N, 3072\)"),
        ("train", "data", lambda data: data.astype(np.int32), "data is int32"),
        ("train", "data", lambda data: data.tolist(), "data is list"),
        ("train", "data", lambda data: data.astype(object), "'O8'"),
        ("test", "data", lambda data: data[:99], "fine_labels is not a list of 99 whole numbers"),
        ("test", "data", lambda data: data.reshape(100, 3, 32, 32), r"data is uint8 \(100, 3, 32, 32\)"),
        ("test", "fine_labels", lambda labels: labels[:99], "fine_labels is not a list of 100 whole numbers"),
        ("test", "coarse_labels", lambda labels: labels[:99], "coarse_labels is not a list of 100 whole numbers"),
        ("test", "filenames", lambda names: names[:99], "filenames is not a list of 100 names"),
        ("train", "fine_labels", with_item(100), "fine_labels holds 100, which is outside 0 to 99"),
        ("test", "fine_labels", with_item(-1), "fine_labels holds -1, which is outside 0 to 99"),
        ("train", "coarse_labels", with_item(20), "coarse_labels holds 20, which is outside 0 to 19"),
        ("train", "coarse_labels", with_item(2**80), "which is outside 0 to 19"),
        ("train", "coarse_labels", with_item(1.0), "whole numbers"),
        ("train", "coarse_labels", with_item(True), "whole numbers"),
        ("train", "fine_labels", lambda labels: [max(label, 1) for label in labels], "no image of fine label 'fine 0'"),
        ("train", "filenames", with_item(b"../../escape.png"), "cannot name a file"),
        ("train", "filenames", with_item(b".."), "cannot name a file"),
        ("train", "filenames", with_item(""), "cannot name a file"),
        ("train", "filenames", with_item(3), "holds a value of type int, and no name"),
        ("train", "filenames", with_item(ENDLESS), "holds a value of type list, and no name"),
        ("train", "coarse_labels", with_item(ENDLESS), "whole numbers"),
        ("train", "filenames", with_item(b"\xff.png"), "not UTF-8"),
        ("meta", "fine_label_names", lambda names: names[:99], "fine_label_names is not a list of 100 names"),
        ("meta", "coarse_label_names", lambda names: [*names, b"more"], "coarse_label_names is not a list of 20"),
        ("meta", "coarse_label_names", with_item(b"coarse 1"), "one name to two labels"),
    ],
)
def test_malformed_content_is_an_error_that_names_the_file(tmp_path, file, key, change, complaint):
    content = make_content()
    spoil(content, file, key, change)
    write_folder(tmp_path, content)
    with pytest.raises(DataError, match=complaint) as caught:
        read_raw(tmp_path)
    assert str(tmp_path / file) in str(caught.value)


@unofficial
@pytest.mark.parametrize(
    ("file", "key"),
    [(file, key) for file in ("train", "test") for key in ("data", "fine_labels", "coarse_labels", "filenames")]
    + [("meta", "fine_label_names"), ("meta", "coarse_label_names")],
)
def test_a_missing_key_is_an_error_that_names_it_and_the_file(tmp_path, file, key):
    content = make_content()
    del content[file][key]
    write_folder(tmp_path, content)
    with pytest.raises(DataError, match=f"{tmp_path / file} has no '{key}'"):
        read_raw(tmp_path)


@unofficial
@pytest.mark.parametrize("file", ["train", "test"])
def test_a_fine_label_with_two_coarse_labels_is_an_error(tmp_path, file):
    content = make_content(200)
    labels = content[file]["coarse_labels"]
    labels[5] = (labels[5] + 1) % 20
    write_folder(tmp_path, content)
    with pytest.raises(DataError, match=rf"{tmp_path / file} gives the fine label 'fine \d+' the coarse label 'coarse"):
        read_raw(tmp_path)


@unofficial
def test_a_class_without_a_test_image_is_an_error_of_load_alone(tmp_path):
    write_folder(tmp_path, make_content(test=50))
    assert len(read_raw(tmp_path).test.images) == 50
    with pytest.raises(DataError, match=r"cifar100, test: class 'fine \d+' has no image"):
        load(DataConfig(name="cifar100", root=tmp_path))


@pytest.fixture(scope="module")
def small(tmp_path_factory, python2_pickle) -> Path:
    return write_folder(tmp_path_factory.mktemp("small"), make_content(test=1), python2_pickle)


@unofficial
@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_truncation_at_any_position_is_an_error(small, data):
    path = small / data.draw(st.sampled_from(["train", "test", "meta"]))
    whole = path.read_bytes()
    try:
        path.write_bytes(whole[: data.draw(st.integers(0, len(whole) - 1))])
        with pytest.raises(DataError, match=str(path)):
            read_raw(small)
    finally:
        path.write_bytes(whole)


@unofficial
@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_a_damaged_byte_is_an_error_or_leaves_every_shape(small, data):
    path = small / data.draw(st.sampled_from(["train", "test", "meta"]))
    whole = path.read_bytes()
    damaged = bytearray(whole)
    # Pixels are most of a file; the first bytes are names, labels and the array's description.
    position = data.draw(st.integers(0, min(len(whole), 5000) - 1) | st.integers(0, len(whole) - 1))
    damaged[position] ^= data.draw(st.integers(1, 255))
    try:
        path.write_bytes(damaged)
        raw = read_raw(small)
    except DataError:
        return
    finally:
        path.write_bytes(whole)
    assert (raw.hierarchy.fine_count, raw.hierarchy.coarse_count) == (100, 20)
    for split, count in ((raw.train, 100), (raw.test, 1)):
        assert split.images.shape == (count, 3, 32, 32)
        assert len(split.fine) == len(split.coarse) == len(split.filenames) == count


class Touch:
    def __init__(self, canary: Path) -> None:
        self.canary = canary

    def __reduce__(self):
        return os.system, (f"touch {self.canary}",)


@pytest.mark.parametrize("key", ["batch_label", "data"])
def test_a_hostile_set_executes_nothing(tmp_path, key):
    content = make_content()
    content["train"][key] = Touch(tmp_path / "canary")
    write_folder(tmp_path, content)
    with pytest.raises(DataError, match=rf"{tmp_path / 'train'} is refused: it holds the global '\w+\.system'"):
        read_raw(tmp_path)
    assert not (tmp_path / "canary").exists()


def test_missing_data_say_where_they_were_looked_for(tmp_path):
    with pytest.raises(DataError, match=rf"no CIFAR-100 at {tmp_path / 'nowhere'}: .*data\.download=true"):
        load(DataConfig(name="cifar100", root=tmp_path / "nowhere"))
    with pytest.raises(ConfigError, match=r"data\.root: the source 'cifar100' needs"):
        load(DataConfig(name="cifar100", download=True))


def test_missing_data_are_downloaded_where_asked(tmp_path, monkeypatch):
    archive = write_archive(tmp_path / "served.tar.gz", make_content())
    content = archive.read_bytes()
    monkeypatch.setattr(cifar100, "URL", archive.as_uri())
    monkeypatch.setattr(raw_files, "OFFICIAL_ARCHIVE", Official(len(content), hashlib.md5(content).hexdigest()))
    config = DataConfig(name="cifar100", root=tmp_path / "data", download=True)
    with pytest.warns(UnofficialDataWarning):
        assert len(load(config).train) == 100
    assert (tmp_path / "data" / ARCHIVE).read_bytes() == content
    archive.unlink()
    with pytest.warns(UnofficialDataWarning):
        assert len(load(config).train) == 100


REAL = os.environ.get("BILATERAL_TEST_CIFAR100")


@pytest.mark.skipif(not REAL, reason="BILATERAL_TEST_CIFAR100 names no CIFAR-100 archive")
def test_the_real_archive_reads_as_pickle_reads_it():
    assert REAL
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UnofficialDataWarning)
        raw = read_raw(Path(REAL))
        dataset = load(DataConfig(name="cifar100", root=Path(REAL)))
    assert len(dataset.train) == len(raw.train.images) >= 100
    assert dataset.hierarchy.fine_names[:3] == ("apple", "aquarium_fish", "baby")
    assert dataset.hierarchy.coarse_names[dataset.hierarchy.coarse_of_fine[0]] == "fruit_and_vegetables"
    with tarfile.open(REAL) as tar:
        for name, split in (("train", raw.train), ("test", raw.test)):
            member = tar.extractfile(f"{FOLDER}/{name}")
            assert member is not None
            expected = pickle.loads(member.read(), encoding="bytes")
            assert np.array_equal(split.images.flatten(1).numpy(), expected[b"data"])
            assert split.fine.tolist() == expected[b"fine_labels"]
            assert split.coarse.tolist() == expected[b"coarse_labels"]
            assert split.filenames == [name.decode() for name in expected[b"filenames"]]
