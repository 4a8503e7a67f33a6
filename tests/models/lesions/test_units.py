from itertools import pairwise

import pytest
import torch

from bilateral.models.lesions.units import Units


def lost(share: float, seed: int = 0, shape: tuple[int, ...] = (2, 40)) -> set[int]:
    damaged = Units(Units.Options(share=share, seed=seed))(torch.ones(shape))
    gone = damaged.flatten(2).sum(2) == 0 if len(shape) > 2 else damaged == 0
    assert torch.equal(gone[0], gone[1])
    return {number for number in range(shape[1]) if gone[0, number]}


@pytest.mark.parametrize("shape", [(2, 40), (2, 40, 3, 3)])
def test_a_share_of_the_units_is_lost_on_every_image_and_a_larger_one_includes_it(shape):
    found = [lost(share, shape=shape) for share in (0.0, 0.25, 0.5, 1.0)]
    assert [len(each) for each in found] == [0, 10, 20, 40]
    assert all(small <= large for small, large in pairwise(found))


def test_the_seed_says_which():
    assert lost(0.5, 0) == lost(0.5, 0) != lost(0.5, 1)
