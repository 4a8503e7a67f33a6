"""Checkpoints that others may have made, by accident or with intent: a network, or one sentence, and nothing else."""

import io
import json
import pickle
import zipfile
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
import torch
import torch._dynamo  # PyTorch imports it at some first calls, and it makes a folder of its own
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors

from bilateral.base.text import shown
from bilateral.data.augment import Normalisation
from bilateral.data.hierarchy import LabelHierarchy
from bilateral.models.build import build_network
from bilateral.models.config import ModelConfig
from bilateral.training import checkpoint
from bilateral.training.checkpoint import Description, TrainingState
from doors import many, passes
from original import original_code


@cache
def ours() -> bytes:
    config = ModelConfig(mode_hemis="unilateral", left={"arch": "resnet9", "width": 1 / 32, "freeze": False})
    network = build_network(config, 3, 2)
    hierarchy = LabelHierarchy(("a", "b", "c"), ("x", "y"), (0, 0, 1))
    description = Description(config, 3, 2, hierarchy, Normalisation((0.5,) * 3, (0.2,) * 3), (8, 8))
    momentum = {n: {"momentum_buffer": torch.ones_like(p)} for n, p in enumerate(network.parameters())}
    training = TrainingState(2, {"epoch=001-val_acc=0.500.safetensors": 0.5}, 1)
    with TemporaryDirectory() as folder:
        checkpoint.save(Path(folder) / "a", network, description, momentum, training)
        return (Path(folder) / "a").read_bytes()


@cache
def originals(zipped: bool = True) -> bytes:
    buffer = io.BytesIO()
    original_code.save(
        buffer,
        original_code.unilateral(width=1 / 64),
        {"farch": "resnet9", "dropout": 0.5},
        _use_new_zipfile_serialization=zipped,
    )
    return buffer.getvalue()


def try_it(content: bytes) -> None:
    """Read a file and run its network, which may be refused in one sentence."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "strange"
        path.write_bytes(content)

        def run() -> None:
            read = checkpoint.read(path)
            network = checkpoint.build(read, path)
            height, width = read.description.image_size
            if height * width <= 64 * 64:
                assert network(network.normalise(torch.zeros(1, 3, height, width, dtype=torch.uint8))).logits

        sentence = passes(run, Path(folder))
        assert sentence == shown(sentence) and len(sentence) < 1500 and (not sentence or str(path) in sentence)


NUMBERS = st.one_of(
    st.sampled_from([0, -1, 1, 2, 3, 2**31, 2**63, 10**30, 0.0, -0.5, 1e-320, 1e308, float("nan"), float("inf")]),
    st.integers(),
    st.floats(),
)
WORDS = st.one_of(
    st.sampled_from(
        ["", "a/../../b", "resnet9", "vgg11", "resnet152", "os:system", "both", "ensemble", "feature", "\x1b[2J"]
    ),
    st.text(max_size=8),
)
VALUES = st.recursive(
    st.one_of(st.none(), st.booleans(), NUMBERS, WORDS),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(WORDS, inner, max_size=3)),
    max_leaves=5,
)


def places(value: object, path: tuple = ()) -> list[tuple]:
    """Every path to a value within JSON."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(each for key, part in inner for each in places(part, (*path, key)))]


def edited(draw: st.DrawFn, value: object) -> object:
    """JSON with another value at one place, with one left out, or under another name."""
    *above, last = draw(st.sampled_from(places(value)[1:]))
    holder = value
    for key in above:
        holder = holder[key]
    kind = draw(st.sampled_from(["other", "gone", "renamed"]))
    old = holder.pop(last)
    if isinstance(holder, list):
        holder.insert(last, draw(VALUES))
    elif kind != "gone":
        holder[draw(WORDS) if kind == "renamed" else last] = old if kind == "renamed" else draw(VALUES)
    return value


def scratched(draw: st.DrawFn, content: bytes, most: int = 4) -> bytes:
    """Bytes, some of them changed, left out or put in."""
    damaged = bytearray(content)
    for _ in range(draw(st.integers(1, most))):
        at = draw(st.integers(0, max(0, len(damaged) - 1)))
        kind = draw(st.sampled_from(["flip", "flip", "set", "cut", "insert", "end"]))
        if kind == "flip" and damaged:
            damaged[at] ^= 1 << draw(st.integers(0, 7))
        elif kind == "set" and damaged:
            damaged[at] = draw(st.sampled_from([0, 0xFF, 0x7F, ord("R"), ord("b"), ord("c"), ord("."), 0x8B]))
        elif kind == "cut":
            del damaged[at : at + draw(st.integers(1, 40))]
        elif kind == "insert":
            damaged[at:at] = draw(st.binary(max_size=12))
        else:
            del damaged[at:]
    return bytes(damaged)


