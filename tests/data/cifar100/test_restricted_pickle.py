import builtins
import os
import pickle
import pickletools
import struct
import tracemalloc
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from bilateral.base.errors import DataError
from bilateral.data.cifar100.restricted_pickle import load

NUMBERS = st.integers(-(2**70), 2**70) | st.floats(allow_nan=False) | st.booleans() | st.none()
ARRAYS = hnp.arrays(
    st.sampled_from(["u1", "i1", "<i4", ">i4", "<i8", ">f4", "<f8"]),
    hnp.array_shapes(max_dims=4, min_side=1, max_side=5),
    elements={"allow_nan": False},
)


def mappings(strings: st.SearchStrategy) -> st.SearchStrategy:
    values = NUMBERS | strings
    nested = st.lists(values) | st.tuples(values, values, values, values) | st.lists(st.tuples(values))
    return st.dictionaries(st.text(min_size=1), values | nested | ARRAYS, max_size=6)


def same(left: object, right: object) -> bool:
    if isinstance(left, np.ndarray):
        return isinstance(right, np.ndarray) and left.dtype == right.dtype and np.array_equal(left, right)
    return type(left) is type(right) and left == right


@given(content=mappings(st.text() | st.binary(min_size=1, max_size=300)), protocol=st.sampled_from([2, 3, 4]))
def test_python3_pickles_come_back_exactly(content, protocol):
    loaded = load(bytearray(pickle.dumps(content, protocol)), "file")
    assert list(loaded) == list(content)
    assert all(same(loaded[key], content[key]) for key in content)


@given(content=mappings(st.binary(max_size=300)))
def test_python2_pickles_come_back_exactly(python2_pickle, content):
    data = python2_pickle(content)
    loaded = load(bytearray(data), "file")
    expected = pickle.loads(data, encoding="bytes")
    assert list(loaded) == list(content)
    for key, value in content.items():
        assert same(loaded[key], value)
        if not isinstance(value, np.ndarray):  # pickle and numpy lose a Python 2 array's byte order
            assert same(loaded[key], expected[key.encode()])


def test_a_large_array_is_a_writable_view_of_the_file(python2_pickle):
    data = bytearray(python2_pickle({"data": np.arange(2**16, dtype=np.uint8).reshape(2, -1)}))
    array = load(data, "file")["data"]
    array[1, 5] = 77
    assert array.base is not None
    assert data.count(bytes([4, 77, 6])) == 1


def test_fortran_order_and_shared_values_survive(python2_pickle):
    array = np.asfortranarray(np.arange(6, dtype=np.uint8).reshape(2, 3))
    words = [b"a", b"b"]
    loaded = load(bytearray(python2_pickle({"array": array, "again": array, "words": [words, words]})), "file")
    assert same(loaded["array"], array)
    assert same(loaded["again"], array)
    assert loaded["words"] == [words, words]


class Calls:
    """Pickles to the call of `function` with `arguments`."""

    def __init__(self, function, *arguments):
        self.call = (function, arguments)

    def __reduce__(self):
        return self.call


def hostile_calls(canary: Path) -> dict[str, object]:
    touch = f"touch {canary}"
    write = f"open({str(canary)!r}, 'w')"
    return {
        "os.system": Calls(os.system, touch),
        "posix.system": Calls(os.system, touch),
        "builtins.eval": Calls(eval, write),
        "builtins.exec": Calls(exec, write),
        "builtins.getattr": Calls(getattr, Calls(eval, write), "close"),
        "nested in a list": [[Calls(os.system, touch)]],
        "numpy's own doors": Calls(np.load, str(canary)),
        "an object array": np.array([Calls(os.system, touch), 1], dtype=object),
        "a compound array": np.array([(1, 2)], dtype=[("x", "i4"), ("y", "i4")]),
        "a dtype's metadata": np.zeros(2, np.dtype("u1", metadata={"x": Calls(eval, write)})),
        "a path": canary,
    }


@pytest.mark.parametrize("protocol", [2, 4])
@pytest.mark.parametrize("name", hostile_calls(Path("canary")))
def test_hostile_pickles_execute_nothing(tmp_path, name, protocol):
    canary = tmp_path / "canary"
    data = pickle.dumps({"data": hostile_calls(canary)[name]}, protocol)
    with pytest.raises(DataError, match="the file is"):
        load(bytearray(data), "the file")
    assert not canary.exists()


def test_the_refused_global_is_named():
    data = pickle.dumps({"data": Calls(builtins.eval, "1")}, protocol=2)
    with pytest.raises(DataError, match=r"the file is refused: it holds the global '__builtin__\.eval'"):
        load(bytearray(data), "the file")


