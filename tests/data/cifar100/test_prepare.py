import errno
import os
import pickle
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from bilateral.base.errors import DataError, OutputError
from bilateral.base.files import sole_writer
from bilateral.data.cifar100 import prepare
from bilateral.data.cifar100.prepare import prepare_cifar100, unique_file_names
from bilateral.data.cifar100.source import RawSplit, read_raw
from bilateral.data.config import DataConfig
from bilateral.data.sources import load

pytestmark = pytest.mark.filterwarnings("ignore::bilateral.data.cifar100.source.UnofficialDataWarning")
COUNTS = {"train": 300, "test": 100}


@pytest.fixture(scope="module")
def raw(tmp_path_factory) -> Path:
    """Raw files in CIFAR-100's form; of each class, the first two training images share their file name."""
    folder = tmp_path_factory.mktemp("raw")
    generator = np.random.default_rng(0)
    names = {
        "fine_label_names": [f"fine{label}" for label in range(100)],
        "coarse_label_names": [f"coarse{label}" for label in range(20)],
    }
    (folder / "meta").write_bytes(pickle.dumps(names, protocol=2))
    for split, count in COUNTS.items():
        fine = [index % 100 for index in range(count)]
        content = {
            "data": generator.integers(0, 256, (count, 3072), dtype=np.uint8),
            "fine_labels": fine,
            "coarse_labels": [label % 20 for label in fine],
            "filenames": [f"thing_{index % 100}_{index // 200}.png" for index in range(count)],
        }
        (folder / split).write_bytes(pickle.dumps(content, protocol=2))
    return folder


@pytest.fixture
def target(raw, tmp_path) -> Path:
    prepare_cifar100(raw, tmp_path / "prepared")
    return tmp_path / "prepared"


def snapshot(folder: Path) -> dict[Path, tuple[int, ...]]:
    """All that would change if anything were written."""
    entries = {path: path.stat() for path in [folder, *folder.rglob("*")]}
    return {path: (found.st_ino, found.st_size, found.st_mtime_ns) for path, found in entries.items()}


def images_in(folder: Path) -> int:
    return len(list(folder.rglob("*.png")))


def assert_complete(target: Path) -> None:
    assert {place.name for place in target.iterdir()} - {".prepare.lock"} == {"hierarchy.yaml", "train", "test"}
    for split, count in COUNTS.items():
        assert images_in(target / split / "fine") == images_in(target / split / "coarse") == count
    assert not [path for path in (target / "train").rglob("*") if path.is_file() and path.suffix != ".png"]


def test_both_trees_hold_every_image(raw, target):
    assert_complete(target)
    source = read_raw(raw).train
    for index, names in ((0, "thing_0_0.png"), (100, "thing_0_0-2.png"), (205, "thing_5_1.png")):
        fine = target / "train" / "fine" / str(int(source.fine[index])) / names
        coarse = target / "train" / "coarse" / str(int(source.coarse[index])) / names
        assert np.array_equal(np.asarray(Image.open(fine)), source.images[index].permute(1, 2, 0).numpy())
        assert coarse.samefile(fine)


def test_the_folders_hold_the_raw_data_set(raw, target):
    dataset, source = load(DataConfig(name="folders", root=target)), read_raw(raw)
    assert dataset.name == "cifar100"
    assert dataset.hierarchy == source.hierarchy
    assert dataset.mean == (0.5071, 0.4867, 0.4408)
    for read, written in ((dataset.train, source.train), (dataset.test, source.test)):
        assert contents(read) == contents(written)


def contents(images) -> Counter:
    rows = zip(images.images, images.fine.tolist(), images.coarse.tolist())
    return Counter((image.numpy().tobytes(), fine, coarse) for image, fine, coarse in rows)


def test_a_second_call_writes_nothing(raw, target):
    before = snapshot(target)
    summary = prepare_cifar100(raw, target)
    assert (summary.images, summary.written) == (COUNTS, 0)
    assert str(summary) == f"{target}: 300 train and 100 test images, each in fine/ and coarse/; 0 written now"
    assert snapshot(target) == before


def test_what_is_missing_is_added(raw, target):
    before = snapshot(target)
    fine, coarse = target / "train" / "fine", target / "train" / "coarse"
    (fine / "0" / "thing_0_0-2.png").unlink()
    (coarse / "1" / "thing_1_0.png").unlink()
    for tree in (fine / "2", coarse / "2"):
        (tree / "thing_2_0.png").unlink()
    (fine / "3" / "thing_3_0.png").write_bytes(b"")
    assert prepare_cifar100(raw, target).written == 4
    assert_complete(target)
    assert snapshot(target).keys() == before.keys()
    assert prepare_cifar100(raw, target).written == 0


def test_an_interruption_leaves_whole_files_and_the_next_call_goes_on(raw, tmp_path, monkeypatch):
    target, encode, calls = tmp_path / "prepared", prepare._encode, []

    def interrupted(pixels: np.ndarray) -> bytes:
        calls.append(pixels)
        if len(calls) > 350:
            raise KeyboardInterrupt
        return encode(pixels)

    monkeypatch.setattr(prepare, "_encode", interrupted)
    with pytest.raises(KeyboardInterrupt):
        prepare_cifar100(raw, target, num_workers=0)
    assert images_in(target / "train" / "fine") + images_in(target / "test" / "fine") == 350
    assert not (target / ".unfinished").exists()
    with pytest.raises(DataError, match=r"hierarchy\.yaml counts 100 test images, but 50 are there"):
        load(DataConfig(name="folders", root=target))

    monkeypatch.undo()
    assert prepare_cifar100(raw, target).written == 50
    assert_complete(target)


