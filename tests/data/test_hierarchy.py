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
