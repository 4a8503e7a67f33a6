import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from bilateral.base import memory
from bilateral.base.errors import DataError, OutOfMemoryError
from bilateral.data.hierarchy import LabelHierarchy
from bilateral.data.images import HierarchicalImages
from bilateral.data.splits import hold_out

labels = st.lists(st.integers(0, 4), min_size=1, max_size=60).map(lambda half: half + half)
fractions = st.floats(0.01, 0.99)
seeds = st.integers(0, 2**32)
NAMES = LabelHierarchy(tuple("abcde"), ("all",), (0,) * 5)


def numbered_images(fine: list[int]) -> HierarchicalImages:
    """Images whose one pixel is their own number."""
    number = torch.arange(len(fine), dtype=torch.uint8).reshape(-1, 1, 1, 1)
    return HierarchicalImages(number, torch.tensor(fine), torch.zeros(len(fine), dtype=torch.int64))


def numbers(images: HierarchicalImages) -> list[int]:
    return images.images.flatten().tolist()


@settings(deadline=None)
@given(labels, fractions, seeds)
def test_both_sides_are_disjoint_and_complete(fine, fraction, seed):
    images = numbered_images(fine)
    kept, held_out = hold_out(images, NAMES, fraction, seed)
    assert sorted(numbers(kept) + numbers(held_out)) == list(range(len(fine)))
    for side in (kept, held_out):
        assert numbers(side) == sorted(numbers(side))
        assert [fine[number] for number in numbers(side)] == side.fine.tolist()


@settings(deadline=None)
@given(labels, fractions, seeds)
def test_the_fraction_holds_in_every_class(fine, fraction, seed):
    kept, held_out = hold_out(numbered_images(fine), NAMES, fraction, seed)
    for label in set(fine):
        kept_count, held_out_count = (int((side.fine == label).sum()) for side in (kept, held_out))
        assert kept_count >= 1
        assert held_out_count >= 1
        wanted = fraction * fine.count(label)
        assert held_out_count in (1, kept_count + held_out_count - 1) or abs(held_out_count - wanted) <= 0.5


@settings(deadline=None)
@given(labels, fractions, seeds)
def test_one_seed_gives_one_split(fine, fraction, seed):
    first, second = (hold_out(numbered_images(fine), NAMES, fraction, seed)[1] for _ in range(2))
    torch.manual_seed(seed)
    assert numbers(first) == numbers(second) == numbers(hold_out(numbered_images(fine), NAMES, fraction, seed)[1])


def test_another_seed_gives_another_split():
    images = numbered_images([0, 1] * 50)
    splits = {tuple(numbers(hold_out(images, NAMES, 0.2, seed)[1])) for seed in range(10)}
    assert len(splits) == 10


def test_a_class_of_one_image_is_named():
    with pytest.raises(DataError, match="class 'd' has one training image only"):
        hold_out(numbered_images([0, 0, 3]), NAMES, 0.5)


def test_memory_is_asked_for_before_it_is_taken(monkeypatch):
    monkeypatch.setattr(memory, "available_bytes", lambda: 99)
    with pytest.raises(OutOfMemoryError, match="holding out some of 100 images"):
        hold_out(numbered_images([0] * 100), NAMES, 0.5)