def test_leftovers_of_a_killed_process_are_removed(raw, target):
    (target / ".unfinished").mkdir()
    (target / ".unfinished" / "1234.png").write_bytes(b"half an im")
    (target / "test" / "fine" / "0" / "thing_0_0.png").unlink()
    prepare_cifar100(raw, target)
    assert_complete(target)


@pytest.mark.parametrize(
    ("place", "message"),
    [
        ("train/fine/7/mine.png", r"train/fine/7/mine\.png is not part of CIFAR-100"),
        ("test/coarse/7/notes.txt", r"test/coarse/7/notes\.txt is not part of CIFAR-100"),
        ("train/fine/cats/mine.png", r"train/fine/cats is not part of CIFAR-100"),
        ("train/other/mine.png", r"train/other is not part of CIFAR-100"),
        ("train/fine/7/thing_7_0.png", r"thing_7_0\.png shows another image than the raw files"),
        ("train/coarse/7/thing_7_0.png", r"thing_7_0\.png shows another image than the raw files"),
    ],
)
@pytest.mark.parametrize("complete", [True, False])
def test_foreign_files_are_left_alone(raw, tmp_path, place, message, complete):
    target = tmp_path / "prepared"
    if complete:
        prepare_cifar100(raw, target)
        (target / place).unlink(missing_ok=True)
    (target / place).parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (32, 32)).save(target / place, "PNG")
    before = snapshot(target)
    with pytest.raises(OutputError, match=message):
        prepare_cifar100(raw, target)
    assert snapshot(target) == before


def test_damaged_files_are_named(raw, target):
    (target / "train" / "fine" / "7" / "thing_7_0.png").write_bytes(b"half an im")
    with pytest.raises(OutputError, match=r"cannot read image .*thing_7_0\.png"):
        prepare_cifar100(raw, target)


def test_another_hierarchy_file_is_left_alone(raw, target):
    text = (target / "hierarchy.yaml").read_text().replace("coarse0", "fishes")
    (target / "hierarchy.yaml").write_text(text)
    with pytest.raises(OutputError, match=r"hierarchy\.yaml describes other data"):
        prepare_cifar100(raw, target)
    assert (target / "hierarchy.yaml").read_text() == text


def test_hidden_files_do_no_harm(raw, target):
    (target / "train" / "fine" / "7" / ".DS_Store").write_bytes(b"")
    assert prepare_cifar100(raw, target).written == 0


def test_copies_where_there_are_no_hard_links(raw, tmp_path, monkeypatch):
    def no_links(*arguments):
        raise OSError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "link", no_links)
    target = tmp_path / "prepared"
    prepare_cifar100(raw, target)
    assert_complete(target)
    fine, coarse = (target / "test" / level / "3" / "thing_3_0.png" for level in ("fine", "coarse"))
    assert not coarse.samefile(fine)
    assert coarse.read_bytes() == fine.read_bytes()
    assert prepare_cifar100(raw, target).written == 0


def test_a_full_disk_is_named(raw, tmp_path, monkeypatch):
    def no_space(path: Path, content: bytes) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", no_space)
    with pytest.raises(OutputError, match="no space left to write"):
        prepare_cifar100(raw, tmp_path / "prepared")
    assert not (tmp_path / "prepared" / ".unfinished").exists()


def test_a_target_that_cannot_be_a_folder(raw, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="file"):
        prepare_cifar100(raw, tmp_path / "file" / "prepared")


def test_one_process_at_a_time(raw, tmp_path):
    with (
        sole_writer(tmp_path / "prepared" / ".prepare.lock", "it"),
        pytest.raises(OutputError, match="another process"),
    ):
        prepare_cifar100(raw, tmp_path / "prepared")


def split_named(names: list[str], coarse: list[int]) -> RawSplit:
    labels = torch.tensor(coarse)
    return RawSplit(torch.zeros(len(names), 3, 1, 1, dtype=torch.uint8), labels, labels, names)


def test_names_that_collide_get_numbers():
    names = ["a.png", "a.png", "A.png", "a-2.png", "b.png", "a.png", "a", "b.png"]
    unique = unique_file_names(split_named(names, [0, 0, 0, 0, 0, 1, 1, 1]))
    assert unique == ["a.png", "a-3.png", "A-4.png", "a-2.png", "b.png", "a.png", "a-2.png", "b.png"]


@settings(deadline=None)
@given(rows=st.lists(st.tuples(st.sampled_from(["a", "A.png", "a.png", "a-2.png", "a-2-2.png"]), st.integers(0, 1))))
def test_names_are_unique_in_their_coarse_folder(rows):
    names, coarse = [name for name, _ in rows], [label for _, label in rows]
    unique = unique_file_names(split_named(names, coarse))
    assert len({(label, name.casefold()) for label, name in zip(coarse, unique)}) == len(rows)
    assert all(name.endswith(".png") for name in unique)


def test_hidden_names_are_refused():
    with pytest.raises(DataError, match=r"'\.a\.png'.*hidden"):
        unique_file_names(split_named([".a.png"], [0]))


def test_real_images(tmp_path):
    archive = os.environ.get("BILATERAL_TEST_CIFAR100")
    if archive is None:
        pytest.skip("BILATERAL_TEST_CIFAR100 names no CIFAR-100 archive")
    summary = prepare_cifar100(Path(archive), tmp_path)
    source, dataset = read_raw(Path(archive)), load(DataConfig(name="folders", root=tmp_path))
    assert summary.images == {"train": len(source.train.images), "test": len(source.test.images)}
    assert contents(dataset.train) == contents(source.train)
    assert contents(dataset.test) == contents(source.test)
