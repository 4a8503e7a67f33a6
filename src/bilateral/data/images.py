"""Images in memory with their two labels, and a data set made of them."""

import hashlib
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from ..base.errors import DataError
from .hierarchy import LabelHierarchy


@dataclass(frozen=True)
class HierarchicalImages:
    """N images with one fine and one coarse label each.

    images: uint8 (N, C, H, W); fine: int64 (N,); coarse: int64 (N,).
    """

    images: Tensor
    fine: Tensor
    coarse: Tensor

    def __post_init__(self) -> None:
        if self.images.dtype != torch.uint8 or self.images.ndim != 4:
            raise DataError(f"images must be uint8 (N, C, H, W), not {self.images.dtype} {tuple(self.images.shape)}")
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

    Raises DataError for a label outside the hierarchy, a fine and a coarse label that contradict it,
    or a class with no image.
    """

    name: str
    hierarchy: LabelHierarchy
    train: HierarchicalImages
    test: HierarchicalImages
    mean: tuple[float, ...]
    std: tuple[float, ...]
    validation: HierarchicalImages | None = None

    def __post_init__(self) -> None:
        for split, images in self.splits().items():
            _check_labels(f"{self.name}, {split}", images, self.hierarchy)

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
