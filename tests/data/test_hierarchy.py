from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from bilateral.base.errors import DataError
from bilateral.data.hierarchy import LabelHierarchy

garden = LabelHierarchy(("shark", "oak", "trout"), ("fish", "tree"), (0, 1, 0))


def test_counts():
    assert (garden.fine_count, garden.coarse_count) == (3, 2)


def test_roll_up_keeps_the_shape():
    assert garden.roll_up(torch.tensor([[2, 1], [0, 1]])).tolist() == [[0, 1], [0, 1]]
    assert garden.roll_up(torch.empty(0, dtype=torch.int64)).shape == (0,)


@settings(deadline=None)
@given(st.lists(st.integers(0, 4), min_size=1).map(lambda labels: [sorted(set(labels)).index(x) for x in labels]))
def test_roll_up_gives_each_fine_label_its_coarse_one(coarse_of_fine):
    fine_names = tuple(f"fine {label}" for label in range(len(coarse_of_fine)))
    coarse_names = tuple(f"coarse {label}" for label in range(max(coarse_of_fine) + 1))
    hierarchy = LabelHierarchy(fine_names, coarse_names, tuple(coarse_of_fine))
    assert hierarchy.roll_up(torch.arange(hierarchy.fine_count)).tolist() == coarse_of_fine


@pytest.mark.parametrize(
    ("coarse_of_fine", "message"),
    [
        ((0, 1), "names 3 fine labels but gives 2"),
        ((0, 1, 2), "'trout' belongs to coarse label 2, which is outside 0 to 1"),
        ((0, 1, -1), "'trout' belongs to coarse label -1"),
        ((0, 0, 0), "coarse label 'tree' has no fine label"),
    ],
)
def test_contradictions(coarse_of_fine, message):
    with pytest.raises(DataError, match=message):
        LabelHierarchy(garden.fine_names, garden.coarse_names, coarse_of_fine)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"fine_names": ["shark", "oak", "trout"]}, "fine_names must be a tuple of text"),
        ({"fine_names": ("shark", "oak", 3)}, "fine_names must be a tuple of text"),
        ({"coarse_names": "ab"}, "coarse_names must be a tuple of text"),
        ({"coarse_names": (), "fine_names": (), "coarse_of_fine": ()}, "fine_names must be a tuple of text"),
        ({"fine_names": ("shark", "", "trout")}, "fine label 1 has an empty name"),
        ({"fine_names": ("shark", "oak", "shark")}, "two fine labels are both named 'shark'"),
        ({"coarse_names": ("fish", "fish")}, "two coarse labels are both named 'fish'"),
        ({"fine_names": ("shark", "oak", "tr\udcffut")}, "cannot be recorded as text"),
        ({"coarse_of_fine": [0, 1, 0]}, "coarse_of_fine must be a tuple of whole numbers"),
        ({"coarse_of_fine": (0, 1, 0.0)}, "coarse_of_fine must be a tuple of whole numbers"),
        ({"coarse_of_fine": (0, True, 0)}, "coarse_of_fine must be a tuple of whole numbers"),
    ],
)
def test_members_of_another_kind(change, message):
    with pytest.raises(DataError, match=message):
        replace(garden, **change)


def test_names_of_control_characters_are_names():
    assert LabelHierarchy(("a\x1b[31m", "b\n"), ("\u202ec",), (0, 0)).fine_count == 2


def test_many_labels_take_no_time():
    names = tuple(map(str, range(100_000)))
    assert LabelHierarchy(names, names, tuple(range(100_000))).coarse_count == 100_000
