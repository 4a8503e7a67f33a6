import gzip
import hashlib
import io
import shutil
import tarfile
import tracemalloc
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bilateral.base.errors import DataError
from bilateral.data.cifar100 import raw_files
from bilateral.data.cifar100.raw_files import ARCHIVE, FOLDER, Official, find, missing, read_files, unpublished
from data.strange import STRANGE, make_strange

CONTENTS = {"train": b"training images" * 500, "test": b"test images" * 400, "meta": b"names"}


def write_folder(folder: Path) -> Path:
    folder.mkdir(parents=True)
    for name, content in CONTENTS.items():
        (folder / name).write_bytes(content)
    return folder


def member(name: str, content: bytes = b"", **attributes: object) -> tuple[tarfile.TarInfo, bytes]:
    info = tarfile.TarInfo(name)
    info.size = len(content)
    for key, value in attributes.items():
        setattr(info, key, value)
    return info, content


def write_archive(path: Path, *more: tuple[tarfile.TarInfo, bytes], prefix: str = f"{FOLDER}/") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    members = [member(prefix + name, content) for name, content in CONTENTS.items()]
    with tarfile.open(path, "w:gz", compresslevel=1) as tar:
        for info, content in [*members, *more]:
            tar.addfile(info, io.BytesIO(content))
    return path


def contents(place: Path) -> dict[str, bytes]:
    return {name: bytes(file.content) for name, file in read_files(place).items()}


def test_each_place_is_found_and_read(tmp_path):
    folder = write_folder(tmp_path / "folder" / FOLDER)
    archive = write_archive(tmp_path / "archive" / ARCHIVE)
    assert find(folder) == find(folder.parent) == folder
    assert find(archive) == find(archive.parent) == archive
    assert contents(folder) == contents(archive) == CONTENTS


def test_a_whole_folder_comes_before_the_archive_and_the_archive_before_a_part(tmp_path):
    archive = write_archive(tmp_path / ARCHIVE)
    folder = write_folder(tmp_path / FOLDER)
    assert find(tmp_path) == folder
    (folder / "test").unlink()
    assert find(tmp_path) == archive


def test_folders_of_images_are_not_raw_files(tmp_path):
    for name in CONTENTS:
        (tmp_path / name).mkdir()
    assert find(tmp_path) is None


def test_missing_says_what_was_looked_for_and_what_is_there(tmp_path):
    for sought in (str(tmp_path), "train", "test", "meta", FOLDER, ARCHIVE, "data.download=true"):
        assert sought in str(missing(tmp_path))
    (write_folder(tmp_path / FOLDER) / "meta").unlink()
    assert find(tmp_path) is None
    assert f"{tmp_path / FOLDER} holds only a part of CIFAR-100: meta missing" in str(missing(tmp_path))


@pytest.mark.parametrize("prefix", ["", "./", f"./{FOLDER}/"])
def test_archives_packed_in_other_ways_are_read(tmp_path, prefix):
    others = member(f"{FOLDER}/file.txt~", b"x"), member(FOLDER, type=tarfile.DIRTYPE), member("elsewhere/train", b"y")
    assert contents(write_archive(tmp_path / "packed.tar.gz", *others, prefix=prefix)) == CONTENTS


@pytest.mark.parametrize(
    ("unsafe", "complaint"),
    [
        (member("/etc/passwd", b"x"), "points outside"),
        (member(f"{FOLDER}/../../train", b"x"), "points outside"),
        (member(f"{FOLDER}/link", type=tarfile.SYMTYPE, linkname="/etc/passwd"), "neither a plain file nor a folder"),
        (member(f"{FOLDER}/link", type=tarfile.LNKTYPE, linkname=f"{FOLDER}/train"), "neither a plain file"),
        (member(f"{FOLDER}/device", type=tarfile.CHRTYPE), "neither a plain file nor a folder"),
        (member(f"{FOLDER}/pipe", type=tarfile.FIFOTYPE), "neither a plain file nor a folder"),
        (member(f"{FOLDER}/train", b"other"), "holds train twice"),
    ],
)
def test_unsafe_archives_are_refused_and_nothing_is_written(tmp_path, unsafe, complaint):
    archive = write_archive(tmp_path / ARCHIVE, unsafe)
    with pytest.raises(DataError, match=complaint):
        read_files(archive)
    assert list(tmp_path.iterdir()) == [archive]


