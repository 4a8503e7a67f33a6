"""Images in memory with their two labels, and a data set made of them."""

import hashlib
import math
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from ..base.errors import DataError
from .augment import Normalisation
from .hierarchy import LabelHierarchy


@dataclass(frozen=True)
class HierarchicalImages:
    """N images with one fine and one coarse label each.

    images: uint8 (N, C, H, W); fine: int64 (N,); coarse: int64 (N,). Raises DataError for anything else.
    """

    images: Tensor
    fine: Tensor
    coarse: Tensor

    def __post_init__(self) -> None:
        if not _is(self.images, torch.uint8, 4):
            raise DataError(f"images must be uint8 (N, C, H, W), not {_form(self.images)}")
        for level, labels in (("fine", self.fine), ("coarse", self.coarse)):
            if not _is(labels, torch.int64, 1):
                raise DataError(f"{level} labels must be int64 (N,), not {_form(labels)}")
        if not len(self.images) == len(self.fine) == len(self.coarse):
            raise DataError(
                f"{len(self.images)} images come with {len(self.fine)} fine and {len(self.coarse)} coarse labels"
            )

    def __len__(self) -> int:
        return len(self.images)

    def select(self, indices: Tensor) -> "HierarchicalImages":
        """Give the images at `indices` (M,), in that order."""
        return HierarchicalImages(self.images[indices], self.fine[indices], self.coarse[indices])

    def to(self, device: torch.device) -> "HierarchicalImages":
        """Give the same images on another device."""
        return HierarchicalImages(self.images.to(device), self.fine.to(device), self.coarse.to(device))


@dataclass(frozen=True)
class HierarchicalDataset:
    """Training and test images under one label hierarchy.

    mean, std: of each channel, on the scale 0 to 1, as used to normalise.
    validation: only where the source itself has such a split; otherwise `splits.hold_out` makes one.

    Raises DataError for images that are not RGB of one size, a mean or deviation that cannot be theirs, a label
    outside the hierarchy, a fine and a coarse label that contradict it, or a class with no image.
    """

    name: str
    hierarchy: LabelHierarchy
    train: HierarchicalImages
    test: HierarchicalImages
    mean: tuple[float, ...]
    std: tuple[float, ...]
    validation: HierarchicalImages | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not isinstance(self.hierarchy, LabelHierarchy):
            raise DataError("a data set needs a name, which is text, and a LabelHierarchy")
        for split, images in {"train": self.train, "test": self.test, **self.splits()}.items():
            _check_images(f"{self.name}, {split}", images, self.train)
            _check_labels(f"{self.name}, {split}", images, self.hierarchy)
        for what, values in (("mean", self.mean), ("std", self.std)):
            if not isinstance(values, tuple) or len(values) != 3 or not all(map(_is_finite, values)):
                raise DataError(f"{self.name}: {what} must be a tuple of 3 finite numbers, one for each channel")
        Normalisation(self.mean, self.std)  # checks their range

    def splits(self) -> dict[str, HierarchicalImages]:
        """Give the splits that this data set has, by name."""
        every = {"train": self.train, "validation": self.validation, "test": self.test}
        return {name: images for name, images in every.items() if images is not None}

    @cached_property
    def fingerprint(self) -> str:
        """Digest of every image, label and name: two data sets with one fingerprint are the same."""
        digest = hashlib.sha256(repr((self.hierarchy, self.mean, self.std)).encode())
        for images in self.splits().values():
            for tensor in (images.images, images.fine, images.coarse):
                digest.update(repr(tuple(tensor.shape)).encode())
                digest.update(tensor.cpu().contiguous().numpy().data)
        return digest.hexdigest()


def channel_statistics(images: Tensor) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation of each channel of uint8 images (N, C, H, W), on the scale 0 to 1."""
    values = torch.arange(256, dtype=torch.float64) / 255
    means, deviations = [], []
    for channel in images.unbind(1):
        share = torch.bincount(channel.flatten(), minlength=256).double() / channel.numel()
        mean = (share * values).sum()
        means.append(round(mean.item(), 4))
        deviations.append(round((share * (values - mean) ** 2).sum().sqrt().item(), 4))
    return tuple(means), tuple(max(deviation, 1e-4) for deviation in deviations)


def _is(tensor: object, dtype: torch.dtype, dimensions: int) -> bool:
    return isinstance(tensor, Tensor) and tensor.dtype == dtype and tensor.ndim == dimensions


def _form(value: object) -> str:
    return f"{value.dtype} {tuple(value.shape)}" if isinstance(value, Tensor) else type(value).__name__


def _is_finite(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _check_images(where: str, images: HierarchicalImages, first: HierarchicalImages) -> None:
    if not isinstance(images, HierarchicalImages):
        raise DataError(f"{where}: it must be HierarchicalImages, not {type(images).__name__}")
    _, channels, *size = images.images.shape
    if channels != 3 or 0 in images.images.shape:
        raise DataError(f"{where}: it must have one RGB image or more, (N, 3, H, W), and has {_form(images.images)}")
    if size != list(first.images.shape[2:]):
        raise DataError(
            f"{where}: its images have {size[0]}x{size[1]} pixels, the training images "
            f"{first.images.shape[2]}x{first.images.shape[3]}; give all one size"
        )


def _check_labels(where: str, images: HierarchicalImages, hierarchy: LabelHierarchy) -> None:
    levels = (("fine", images.fine, hierarchy.fine_names), ("coarse", images.coarse, hierarchy.coarse_names))
    for level, labels, names in levels:
        outside = labels[(labels < 0) | (labels >= len(names))]
        if len(outside):
            raise DataError(
                f"{where}: {level} label {int(outside[0])} is outside the hierarchy (0 to {len(names) - 1})"
            )
    contradicting = (hierarchy.roll_up(images.fine) != images.coarse).nonzero()
    if len(contradicting):
        index = int(contradicting[0])
        raise DataError(
            f"{where}: image {index} has fine label {hierarchy.fine_names[int(images.fine[index])]!r} and coarse "
            f"label {hierarchy.coarse_names[int(images.coarse[index])]!r}, which do not belong together"
        )
    counts = torch.bincount(images.fine, minlength=hierarchy.fine_count)
    if (counts == 0).any():
        empty = hierarchy.fine_names[int((counts == 0).nonzero()[0])]
        raise DataError(f"{where}: class {empty!r} has no image")
