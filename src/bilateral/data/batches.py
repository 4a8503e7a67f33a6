"""Which images form which batch: a function of seed and epoch alone, so that any step can be made again."""

import torch
from torch import Tensor

from ..base.streams import derive_seed


def shuffled_batches(
    count: int, batch_size: int, seed: int, epoch: int, device: torch.device | None = None
) -> list[Tensor]:
    """Give the index batches of one epoch over `count` images, in a random order.

    The last batch may be short, but a single left-over image joins the batch before it, since batch norm
    cannot train on one value. Networks of any architecture get the same order for the same seed.
    """
    generator = torch.Generator().manual_seed(derive_seed(seed, "order", epoch))
    batches = list(torch.randperm(count, generator=generator).to(device).split(batch_size))
    if len(batches) > 1 and len(batches[-1]) == 1:
        single = batches.pop()
        batches[-1] = torch.cat([batches[-1], single])
    return batches
