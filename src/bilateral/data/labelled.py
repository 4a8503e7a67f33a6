"""Image files with their labels by split, read into a data set: what all sources of image files end with."""

import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, cast

import torch
from torch.utils.data import ConcatDataset

from ..base.errors import DataError
from .config import DataConfig
from .hierarchy import LabelHierarchy
from .image_files import Encoded, read_images
from .images import HierarchicalDataset, HierarchicalImages, channel_statistics
from .splits import hold_out

TEST_FRACTION = 0.2
"""Share of the training images that become the test set where there is none."""

Images = Sequence[Path | Encoded]


class Labelled(NamedTuple):
    """The N images of a split, and the fine label of each."""

    images: Images
    fine: Sequence[int]


def read_dataset(
    name: str, hierarchy: LabelHierarchy, splits: Mapping[str, Labelled], config: DataConfig, place: Path | str
) -> HierarchicalDataset:
    """Read the images of every split, in their order, as uint8 (N, 3, H, W).

    Without test images a fifth of each class becomes the test set, with a warning that names the `place`. Raises
    DataError for an image that cannot be read, or has another size than the first while `config.image_size` is not set,
    and for a class with too few images.
    """
    # One sequence of files, which gives one progress bar and one check of sizes.
    every: Any = ConcatDataset(cast(Any, [each.images for each in splits.values()]))
    images = read_images(every, config.image_size, config.num_workers)
    read = {}
    for (split, each), part in zip(splits.items(), images.split([len(each.fine) for each in splits.values()])):
        fine = torch.tensor(each.fine)
        read[split] = HierarchicalImages(part, fine, hierarchy.roll_up(fine))
    if "test" not in read:
        read["train"], read["test"] = _hold_out_test(read["train"], hierarchy, place)
    mean, std = channel_statistics(read["train"].images)
    if name == "cifar100":
        from .cifar100.source import MEAN as mean
        from .cifar100.source import STD as std
    return HierarchicalDataset(name=name, hierarchy=hierarchy, mean=mean, std=std, **read)


def _hold_out_test(
    train: HierarchicalImages, hierarchy: LabelHierarchy, place: Path | str
) -> tuple[HierarchicalImages, HierarchicalImages]:
    counts = torch.bincount(train.fine, minlength=hierarchy.fine_count)
    if (counts == 1).any():
        single = hierarchy.fine_names[int((counts == 1).nonzero()[0])]
        raise DataError(
            f"{place}: class {single!r} has one image, too few for training and test; add images or a test set"
        )
    warnings.warn(
        f"there are no test images beside {place}: {TEST_FRACTION:.0%} of every class are held out of the "
        "training images, always the same ones, and become the test set",
        stacklevel=4,
    )
    return hold_out(train, hierarchy, TEST_FRACTION)
