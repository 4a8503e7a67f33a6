import torch
from hypothesis import given
from hypothesis import strategies as st

from bilateral.data.batches import shuffled_batches


@given(st.integers(2, 60), st.integers(2, 20), st.integers(0, 3), st.integers(0, 3))
def test_every_image_once_an_epoch_and_never_a_batch_of_one(count, batch_size, seed, epoch):
    batches = shuffled_batches(count, batch_size, seed, epoch)
    assert sorted(torch.cat(batches).tolist()) == list(range(count))
    assert all(len(batch) == batch_size for batch in batches[:-2])
    assert all(1 < len(batch) <= batch_size + 1 for batch in batches)


def test_the_order_depends_on_seed_and_epoch_alone():
    order = torch.cat(shuffled_batches(50, 8, 1, 2))
    torch.rand(3)
    assert torch.equal(order, torch.cat(shuffled_batches(50, 8, 1, 2)))
    assert not torch.equal(order, torch.cat(shuffled_batches(50, 8, 1, 3)))
    assert not torch.equal(order, torch.cat(shuffled_batches(50, 8, 2, 2)))
