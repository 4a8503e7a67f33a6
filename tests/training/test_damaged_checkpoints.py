"""Checkpoint files whose header or tensors are not what they were, or are of older versions."""

import json
import random
import time

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from bilateral import load
from bilateral.base.errors import CheckpointError
from bilateral.training import checkpoint

from .test_checkpoint import saved


def resaved(source, target, change=None, tensors=None):
    """Write a checkpoint again with another header or other tensors, without a digest, as older versions did."""
    with safe_open(source, "pt") as file:
        header = json.loads(file.metadata()["bilateral"])
        own = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    del header["sha256"]
    if change is not None:
        change(header)
    save_file(own if tensors is None else tensors(own), target, {"bilateral": json.dumps(header)})


def setting(path, value):
    """A change of a header that sets the value at a dotted path, from the description on."""

    def change(header):
        *places, last = path.split(".")
        place = header["description"]
        for key in places:
            place = place[key]
        place[last] = value

    return change


LIES = [
    ("fine_count", "x"),
    ("fine_count", "3"),
    ("fine_count", 3.0),
    ("fine_count", True),
    ("fine_count", -1),
    ("fine_count", 10**12),
    ("fine_count", 4),
    ("coarse_count", 3),
    ("image_size", [32]),
    ("image_size", [0, 32]),
    ("image_size", [1, 1]),
    ("image_size", [10**10, 10**10]),
    ("normalise", {"mean": "a"}),
    ("normalise", {"mean": [], "std": []}),
    ("normalise", {"mean": [0.5, 0.5], "std": [0.5, 0.5]}),
    ("normalise.mean", [0.5, 0.5]),
    ("normalise.mean", [0.5, float("nan"), 0.5]),
    ("normalise.std", [0.5, 0.0, 0.5]),
    ("hierarchy", {}),
    ("hierarchy.coarse_of_fine", [0, 0, 7]),
    ("hierarchy.coarse_of_fine", [0, 0, 0]),
    ("hierarchy.fine_names", ["a", "b"]),
    ("hierarchy", {"fine_names": ["a"], "coarse_names": ["x"], "coarse_of_fine": [0]}),
    ("model", None),
    ("model", {}),
    ("model.mode_out", "feature"),
    ("model.mode_heads", "fine"),
    ("model.left.width", 16),
    ("model.left.width", float("nan")),
    ("model.left.arch", "resnet7"),
    ("model.left.arch", "vgg11"),
    ("model.left.sparsity", {"k": 0.5, "per_k": 0.5}),
    ("model", {"mode_hemis": "ensemble", "members": ["a", "b"]}),
    ("more", 1),
    ("notes", [1]),
]


@pytest.mark.parametrize(("key", "value"), LIES, ids=str)
def test_a_header_that_lies_is_a_sentence(tmp_path, key, value):
    saved(tmp_path / "a.safetensors")
    resaved(tmp_path / "a.safetensors", tmp_path / "b.safetensors", setting(key, value))
    with pytest.raises(CheckpointError, match=r"b\.safetensors") as caught:
        load(tmp_path / "b.safetensors")
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 900


def test_a_damaged_header_names_the_key(tmp_path):
    saved(tmp_path / "a.safetensors")
    resaved(tmp_path / "a.safetensors", tmp_path / "b.safetensors", setting("fine_count", -1))
    with pytest.raises(CheckpointError, match=r"b\.safetensors is damaged.*description\.fine_count: Input should be"):
        load(tmp_path / "b.safetensors")


