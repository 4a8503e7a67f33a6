"""Files that are no network in the original's format, or hold more than data: refused in one sentence."""

import io
import os
import pickle
import re
import time
import zipfile
from pathlib import Path

import numpy
import pytest
import safetensors.torch
import torch

from bilateral.base.errors import CheckpointError
from bilateral.original.checkpoints import read_original
from bilateral.original.torch_files import is_torch_file

from .original_code import SparseResNet9, bilateral, save, unilateral


@pytest.fixture
def path(tmp_path):
    return tmp_path / "last.ckpt"


def changed(**changes):
    """The state of a small network without the tensors that are given as None, and with those given as shapes."""
    state = unilateral().state_dict()
    for name, shape in {name.replace("__", "."): shape for name, shape in changes.items()}.items():
        if shape is None:
            del state[name]
        else:
            state[name] = torch.zeros(shape)
    return state


NET_2 = "hemisphere__net__1__0__weight"


@pytest.mark.parametrize(
    "state, messages",
    [
        (changed(hemisphere__conv2__0__weight=None, **{NET_2: None}), ["left.conv2.conv.weight is missing"]),
        (changed(fine_head__1__bias=None), ["heads.fine.1.bias is missing"]),
        (changed(hemisphere__conv5__weight=(1,), extra=(2,)), ["hemisphere.conv5.weight, extra"]),
        (changed(fine_head__0__weight=(3,)), ["fine_head.0.weight"]),
        (changed(hemisphere__conv1__0__bias=(4,)), ["left.conv1.conv.bias has no place"]),
        (
            changed(hemisphere__conv2__0__weight=None, hemisphere__net__1__0__weight=(8, 5, 3, 3)),
            ["left.conv2.conv.weight is (8, 5, 3, 3) in the file and (8, 4, 3, 3) in the network"],
        ),
        (changed(coarse_head__1__weight=(20, 40)), ["(20, 40) in the file and (20, 32) in the network"]),
        (
            changed(hemisphere__net__0__0__weight=(4, 3, 3, 3)),
            ["hemisphere.conv1.0.weight", "hemisphere.net.0.0.weight"],
        ),
        (changed(hemisphere__net__0__0__weight=(1, 1)), ["hemisphere.net.0.0.weight", "values differ"]),
        ({"encoder.weight": torch.zeros(1)}, ["holds no hemisphere"]),
        ({}, ["holds no hemisphere"]),
        ({"hemisphere.conv1.0.weight": [1.0]}, ["hemisphere.conv1.0.weight", "not an ordinary tensor"]),
        ({"hemisphere.conv1.0.weight": torch.zeros(3).to_sparse()}, ["not an ordinary tensor"]),
        ({"model.hemisphere.a": torch.zeros(1), "hemisphere.a": torch.zeros(1)}, ["with and without `model.`"]),
    ],
)
def test_what_does_not_fit_is_named(path, state, messages):
    with pytest.raises(CheckpointError) as caught:
        read_original(save(path, state, prefix=""))
    assert all(message in str(caught.value) for message in [str(path), *messages]), caught.value


def test_half_a_bilateral_network_is_refused(path):
    state = {name: tensor for name, tensor in bilateral().state_dict().items() if not name.startswith("coarse_hemi")}
    with pytest.raises(CheckpointError, match=r"hemispheres\.right\.\S+ is missing"):
        read_original(save(path, state))


@pytest.mark.parametrize(
    "hparams, message",
    [
        ({"farch": "resnet18"}, "farch 'resnet18' cannot be read; those of resnet9, sparse_resnet9, vgg11 can"),
        ({"farch": ["resnet9"]}, "cannot be read"),
        ({"farch": "vgg11"}, "no place in a network of vgg11"),
        ({"dropout": "much"}, "dropout of the network is 'much'"),
    ],
)
def test_settings_that_make_no_network_are_named(path, hparams, message):
    with pytest.raises(CheckpointError, match=message):
        read_original(save(path, unilateral(), hparams))


def test_winners_out_of_range_are_named(path):
    hparams = {"farch": "sparse_resnet9", "fine_k": 30, "fine_per_k": 0.5}
    with pytest.raises(CheckpointError, match=r"left\.sparsity\.k of the network is 30"):
        read_original(save(path, unilateral(SparseResNet9), hparams))


class Hostile:
    def __init__(self, marker):
        self.marker = marker

    def __reduce__(self):
        return os.mkdir, (str(self.marker),)