def test_an_archive_that_lacks_a_file_names_it(tmp_path, monkeypatch):
    monkeypatch.delitem(CONTENTS, "test")
    archive = write_archive(tmp_path / ARCHIVE)
    with pytest.raises(DataError, match=f"holds no {FOLDER}/test"):
        read_files(archive)


def test_a_compressed_bomb_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(raw_files, "_MAX_BYTES", 2**20)
    archive = write_archive(tmp_path / ARCHIVE, *[member(f"padding {part}", bytes(2**19)) for part in range(3)])
    with pytest.raises(DataError, match="unpacks to more than"):
        read_files(archive)


def test_a_member_that_claims_an_absurd_size_is_refused_at_once(tmp_path):
    huge = tarfile.TarInfo("padding")
    huge.size = 2**80
    (tmp_path / ARCHIVE).write_bytes(gzip.compress(huge.tobuf(tarfile.GNU_FORMAT)))
    with pytest.raises(DataError, match=f"'padding' claims a size of {2**80} bytes"):
        read_files(tmp_path / ARCHIVE)


def test_a_huge_file_is_refused_before_it_is_read(tmp_path):
    folder = write_folder(tmp_path / FOLDER)
    with (folder / "train").open("wb") as file:
        file.truncate(2**40)
    with pytest.raises(
        DataError, match="train is too large: CIFAR-100's files never have more than 1,073,741,824 bytes"
    ):
        read_files(folder)


def test_a_file_that_is_no_archive_is_an_error(tmp_path):
    (tmp_path / "notes.txt").write_text("hello")
    with pytest.raises(DataError, match=r"notes\.txt is no tar\.gz"):
        read_files(tmp_path / "notes.txt")


def test_sums_that_are_not_the_published_ones_are_described(tmp_path, monkeypatch):
    folder = write_folder(tmp_path / FOLDER)
    published = {name: Official(len(content), hashlib.md5(content).hexdigest()) for name, content in CONTENTS.items()}
    monkeypatch.setattr(raw_files, "OFFICIAL_FILES", published)
    assert unpublished(read_files(folder)) == []

    (folder / "test").write_bytes(b"another set")
    other = hashlib.md5(b"another set").hexdigest()
    assert unpublished(read_files(folder)) == [f"{folder / 'test'} has MD5 {other}, not {published['test'].md5}"]

    damaged = bytearray(CONTENTS["test"])
    damaged[100] ^= 1
    (folder / "test").write_bytes(damaged)
    with pytest.raises(DataError, match="wrong checksum") as caught:
        unpublished(read_files(folder))
    for named in (str(folder / "test"), published["test"].md5, hashlib.md5(damaged).hexdigest()):
        assert named in str(caught.value)


def test_an_archive_of_the_published_size_must_have_the_published_sum(tmp_path, monkeypatch):
    archive = write_archive(tmp_path / ARCHIVE)
    whole = archive.read_bytes()
    published = Official(len(whole), hashlib.md5(whole).hexdigest())
    monkeypatch.setattr(raw_files, "OFFICIAL_ARCHIVE", published)
    assert contents(archive) == CONTENTS
    for position in (4, len(whole) // 2):  # the time in gzip's header, which no other check covers; the content
        damaged = bytearray(whole)
        damaged[position] ^= 1
        archive.write_bytes(damaged)
        with pytest.raises(DataError, match=f"wrong checksum, MD5 {hashlib.md5(damaged).hexdigest()}.*{published.md5}"):
            read_files(archive)


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> Path:
    return write_archive(tmp_path_factory.mktemp("whole") / ARCHIVE)


def test_a_truncated_archive_is_an_error_at_every_length(whole, tmp_path):
    content = whole.read_bytes()
    for length in range(len(content)):
        (tmp_path / ARCHIVE).write_bytes(content[:length])
        with pytest.raises(DataError, match="is truncated or corrupt"):
            read_files(tmp_path / ARCHIVE)


def test_an_archive_is_read_to_its_very_end(whole, tmp_path):
    padded = gzip.compress(gzip.decompress(whole.read_bytes()) + bytes(2**22))
    (tmp_path / ARCHIVE).write_bytes(padded)
    assert contents(tmp_path / ARCHIVE) == CONTENTS
    (tmp_path / ARCHIVE).write_bytes(padded[:-1])
    with pytest.raises(DataError, match="is truncated or corrupt"):
        read_files(tmp_path / ARCHIVE)


@settings(max_examples=200)
@given(data=st.data())
def test_a_damaged_archive_is_an_error_or_reads_the_same(whole, tmp_path_factory, data):
    content = bytearray(whole.read_bytes())
    content[data.draw(st.integers(0, len(content) - 1))] ^= data.draw(st.integers(1, 255))
    place = tmp_path_factory.getbasetemp() / "damaged.tar.gz"
    place.write_bytes(content)
    with suppress(DataError):
        assert contents(place) == CONTENTS


@settings(max_examples=200)
@given(data=st.data())
def test_damaged_headers_raise_no_other_exception(whole, tmp_path_factory, data):
    content = bytearray(gzip.decompress(whole.read_bytes()))
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, 511))] = data.draw(st.integers(0, 255))
    checksum = b"%06o\0 " % tarfile.calc_chksums(bytes(content[:512]))[0]
    content[148:156] = checksum
    place = tmp_path_factory.getbasetemp() / "headers.tar.gz"
    place.write_bytes(gzip.compress(content, compresslevel=1))
    with suppress(DataError):
        read_files(place)


