"""Files in the original's format: the network read from one gives what the original network gave."""

from collections import Counter

import pytest
import torch

from bilateral.models.build import build_network, load_state
from bilateral.models.config import SparsityConfig
from bilateral.original.checkpoints import read_original

from .original_code import VGG11, WIDTH, FlatResNet9, Network, ResNet9, SparseResNet9, bilateral, save, unilateral

TEXT_ORDER = {count: sorted(range(count), key=str) for count in (20, 100)}


def build(read):
    network = build_network(read.config, read.fine_count, read.coarse_count, seed=99)
    load_state(network, read.state, "the state")
    return network.eval()


@pytest.fixture
def path(tmp_path):
    return tmp_path / "epoch=3-val_acc=0.689.ckpt"


@pytest.fixture(scope="module")
def images():
    return torch.randn(4, 3, 32, 32, generator=torch.Generator().manual_seed(1))


def assert_same_outputs(read, original, images):
    with torch.no_grad():
        ours, theirs = build(read)(images).logits, original(images)
    assert ours.keys() == theirs.keys()
    for level, logits in theirs.items():
        assert logits.std() > 1e-3
        torch.testing.assert_close(ours[level], logits, rtol=1e-6, atol=1e-6 * float(logits.abs().max()))


def test_full_width_resnet9_under_both_heads(path, images):
    original = unilateral(width=1)
    read = read_original(save(path, original, {"farch": "resnet9", "dropout": 0.5, "fine_k": 0.0}))
    assert_same_outputs(read, original, images)
    left = read.config.left
    assert (read.config.mode_hemis, read.config.mode_heads, read.config.dropout) == ("unilateral", "both", 0.5)
    assert (left.arch, left.level, left.width, left.freeze) == ("resnet9", "both", 1, False)
    assert left.batch_norm_momentum == "original" and left.sparsity is None
    assert (read.fine_count, read.coarse_count, read.notes) == (100, 20, ())
    assert build(read).hemispheres["left"].conv1.norm.momentum == 0.9


@pytest.mark.parametrize("level", ["fine", "coarse"])
def test_rows_of_a_single_head_follow_label_ids(path, images, level):
    original = unilateral(levels=[level])
    read = read_original(save(path, original, {"farch": "resnet9"}))
    with torch.no_grad():
        ours, theirs = build(read)(images).logits, original(images)[level]
    assert list(ours) == [level] and read.config.left.level == level
    for position, label in enumerate(TEXT_ORDER[theirs.shape[1]]):
        torch.testing.assert_close(ours[level][:, label], theirs[:, position], rtol=1e-6, atol=1e-6)
    assert (read.fine_count, read.coarse_count) == (100, 20)
    assert [level in note and "sorted as text" in note for note in read.notes] == [True]


def only(*beginnings):
    return lambda name: name if name.removeprefix("hemisphere.").startswith(beginnings) or "_head" in name else None


SPELLINGS = {
    "both": lambda name: name,
    "stages": only("conv1", "conv2", "conv3", "conv4", "res"),
    "net": only("net."),
    "conv": lambda name: (kept := only("net.")(name)) and kept.replace("net.", "conv."),
}


@pytest.mark.parametrize("prefix", ["model.", ""])
@pytest.mark.parametrize("spelling", [*SPELLINGS, "flat"])
def test_every_spelling_of_resnet9(path, images, spelling, prefix):
    original = unilateral(FlatResNet9 if spelling == "flat" else ResNet9)
    rename = SPELLINGS.get(spelling, SPELLINGS["both"])
    state = {rename(name): tensor for name, tensor in original.state_dict().items() if rename(name)}
    read = read_original(save(path, state, prefix=prefix))
    assert_same_outputs(read, original, images)
    assert read.config.left.arch == "resnet9" and read.config.dropout == 0.6
    tensors = list(read.state.values())
    assert len({tensor.untyped_storage().data_ptr() for tensor in tensors}) == len(tensors)