@pytest.mark.parametrize("place", ["beside", "in the state", "in the config", "legacy", "pickle alone"])
def test_nothing_in_a_file_is_executed(path, tmp_path, place):
    hostile = Hostile(tmp_path / "executed")
    state = unilateral().state_dict()
    if place == "beside":
        torch.save({"state_dict": state, "callbacks": hostile}, path)
    elif place == "in the state":
        save(path, {**state, "hemisphere.conv1.0.weight": hostile})
    elif place == "in the config":
        save(path, state, {"farch": hostile})
    elif place == "legacy":
        torch.save({"state_dict": state, "callbacks": hostile}, path, _use_new_zipfile_serialization=False)
    else:
        path.write_bytes(pickle.dumps(hostile))
    with pytest.raises(CheckpointError) as caught:
        read_original(path)
    assert not hostile.marker.exists()
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 400
    assert "posix.mkdir" in str(caught.value) or place == "pickle alone" or os.name == "nt"
    if place == "beside":
        torch.load(path, weights_only=False)
        assert hostile.marker.exists(), "the file does no harm even where it is trusted"


def other_bytes(kind):
    buffer = io.BytesIO()
    if kind in ("cut off", "cut off, legacy"):
        save(buffer, unilateral(), _use_new_zipfile_serialization=kind == "cut off")
        return buffer.getvalue()[:-1000]
    if kind == "numpy":
        numpy.savez(buffer, state_dict=numpy.zeros(3))
    elif kind == "zip":
        with zipfile.ZipFile(buffer, "w") as archive:
            archive.writestr("state_dict", "text")
    elif kind == "list":
        torch.save([torch.zeros(2)], buffer)
    elif kind == "no state_dict":
        torch.save({"weight": torch.zeros(2)}, buffer)
    elif kind == "state_dict of another kind":
        torch.save({"state_dict": [1, 2]}, buffer)
    elif kind == "safetensors":
        return safetensors.torch.save({"hemisphere.conv1.0.weight": torch.zeros(2)})
    elif kind == "text":
        return b"hello, this is no checkpoint\n"
    return buffer.getvalue()


@pytest.mark.parametrize(
    "kind",
    ["empty", "text", "cut off", "cut off, legacy", "numpy", "zip", "list", "no state_dict",
     "state_dict of another kind", "safetensors"],
)  # fmt: skip
def test_other_files_are_refused_in_a_sentence(path, kind):
    path.write_bytes(other_bytes(kind))
    with pytest.raises(CheckpointError, match=r"damaged|holds no (state_dict|hemisphere)") as caught:
        read_original(path)
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize("place", ["missing.ckpt", "."])
def test_a_place_that_is_no_file_is_refused(tmp_path, place):
    with pytest.raises(CheckpointError, match="cannot read"):
        read_original(tmp_path / place)


@pytest.mark.parametrize(
    "kind, expected",
    [("list", True), ("cut off, legacy", True), ("safetensors", False), ("text", False), ("empty", False)],
)
def test_is_torch_file_tells_torch_files_from_others(tmp_path: Path, kind, expected):
    path = tmp_path / "file"
    path.write_bytes(other_bytes(kind))
    assert is_torch_file(path) is expected


def repacked(path, change):
    """Write a file of torch.save again, its members changed: `change` gets their contents by name, without folder."""
    with zipfile.ZipFile(path) as archive:
        members = {name.partition("/")[2]: archive.read(name) for name in archive.namelist()}
    members = change(members) or members
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(f"archive/{name}", content)


def pickled(*instructions: bytes) -> bytes:
    return b"".join((b"\x80\x02", *instructions, b"."))


def text(value: str) -> bytes:
    return b"X" + len(value).to_bytes(4, "little") + value.encode()


def resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


class Call:
    """What pickles as a call of a function."""

    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


CONV = "hemisphere.conv1.0.weight"
HUGE = 10**10


def packed(path):
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content + bytes(2**28) if name.endswith("/data/0") else content)


def deep(path):
    """A dict whose key is a tuple in a tuple in a tuple ...: to hash it takes as deep a recursion."""
    key = b")" + b"\x85" * 1_000_000
    repacked(path, lambda members: members | {"data.pkl": pickled(b"}", key, b"N", b"s")})


