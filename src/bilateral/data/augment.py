"""Random crop and flip of whole batches on the device, and normalisation."""

from dataclasses import dataclass
from functools import cache

import torch
from torch import Tensor


@dataclass(frozen=True)
class Normalisation:
    """Turn uint8 images into floats of mean 0 and deviation 1, given each channel's on the scale 0 to 1."""

    mean: tuple[float, ...]
    std: tuple[float, ...]

    def __call__(self, images: Tensor) -> Tensor:
        """uint8 (B, C, H, W) -> float32 (B, C, H, W), channels last in memory."""
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