def test_what_was_read_does_not_change_with_the_file(path, images):
    original = unilateral()
    read = read_original(save(path, original))
    size = path.stat().st_size
    with path.open("r+b") as file:
        file.write(bytes(size))
    assert_same_outputs(read, original, images)


def test_older_files_without_the_zip_format(path, images):
    original = unilateral()
    read = read_original(save(path, original, {}, _use_new_zipfile_serialization=False))
    assert_same_outputs(read, original, images)


def test_specialised_hemispheres_are_put_in_their_places(path, images):
    original = bilateral()
    hparams = {
        "farch": "resnet9",
        "carch": "vgg11",
        "model_path_fine": "left.ckpt",
        "model_path_coarse": "right.ckpt",
    }
    read = read_original(save(path, original, {**hparams, "ffreeze": True, "cfreeze": False}))
    assert_same_outputs(read, original, images)
    with torch.no_grad():
        features = build(read)(images).features
        torch.testing.assert_close(features["left"], original.coarse_hemi(images))
        torch.testing.assert_close(features["right"], original.fine_hemi(images))
    assert (read.config.left.level, read.config.right.level) == ("fine", "coarse")
    # ffreeze freezes the file's coarse_hemi, which is left here.
    assert (read.config.left.freeze, read.config.right.freeze) == (True, False)
    assert read.config.left.checkpoint is None and read.config.right.arch == "resnet9"
    assert len(read.notes) == 1 and "swapped in the file" in read.notes[0]


def test_swapped_hemispheres_may_differ_in_width(path, images):
    original = Network({"fine_hemi": ResNet9(), "coarse_hemi": ResNet9(width=1 / 8)})
    read = read_original(save(path, original, {"model_path_coarse": "right.ckpt"}))
    assert_same_outputs(read, original, images)
    assert (read.config.left.width, read.config.right.width) == (1 / 8, 1 / 16)


@pytest.mark.parametrize("paths", [{}, {"model_path_fine": None, "model_path_coarse": ""}])
def test_hemispheres_trained_together_stay_where_they_are(path, images, paths):
    original = bilateral()
    read = read_original(save(path, original, {"farch": "resnet9", "ffreeze": True, "cfreeze": False, **paths}))
    assert_same_outputs(read, original, images)
    with torch.no_grad():
        torch.testing.assert_close(build(read)(images).features["left"], original.fine_hemi(images))
    assert (read.config.left.freeze, read.config.right.freeze) == (False, True)
    assert len(read.notes) == 1 and "ffreeze and cfreeze" in read.notes[0]


def test_bilateral_file_without_a_config_says_what_is_not_known(path, images):
    original = bilateral()
    read = read_original(save(path, original))
    assert_same_outputs(read, original, images)
    assert len(read.notes) == 1 and "does not say" in read.notes[0]


def test_sparse_resnet9_with_the_original_winners(path, images):
    original = unilateral(SparseResNet9, settings=(0.3, 0.5))
    hparams = {"farch": "sparse_resnet9", "fine_k": 0.3, "fine_per_k": 0.5, "ffreeze": True}
    read = read_original(save(path, original, hparams))
    assert_same_outputs(read, original, images)
    assert read.config.left.sparsity == SparsityConfig(k=0.3, per_k=0.5, variant="original")
    assert not read.config.left.freeze, "the original never freezes a single hemisphere"


def test_winners_of_swapped_hemispheres_go_with_their_weights(path, images):
    original = Network({"fine_hemi": SparseResNet9(settings=(0.3, 0.5)), "coarse_hemi": SparseResNet9()})
    hparams = {"farch": "sparse_resnet9", "fine_k": 0.3, "fine_per_k": 0.5, "coarse_k": 0.0, "coarse_per_k": 0.2}
    read = read_original(save(path, original, {**hparams, "model_path_fine": "left.ckpt"}))
    assert_same_outputs(read, original, images)
    assert read.config.left.sparsity is None and read.config.right.sparsity is not None


