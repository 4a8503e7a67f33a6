"""Files that are no network in the original's format, or hold more than data: refused in one sentence."""

import io
import os
import pickle
import zipfile
from pathlib import Path

import numpy
import pytest
import safetensors.torch
import torch

from bilateral.base.errors import CheckpointError
from bilateral.models.original_checkpoints import is_original, read_original

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
    with pytest.raises(CheckpointError, match=r"damaged|holds no state_dict") as caught:
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
def test_is_original_tells_torch_files_from_others(tmp_path: Path, kind, expected):
    path = tmp_path / "file"
    path.write_bytes(other_bytes(kind))
    assert is_original(path) is expected