@pytest.mark.parametrize("kind", STRANGE)
@pytest.mark.parametrize("place", [f"{FOLDER}/train", ARCHIVE, "given"])
def test_pipes_devices_and_sockets_are_refused_at_once(tmp_path, kind, place):
    write_folder(tmp_path / FOLDER)
    if place != ARCHIVE:
        (tmp_path / FOLDER / "train").unlink()
    else:
        shutil.rmtree(tmp_path / FOLDER)
    strange = make_strange(tmp_path / place, kind)
    root = strange if place == "given" else tmp_path
    found = find(root)
    assert found is not None
    with pytest.raises(DataError, match=rf"cannot read {strange}: it is a pipe, a device or a socket"):
        read_files(found)


def bomb(kind: bytes, size: int) -> bytes:
    """An archive whose header of a long name, or of settings, has `size` bytes."""
    info = tarfile.TarInfo("././@LongLink")
    info.type, info.size = kind, size
    return info.tobuf(tarfile.GNU_FORMAT) + b"a" * size


@pytest.mark.parametrize(
    "packed",
    [
        bomb(tarfile.GNUTYPE_LONGNAME, 2**28),
        bomb(tarfile.XHDTYPE, 2**28),
        b"".join(tarfile.TarInfo(f"{number}").tobuf() for number in range(100_000)),
        bomb(tarfile.GNUTYPE_LONGNAME, 600) * 20_000,
    ],
)
def test_archives_of_endless_headers_are_refused_before_they_are_unpacked(tmp_path, packed):
    (tmp_path / ARCHIVE).write_bytes(gzip.compress(packed, 1))
    tracemalloc.start()
    try:
        with pytest.raises(DataError):
            read_files(tmp_path / ARCHIVE)
        assert tracemalloc.get_traced_memory()[1] < 2**26
    finally:
        tracemalloc.stop()


def test_members_that_claim_too_much_together_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(raw_files, "_MAX_BYTES", 2**24)
    size = 2**23 + 2**22
    claims = []
    for name in ("train", "test"):
        info = tarfile.TarInfo(f"{FOLDER}/{name}")
        info.size = size
        claims.append(info.tobuf())
    (tmp_path / ARCHIVE).write_bytes(gzip.compress(claims[0] + bytes(size) + claims[1], 1))
    with pytest.raises(DataError, match="unpacks to more than"):
        read_files(tmp_path / ARCHIVE)


def test_a_gzip_file_of_many_is_read_and_of_endless_many_refused(tmp_path):
    content = gzip.decompress(write_archive(tmp_path / ARCHIVE).read_bytes())
    (tmp_path / ARCHIVE).write_bytes(
        b"".join(gzip.compress(content[at : at + 999]) for at in range(0, len(content), 999)) + bytes(5)
    )
    assert contents(tmp_path / ARCHIVE) == CONTENTS
    (tmp_path / ARCHIVE).write_bytes(gzip.compress(b"") * 20_000)
    with pytest.raises(DataError, match="made of more than 10,000 gzip files"):
        read_files(tmp_path / ARCHIVE)


def test_files_too_large_together_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(raw_files, "_MAX_BYTES", 2**20)
    write_folder(tmp_path / FOLDER)
    for name in ("train", "test"):
        with (tmp_path / FOLDER / name).open("wb") as file:
            file.truncate(2**19 + 2)
    with pytest.raises(DataError, match="test is too large"):
        read_files(tmp_path / FOLDER)
