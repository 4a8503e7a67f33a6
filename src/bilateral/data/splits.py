"""The splits by their usual names, and a validation set held out of the training set."""

import torch

from ..base.errors import DataError
from ..base.memory import check_memory
from .hierarchy import LabelHierarchy
from .images import HierarchicalImages

SPLIT_NAMES = {
    "train": {"train", "training"},
    "validation": {"val", "valid", "validation", "dev"},
    "test": {"test", "testing"},
}
"""What people call a split, in small letters."""


def hold_out(
    images: HierarchicalImages, hierarchy: LabelHierarchy, fraction: float, split_seed: int = 0
) -> tuple[HierarchicalImages, HierarchicalImages]:
    """Split off `fraction` of every fine class, at least one image of each and never all.

    The choice depends on the labels' order and `split_seed` alone, so every run of a data set gets the same.
    Returns (kept, held out), each in the original order. Raises DataError for a class of a single image,
    OutOfMemoryError where there is no room for both.
    """
    check_memory(images.images.nbytes, f"holding out some of {len(images)} images", "take fewer or smaller images")
    generator = torch.Generator().manual_seed(split_seed)
    held_out = torch.zeros(len(images), dtype=torch.bool)
    for label in images.fine.unique():
        members = (images.fine == label).nonzero().squeeze(1)
        if len(members) < 2:
            name = hierarchy.fine_names[int(label)]
            raise DataError(f"class {name!r} has one training image only, so none can be held out; add images to it")
        count = min(max(round(fraction * len(members)), 1), len(members) - 1)
        held_out[members[torch.randperm(len(members), generator=generator)[:count]]] = True
    return images.select((~held_out).nonzero().squeeze(1)), images.select(held_out.nonzero().squeeze(1))