@many
@given(st.data())
def test_ours_with_another_header(data):
    length = int.from_bytes(ours()[:8], "little")
    outer = json.loads(ours()[8 : 8 + length])
    inner = json.loads(outer["__metadata__"]["bilateral"])
    del inner["sha256"]
    for _ in range(data.draw(st.integers(1, 2))):
        if data.draw(st.integers(0, 3)):
            inner = edited(data.draw, inner)
        else:
            outer = edited(data.draw, outer)
    if isinstance(outer.get("__metadata__"), dict):
        outer["__metadata__"]["bilateral"] = json.dumps(inner)
    text = json.dumps(outer).encode()
    try_it(len(text).to_bytes(8, "little") + text + ours()[8 + length :])


@many
@given(st.data())
def test_ours_with_other_bytes(data):
    try_it(scratched(data.draw, ours()))


DTYPES = st.sampled_from(
    [torch.float64, torch.float16, torch.bfloat16, torch.int64, torch.bool, torch.complex64, torch.uint8]
)


def odd_tensor(draw: st.DrawFn, tensor: torch.Tensor) -> torch.Tensor:
    kind = draw(st.sampled_from(["dtype", "shape", "huge", "infinite", "turned", "scalar", "empty"]))
    if kind == "dtype":
        return tensor.to(draw(DTYPES))
    if kind == "shape":
        return torch.ones(draw(st.lists(st.integers(0, 9), max_size=5)))
    if kind == "infinite":
        return torch.full_like(tensor, draw(st.sampled_from([127, 3e38])) if tensor.ndim else 1) * 1e30
    if kind == "turned":
        return tensor.flatten().flip(0).view(tensor.shape).T.contiguous() if tensor.ndim == 2 else tensor.clone()
    return {"huge": torch.ones(200_000), "scalar": torch.tensor(1.0), "empty": torch.empty(0)}[kind]


@many
@given(st.data())
def test_ours_with_other_tensors(data):
    length = int.from_bytes(ours()[:8], "little")
    inner = json.loads(json.loads(ours()[8 : 8 + length])["__metadata__"]["bilateral"])
    del inner["sha256"]
    tensors = load_tensors(ours())
    for _ in range(data.draw(st.integers(1, 3))):
        name = data.draw(st.sampled_from(sorted(tensors)))
        other = data.draw(
            st.one_of(st.just(name), WORDS, WORDS.map("network.{}".format), WORDS.map("optimizer.{}".format))
        )
        tensors[other] = odd_tensor(data.draw, tensors.pop(name)).contiguous().clone()
    try_it(save_tensors(tensors, {"bilateral": json.dumps(inner)}))


@many
@given(st.data(), st.booleans())
def test_originals_with_other_bytes(data, zipped):
    try_it(scratched(data.draw, originals(zipped)))


@many
@given(st.data())
def test_originals_with_another_pickle(data):
    with zipfile.ZipFile(io.BytesIO(originals())) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    target = next(name for name in members if name.endswith("data.pkl"))
    if data.draw(st.integers(0, 3)):
        members[target] = scratched(data.draw, members[target], most=8)
    else:
        members[target] = pickle.dumps(data.draw(VALUES), data.draw(st.integers(0, 5)))
    if data.draw(st.booleans()):
        name = data.draw(st.sampled_from(sorted(members)))
        members[data.draw(st.one_of(st.just(name), WORDS.map("archive/{}".format)))] = members.pop(name)
    buffer = io.BytesIO()
    packed = data.draw(st.sampled_from([zipfile.ZIP_STORED] * 4 + [zipfile.ZIP_DEFLATED]))
    with zipfile.ZipFile(buffer, "w", packed) as archive:
        for name, content in members.items():
            archive.writestr(name.replace("\0", "0"), content)
    try_it(buffer.getvalue())


@many
@given(st.data(), st.booleans())
def test_originals_with_other_tensors(data, zipped):
    state = original_code.unilateral(width=1 / 64).state_dict()
    for _ in range(data.draw(st.integers(1, 3))):
        # One that was stretched before would be written out by what follows.
        name = data.draw(st.sampled_from(sorted(name for name, tensor in state.items() if tensor.numel() < 10**6)))
        stretched = data.draw(st.booleans())
        tensor = odd_tensor(data.draw, state.pop(name))
        other = data.draw(st.one_of(st.just(name), WORDS, WORDS.map("hemisphere.{}".format)))
        if stretched and tensor.numel():
            tensor = tensor.flatten()[:1].expand(data.draw(st.integers(1, 10**12)))
        state[other] = tensor
    hparams = data.draw(st.one_of(st.none(), st.dictionaries(st.sampled_from(["farch", "dropout", "fine_k"]), VALUES)))
    buffer = io.BytesIO()
    original_code.save(buffer, state, hparams, _use_new_zipfile_serialization=zipped)
    try_it(buffer.getvalue())


@pytest.mark.parametrize("content", [ours(), originals(), originals(False)])
def test_what_is_changed_here_is_good_as_it_is(content, tmp_path):
    (tmp_path / "good").write_bytes(content)
    assert checkpoint.load(tmp_path / "good")(torch.zeros(1, 3, 32, 32)).logits