ARRAY = b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\n"
DTYPE = b"cnumpy\ndtype\nU\x02u1K\x00K\x01\x87R"
DEEP = b")" + b"\x85" * 200_000
VALUES = {
    "attribute of a global": b"cnumpy\nndarray\n}U\x01bK\x01sb",
    "call of a tuple": b"U\x02osU\x06system\x86)R",
    "instance": b"(ios\nsystem\n",
    "persistent object": b"Pevil\n",
    "extension registry": b"\x82\x01",
    "string of gigabytes": b"T\xff\xff\xff\x7f",
    "string of exabytes": b"\x8e" + b"\xff" * 7 + b"\x7f",
    "array of gigabytes": ARRAY + b"\x8a\x05\xff\xff\xff\xff\x7f\x85U\x01b\x87R",
    "text decoded again and again": b"(c_codecs\nencode\nq\x00X\xe8\x03\x00\x00"
    + b"x" * 1000
    + b"X\x06\x00\x00\x00latin1\x86q\x01R"
    + b"h\x00h\x01R" * 1000
    + b"t",
    "deep key": b"}" + DEEP + b"Ns",
    "deep dtype state": DTYPE + b"(K\x03" + DEEP + b"NNNtb",
    "unfinished array": ARRAY + b"K\x00\x85U\x01b\x87R",
    "array of another size": ARRAY + b"K\x00\x85U\x01b\x87R(K\x01K\x02\x85" + DTYPE + b"\x89U\x03abctb",
    "array of absurd shape": ARRAY
    + b"K\x00\x85U\x01b\x87R(K\x01\x8a\x0a"
    + b"\x01" * 10
    + b"\x85"
    + DTYPE
    + b"\x89U\x01atb",
    "array of negative length": ARRAY + b"K\x00\x85U\x01b\x87R(K\x01J\xff\xff\xff\xff\x85" + DTYPE + b"\x89U\x03abctb",
}
FILES = {
    "no dict": b"\x80\x02]K\x01a.",
    "number as key": b"\x80\x02}K\x01Ns.",
    "bytes after the end": b"\x80\x02}.}.",
    "protocol 0": pickle.dumps({"a": [1, "b"]}, protocol=0),
    "nothing": b"",
    "no pickle": b"<html>not found</html>",
} | {name: b"\x80\x02}U\x01a" + value + b"s." for name, value in VALUES.items()}


@pytest.mark.parametrize("name", FILES)
def test_hand_written_instructions_are_refused(name):
    with pytest.raises(DataError, match="the file is"):
        load(bytearray(FILES[name]), "the file")


def test_a_high_memo_index_takes_no_memory():
    tracemalloc.start()
    try:
        assert load(bytearray(b"\x80\x02}U\x01aNr\xff\xff\xff\xffs."), "file") == {"a": None}
        assert tracemalloc.get_traced_memory()[1] < 2**20
    finally:
        tracemalloc.stop()


@pytest.fixture(scope="module")
def sample(python2_pickle) -> bytes:
    labels = list(range(9))
    pixels = np.arange(300, dtype=np.uint8).reshape(3, 100)
    return python2_pickle({"names": [b"apple", b"x" * 300], "labels": labels, "data": pixels, "more": (1, 2**40, 0.5)})


def test_truncation_at_every_position_is_an_error(sample):
    for length in range(len(sample)):
        with pytest.raises(DataError, match="truncated or corrupt"):
            load(bytearray(sample[:length]), "file")


@settings(max_examples=300)
@given(data=st.data())
def test_corruption_is_an_error_or_other_data_but_no_other_exception(sample, data):
    damaged = bytearray(sample)
    for _ in range(data.draw(st.integers(1, 3))):
        damaged[data.draw(st.integers(0, len(sample) - 1))] = data.draw(st.integers(0, 255))
    try:
        loaded = load(damaged, "file")
    except DataError:
        return
    assert all(isinstance(key, str) for key in loaded)


INSTRUCTIONS = [code.code.encode("latin1") for code in pickletools.opcodes]


@settings(max_examples=300)
@given(junk=st.lists(st.sampled_from(INSTRUCTIONS) | st.binary(max_size=6)))
def test_any_instructions_raise_no_other_exception(junk):
    with suppress(DataError):
        load(bytearray(b"".join([b"\x80\x02", *junk, b"."])), "file")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"\x80\x02" + b"]" * 2**23, "more than 2,097,152 instructions"),
        (b"\x80\x02c" + b"a" * 2**24, "a global's name is too long"),
        (b"\x80\x02X" + struct.pack("<I", 2**24) + b"a" * (2**24 - 4) + "\U0001f600".encode() + b".", "a long text"),
        (b"\x80\x02]q\x00h\x00a.", "holds one list in place of a dict"),
    ],
)
def test_what_would_grow_without_end_is_refused(content, message):
    with pytest.raises(DataError, match=message):
        load(content, "it")


def test_shapes_beyond_any_number_are_an_error():
    array = pickle.dumps({"data": np.zeros(3, np.uint8)}, protocol=2)
    huge = array.replace(b"K\x03\x85", b"\x8a\x0a" + b"\xff" * 9 + b"\x0f\x85")
    assert huge != array
    with pytest.raises(DataError, match="do not fit together"):
        load(huge, "it")
