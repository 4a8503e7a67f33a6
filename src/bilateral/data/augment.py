"""Random crop and flip of whole batches on the device, and normalisation."""

from dataclasses import dataclass
from functools import cache

import torch
from torch import Tensor

from ..base.errors import DataError

LEAST_DEVIATION = 1e-6


@dataclass(frozen=True)
class Normalisation:
    """Turn uint8 images into floats of mean 0 and deviation 1, given each channel's on the scale 0 to 1.

    Raises DataError for no channel, for unequal numbers of means and deviations, and for values that no images have.
    """

    mean: tuple[float, ...]
    std: tuple[float, ...]

    def __post_init__(self) -> None:
        if not 0 < len(self.mean) == len(self.std):
            raise DataError(f"the normalisation has {len(self.mean)} means and {len(self.std)} deviations of channels")
        possible = all(0 <= mean <= 1 for mean in self.mean) and all(LEAST_DEVIATION <= std <= 1 for std in self.std)
        if not possible:
            raise DataError(
                f"the normalisation's means {self.mean} must be 0 to 1, "
                f"and its deviations {self.std} {LEAST_DEVIATION:g} to 1"
            )

    def __call__(self, images: Tensor) -> Tensor:
        """uint8 (B, C, H, W) -> float32 (B, C, H, W), channels last in memory. Raises DataError for all else."""
        if not isinstance(images, Tensor):
            raise DataError(f"images must be a torch.Tensor, not {type(images).__name__}: torch.from_numpy makes one")
        if images.dtype != torch.uint8:
            raise DataError(
                f"images must be uint8, 0 to 255, not {images.dtype}: floats from 0 to 1 become that by "
                "(255 * images).round().to(torch.uint8), numbers from 0 to 255 by images.to(torch.uint8)"
            )
        if images.ndim != 4 or images.shape[1] != len(self.mean):
            raise DataError(
                f"images must be (B, {len(self.mean)}, H, W), not {tuple(images.shape)}: images[None] makes a batch of "
                "one image, images.permute(0, 3, 1, 2) brings the channels before height and width"
            )
        scale, shift = _scale_and_shift(self.mean, self.std, images.device)
        return (images * scale).add_(shift).contiguous(memory_format=torch.channels_last)


@dataclass(frozen=True)
class Crops:
    """Where each of N images is cropped, and which of them are mirrored.

    down, right: int64 (N,), pixels by which the crop is shifted; mirrored: bool (N,).
    """

    down: Tensor
    right: Tensor
    mirrored: Tensor

    @classmethod
    def draw(cls, count: int, generator: torch.Generator, padding: int = 4, flip: bool = True) -> "Crops":
        """Draw shifts of up to `padding` pixels either way, and half of the images to mirror if `flip`."""
        down, right = torch.randint(-padding, padding + 1, (2, count), generator=generator)
        mirrored = torch.rand(count, generator=generator) < 0.5
        return cls(down, right, mirrored & flip)

    def __getitem__(self, indices: Tensor | slice) -> "Crops":
        return Crops(self.down[indices], self.right[indices], self.mirrored[indices])

    def to(self, device: torch.device) -> "Crops":
        """Give the same on another device."""
        return Crops(self.down.to(device), self.right.to(device), self.mirrored.to(device))


def crop_and_flip(images: Tensor, crops: Crops) -> Tensor:
    """Crop and mirror every image as `crops` says; what lies outside it is its reflection at its edges.

    uint8 (B, C, H, W) -> the same shape.
    """
    height, width = images.shape[2:]
    rows = _reflect(torch.arange(height, device=images.device) + crops.down[:, None], height)
    columns = _reflect(torch.arange(width, device=images.device) + crops.right[:, None], width)
    columns = torch.where(crops.mirrored[:, None], columns.flip(1), columns)
    places = (rows[:, :, None] * width + columns[:, None, :]).flatten(1)
    return images.flatten(2).gather(2, places[:, None].expand(-1, images.shape[1], -1)).view_as(images)


def _reflect(positions: Tensor, size: int) -> Tensor:
    """Fold positions outside 0 to size - 1 back inside, the edge pixel not repeated."""
    return (size - 1) - ((size - 1) - positions.abs()).abs()


@cache
def _scale_and_shift(mean: tuple[float, ...], std: tuple[float, ...], device: torch.device) -> tuple[Tensor, Tensor]:
    # Kept for later calls, whatever mode this one is in.
    with torch.inference_mode(False):
        scale = 1 / (255 * torch.tensor(std, dtype=torch.float64))
        shift = -torch.tensor(mean, dtype=torch.float64) * 255 * scale
        per_channel = (values.float().view(1, -1, 1, 1).to(device) for values in (scale, shift))
        return next(per_channel), next(per_channel)