def laughing(path):
    """A setting that stands for 2**40 values, as lists of the same two lists."""
    lists = b"]q\x01" + b"".join(b"](h\x01h\x01eq\x01" for _ in range(40))
    hparams = b"}" + text("farch") + lists + b"h\x01s"
    state = b"}" + text(CONV) + b"N" + b"s"
    config = b"}" + text("config") + b"}" + text("hparams") + hparams + b"s" + b"s"
    content = b"}" + text("state_dict") + state + b"s" + text("hyper_parameters") + config + b"s"
    repacked(path, lambda members: members | {"data.pkl": pickled(content)})


def legacy(path, change):
    save(path, unilateral(), _use_new_zipfile_serialization=False)
    path.write_bytes(change(path.read_bytes()))


def longest_directory(path):
    with zipfile.ZipFile(path, "w") as archive:
        for number in range(60_000):
            archive.writestr(f"archive/data/{number:060}", b"")


GREEDY = {
    "packed members": lambda path: (save(path, unilateral()), packed(path)),
    "a number seen everywhere": lambda path: save(path, {CONV: torch.zeros(1).expand(HUGE)}),
    "seen everywhere where it fits": lambda path: save(
        path, unilateral().state_dict() | {"fine_head.1.weight": torch.zeros(1).expand(10**8, 32)}
    ),
    "a second spelling seen everywhere": lambda path: save(
        path, unilateral().state_dict() | {"hemisphere.net.0.0.weight": torch.zeros(1).expand(10**9)}
    ),
    "a long storage": lambda path: legacy(
        path, lambda content: re.sub(rb"K.Nt", lambda _: b"\x8a\x06\0\0\0\0\0\x10Nt", content, flags=re.DOTALL)
    ),
    "a long storage behind": lambda path: legacy(
        path, lambda content: content.replace((108).to_bytes(8, "little"), (2**40).to_bytes(8, "little"))
    ),
    "sparse": lambda path: save(path, {CONV: torch.sparse_coo_tensor(torch.zeros(1, 1), [1.0], (HUGE,))}),
    "quantized": lambda path: save(path, {CONV: torch.quantize_per_tensor(torch.zeros(9), 1, 0, torch.qint8)}),
    "meta": lambda path: save(path, {CONV: torch.empty(HUGE, device="meta")}),
    "bytearray": lambda path: save(path, {CONV: Call(bytearray, HUGE)}),
    "bytes of torch": lambda path: save(path, {CONV: Call(torch.empty, HUGE)}),
    "deep": lambda path: (save(path, unilateral()), deep(path)),
    "laughing": lambda path: (save(path, unilateral()), laughing(path)),
    "a far place in the memo": lambda path: (
        save(path, unilateral()),
        repacked(path, lambda members: members | {"data.pkl": pickled(b"}r\xff\xff\xff\x7f")}),
    ),
    "a longer pickle": lambda path: (
        save(path, unilateral()),
        repacked(path, lambda members: members | {"data.pkl": pickled(b"(" + b"}" * 10**7 + b"l")}),
    ),
    "a long directory": longest_directory,
    "a pipe": os.mkfifo,
}


@pytest.mark.parametrize("kind", GREEDY)
def test_no_file_takes_more_memory_than_it_has_bytes(path, kind):
    GREEDY[kind](path)
    before, started = resident(), time.perf_counter()
    with pytest.raises(CheckpointError) as caught:
        read_original(path)
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 500
    assert resident() - before < 2**28 and time.perf_counter() - started < 5


def test_thousands_of_tensors_in_one_storage_are_refused(path):
    everything = torch.zeros(32 * 32 * 3 * 3)
    state = {name: everything[: t.numel()].view(t.shape) for name, t in unilateral().state_dict().items()}
    floats = {name: t for name, t in state.items() if "num_batches" not in name}
    counts = {name: torch.zeros((), dtype=torch.int64) for name in state if name not in floats}
    with pytest.raises(CheckpointError, match="its tensors have"):
        read_original(save(path, floats | counts))


@pytest.mark.parametrize("place", ["data/3", "data.pkl"])
def test_a_flipped_bit_is_damage(path, place):
    save(path, unilateral())
    content = bytearray(path.read_bytes())
    with zipfile.ZipFile(path) as archive:
        info = next(each for each in archive.infolist() if each.filename.endswith(place))
        stored = archive.read(info)
    content[content.index(stored, info.header_offset) + len(stored) // 2] ^= 4
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match=re.escape(str(path))):
        read_original(path)