@pytest.mark.parametrize("hemisphere, arch", [(SparseResNet9, "sparse_resnet9"), (VGG11, "vgg11")])
def test_the_architecture_follows_from_the_names(path, images, hemisphere, arch):
    original = unilateral(hemisphere)
    read = read_original(save(path, original))
    assert_same_outputs(read, original, images)
    assert read.config.left.arch == arch and read.config.left.width == WIDTH
    assert any("k-winners" in note for note in read.notes) == (arch == "sparse_resnet9")


def test_other_class_counts(path, images):
    original = Network({"hemisphere": ResNet9()}, counts=(32, 8))
    read = read_original(save(path, original))
    assert (read.fine_count, read.coarse_count) == (32, 8)
    assert_same_outputs(read, original, images)


def test_a_config_without_dropout_had_none(path):
    assert read_original(save(path, unilateral(), {"farch": "resnet9"})).config.dropout == 0


@pytest.mark.parametrize(
    "prefix", ["module.", "_orig_mod.", "model.module.", "module.model.", "model._orig_mod.", "_orig_mod.module.model."]
)
def test_names_that_wrappers_of_networks_lengthen(path, images, prefix):
    original = unilateral()
    read = read_original(save(path, original, prefix=prefix))
    assert_same_outputs(read, original, images)


def test_a_compiled_hemisphere(path, images):
    original = unilateral()
    state = {name.replace("hemisphere.", "hemisphere._orig_mod."): t for name, t in original.state_dict().items()}
    assert_same_outputs(read_original(save(path, state)), original, images)


@pytest.mark.parametrize("zipped", [True, False])
def test_a_state_alone(path, images, zipped):
    original = unilateral()
    torch.save(original.state_dict(), path, _use_new_zipfile_serialization=zipped)
    assert_same_outputs(read_original(path), original, images)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float16, torch.bfloat16])
def test_other_precisions_become_float32(path, images, dtype):
    original = unilateral()
    read = read_original(save(path, original.to(dtype)))
    assert {tensor.dtype for tensor in build(read).state_dict().values()} == {torch.float32, torch.int64}


def test_other_layouts_and_views_are_read_as_they_are(path, images):
    original = unilateral()
    state = original.state_dict()
    bias = torch.zeros(300)
    bias[100:200] = state["fine_head.1.bias"]
    views = {name: t.contiguous(memory_format=torch.channels_last) for name, t in state.items() if t.ndim == 4}
    views |= {"fine_head.1.bias": bias[100:200], "coarse_head.1.weight": state["coarse_head.1.weight"].T.contiguous().T}
    assert_same_outputs(read_original(save(path, state | views)), original, images)
    parameters = {name: torch.nn.Parameter(t, requires_grad=t.is_floating_point()) for name, t in state.items()}
    assert_same_outputs(read_original(save(path, parameters)), original, images)


def test_what_is_beside_the_state_is_no_matter(path, images):
    original = unilateral()
    content = {"state_dict": {f"model.{name}": t for name, t in original.state_dict().items()}}
    content |= {"device": torch.device("cpu"), "dtype": torch.float16, "size": torch.Size([1, 2]), "bytes": b"abc"}
    content |= {"counts": Counter("abc"), "random": torch.get_rng_state()}
    content |= {"flags": torch.ones(3, dtype=torch.bool), "sparse": torch.eye(3).to_sparse(), 7: (1, [2.5, None, True])}
    torch.save(content, path)
    assert_same_outputs(read_original(path), original, images)


def test_files_without_checksums(path, images):
    original = unilateral()
    before = torch.serialization.get_crc32_options()
    torch.serialization.set_crc32_options(False)
    try:
        save(path, original)
    finally:
        torch.serialization.set_crc32_options(before)
    assert_same_outputs(read_original(path), original, images)
