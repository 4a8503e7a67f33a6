from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from bilateral.base.errors import DataError
from bilateral.data.hierarchy import LabelHierarchy
from bilateral.data.images import HierarchicalDataset, HierarchicalImages, channel_statistics

hierarchy = LabelHierarchy(("shark", "oak", "trout"), ("fish", "tree"), (0, 1, 0))


def make_images(fine: list[int], seed: int = 0) -> HierarchicalImages:
    generator = torch.Generator().manual_seed(seed)
    pixels = torch.randint(256, (len(fine), 3, 4, 4), dtype=torch.uint8, generator=generator)
    labels = torch.tensor(fine)
    return HierarchicalImages(pixels, labels, hierarchy.roll_up(labels))


train, test = make_images([0, 1, 2, 1]), make_images([2, 1, 0], seed=1)
dataset = HierarchicalDataset("garden", hierarchy, train, test, (0.5,) * 3, (0.2,) * 3)


def test_select_keeps_images_and_labels_together():
    selected = train.select(torch.tensor([3, 0]))
    assert torch.equal(selected.images, train.images[[3, 0]])
    assert (selected.fine.tolist(), selected.coarse.tolist(), len(selected)) == ([1, 0], [1, 0], 2)


def test_to_moves_every_tensor():
    moved = train.to(torch.device("meta"))
    assert {moved.images.device.type, moved.fine.device.type, moved.coarse.device.type} == {"meta"}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"images": train.images.float()}, "must be uint8"),
        ({"images": train.images[0]}, "must be uint8"),
        ({"images": train.images.numpy()}, r"images must be uint8 \(N, C, H, W\), not ndarray"),
        ({"fine": train.fine.int()}, r"fine labels must be int64 \(N,\), not torch\.int32 \(4,\)"),
        ({"fine": train.fine.double()}, "fine labels must be int64"),
        ({"coarse": train.coarse.tolist()}, "coarse labels must be int64 .*, not list"),
        ({"coarse": train.coarse[:, None]}, r"coarse labels must be int64 .*, not torch\.int64 \(4, 1\)"),
        ({"images": train.images[:3]}, "3 images come with 4 fine and 4 coarse labels"),
        ({"fine": train.fine[:3]}, "4 images come with 3 fine and 4 coarse labels"),
        ({"coarse": train.coarse[:3]}, "4 images come with 4 fine and 3 coarse labels"),
    ],
)
def test_images_and_labels_that_do_not_fit(change, message):
    with pytest.raises(DataError, match=message):
        replace(train, **change)


def relabelled(fine: list[int], coarse: list[int]) -> HierarchicalImages:
    return replace(train, fine=torch.tensor(fine), coarse=torch.tensor(coarse))


@pytest.mark.parametrize("split", ["train", "validation", "test"])
@pytest.mark.parametrize(
    ("fine", "coarse", "message"),
    [
        ([0, 1, 2, 3], [0, 1, 0, 0], r"fine label 3 is outside the hierarchy \(0 to 2\)"),
        ([0, 1, 2, -1], [0, 1, 0, 0], "fine label -1 is outside"),
        ([0, 1, 2, 1], [0, 1, 0, 2], r"coarse label 2 is outside the hierarchy \(0 to 1\)"),
        ([0, 1, 2, 1], [0, 1, 0, 0], "image 3 has fine label 'oak' and coarse label 'fish', which do not belong"),
        ([0, 1, 0, 1], [0, 1, 0, 1], "class 'trout' has no image"),
    ],
)
def test_labels_that_do_not_fit_the_hierarchy(split, fine, coarse, message):
    with pytest.raises(DataError, match=f"garden, {split}: {message}"):
        replace(dataset, **{split: relabelled(fine, coarse)})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"name": 5}, "needs a name"),
        ({"hierarchy": None}, "LabelHierarchy"),
        ({"train": None}, "train: it must be HierarchicalImages, not NoneType"),
        ({"test": (1, 2)}, "test: it must be HierarchicalImages, not tuple"),
        ({"validation": []}, "validation: it must be HierarchicalImages, not list"),
        (
            {"test": test.select(torch.tensor([], dtype=torch.int64))},
            "garden, test: it must have one RGB image or more",
        ),
        ({"test": replace(test, images=test.images[:, :1])}, "test: it must have one RGB image"),
        ({"test": replace(test, images=test.images[:, :, :0])}, "test: it must have one RGB image"),
        ({"test": replace(test, images=test.images[:, :, :3])}, "test: its images have 3x4 pixels, .* 4x4"),
        ({"mean": (0.5, 0.5)}, "mean must be a tuple of 3 finite numbers"),
        ({"mean": [0.5] * 3}, "mean must be a tuple of 3 finite numbers"),
        ({"mean": (0.5, 0.5, float("nan"))}, "mean must be a tuple of 3 finite numbers"),
        ({"std": 0.2}, "std must be a tuple of 3 finite numbers"),
        ({"std": (0.2, 0.2, float("inf"))}, "std must be a tuple of 3 finite numbers"),
        ({"std": ("0.2",) * 3}, "std must be a tuple of 3 finite numbers"),
        ({"std": (0.2, 0.2, 0.0)}, "its deviations .* 1e-06 to 1"),
        ({"std": (0.2, 0.2, -1.0)}, "its deviations .* 1e-06 to 1"),
        ({"mean": (125.3, 123.0, 113.9)}, "means .* must be 0 to 1"),
    ],
)
def test_a_data_set_of_other_things_than_it_holds(change, message):
    with pytest.raises(DataError, match=message):
        replace(dataset, **change)


def test_splits():
    assert dataset.splits() == {"train": train, "test": test}
    assert list(replace(dataset, validation=train).splits()) == ["train", "validation", "test"]


@pytest.mark.parametrize(
    "change",
    [
        {"hierarchy": replace(hierarchy, fine_names=("shark", "elm", "trout"))},
        {"train": replace(train, images=train.images ^ 1)},
        {
            split: replace(dataset.splits()[split], images=dataset.splits()[split].images.reshape(-1, 3, 2, 8))
            for split in ("train", "test")
        },
        {"train": train.select(torch.tensor([0, 1, 2]))},
        {"test": make_images([2, 1, 0], seed=2)},
        {"validation": test},
        {"std": (0.3,) * 3},
    ],
)
def test_fingerprint_tells_data_sets_apart(change):
    assert replace(dataset, **change).fingerprint != dataset.fingerprint


def test_fingerprint_is_that_of_the_content():
    parts = torch.cat([train.images, test.images]).split([len(train), len(test)])
    same = replace(dataset, name="another", train=replace(train, images=parts[0]), test=replace(test, images=parts[1]))
    assert same.fingerprint == dataset.fingerprint


@settings(deadline=None)
@given(arrays("uint8", st.tuples(st.integers(1, 5), st.integers(1, 4), st.integers(1, 6), st.integers(1, 6))))
def test_channel_statistics(pixels):
    images = torch.from_numpy(pixels)
    mean, std = channel_statistics(images)
    scaled = images.double() / 255
    torch.testing.assert_close(torch.tensor(mean).double(), scaled.mean((0, 2, 3)), atol=6e-5, rtol=0)
    expected = scaled.std((0, 2, 3), correction=0).clamp(min=1e-4)
    torch.testing.assert_close(torch.tensor(std).double(), expected, atol=6e-5, rtol=0)
    assert min(std) > 0