CONV = "network.hemispheres.left.conv1.conv.weight"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda own: own | {"optimizer.0": torch.zeros(1)}, "'optimizer.0' has no place"),
        (lambda own: own | {"optimizer.x.y": torch.zeros(1)}, "no place"),
        (lambda own: own | {"network.": torch.zeros(1)}, "no place"),
        (lambda own: own | {"": torch.zeros(1)}, "no place"),
        (lambda own: own | {f"network.{n}": torch.zeros(1) for n in range(5000)}, "4996 more"),
        (lambda own: own | {CONV: own[CONV].to(torch.complex64)}, "of the kind C64"),
        (lambda own: own | {CONV: own[CONV].to(torch.float8_e5m2)}, "of the kind F8_E5M2"),
        (lambda own: own | {CONV: own[CONV].long()}, "is torch.int64 in the file and torch.float32"),
        (lambda own: own | {CONV: own[CONV] * torch.nan}, r"NaN or infinity in hemispheres\.left\.conv1\.conv\.weight"),
        (lambda own: own | {CONV: own[CONV].double() * 1e300}, "that are not finite as torch.float32"),
        (lambda own: own | {CONV: own[CONV][:2].contiguous()}, r"\(2, 3, 3, 3\) in the file"),
        (lambda own: {}, "is missing in the file"),
    ],
)
def test_tensors_that_networks_do_not_have_are_named(tmp_path, change, message):
    saved(tmp_path / "a.safetensors")
    resaved(tmp_path / "a.safetensors", tmp_path / "b.safetensors", tensors=change)
    with pytest.raises(CheckpointError, match=message) as caught:
        load(tmp_path / "b.safetensors")
    assert str(tmp_path / "b.safetensors") in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16, torch.float16])
def test_other_precisions_become_the_networks(tmp_path, dtype):
    network, _ = saved(tmp_path / "a.safetensors")
    resaved(
        tmp_path / "a.safetensors",
        tmp_path / "b.safetensors",
        tensors=lambda own: {name: v.to(dtype) if v.is_floating_point() else v for name, v in own.items()},
    )
    images = torch.randn(2, 3, 32, 32)
    fine = load(tmp_path / "b.safetensors")(images).fine
    assert fine.dtype == torch.float32
    torch.testing.assert_close(fine, network(images).fine, rtol=0, atol=0 if dtype == torch.float64 else 0.1)


def test_files_of_older_versions_which_have_no_digest_are_read(tmp_path):
    network, description = saved(tmp_path / "a.safetensors")
    resaved(tmp_path / "a.safetensors", tmp_path / "b.safetensors")
    images = torch.randn(2, 3, 32, 32)
    assert torch.equal(load(tmp_path / "b.safetensors")(images).fine, network(images).fine)
    assert checkpoint.read(tmp_path / "b.safetensors").description == description


def test_a_flipped_bit_anywhere_is_damage(tmp_path):
    saved(tmp_path / "a.safetensors")
    content = (tmp_path / "a.safetensors").read_bytes()
    header = 8 + int.from_bytes(content[:8], "little")
    chances = random.Random(1)
    places = [*range(8), *chances.sample(range(8, header), 60), *chances.sample(range(header, len(content)), 20)]
    places += [content.index(word) + 1 for word in (b"sha256", b"bilateral", b"__metadata__", b"training")]
    for place in places:
        damaged = bytearray(content)
        damaged[place] ^= 1 << chances.randrange(8)
        (tmp_path / "b.safetensors").write_bytes(damaged)
        with pytest.raises(CheckpointError, match=r"b\.safetensors is damaged"):
            load(tmp_path / "b.safetensors")


def test_a_header_of_a_million_names_takes_no_time(tmp_path):
    saved(tmp_path / "a.safetensors")
    names = [str(n) for n in range(200_000)]
    many = {"fine_names": names, "coarse_names": names, "coarse_of_fine": [*range(200_000)]}

    def change(header):
        header["description"] |= {"hierarchy": many, "fine_count": 200_000, "coarse_count": 200_000}

    resaved(tmp_path / "a.safetensors", tmp_path / "b.safetensors", change)
    started = time.perf_counter()
    with pytest.raises(CheckpointError, match="does not fit"):
        load(tmp_path / "b.safetensors")
    assert time.perf_counter() - started < 10
