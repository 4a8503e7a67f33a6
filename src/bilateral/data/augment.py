"""Random crop and flip of whole batches on the device, and normalisation."""

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Normalisation:
    """Turn uint8 images into floats of mean 0 and deviation 1, given each channel's on the scale 0 to 1."""

    mean: tuple[float, ...]
    std: tuple[float, ...]

    def __call__(self, images: Tensor) -> Tensor:
        """uint8 (B, C, H, W) -> float32 (B, C, H, W), channels last in memory."""
        mean = torch.tensor(self.mean, device=images.device).view(1, -1, 1, 1) * 255
        scale = 1 / (torch.tensor(self.std, device=images.device).view(1, -1, 1, 1) * 255)
        return ((images.float() - mean) * scale).contiguous(memory_format=torch.channels_last)


def crop_and_flip(images: Tensor, generator: torch.Generator, padding: int = 4, flip: bool = True) -> Tensor:
    """Crop every image at a random place after reflecting `padding` pixels at its edges, and mirror half of them.

    Each image's crop and flip are drawn from `generator` (on the CPU). uint8 (B, C, H, W) -> the same shape.
    """
    count, _, height, width = images.shape
    offsets = torch.randint(-padding, padding + 1, (2, count, 1), generator=generator)
    mirrored = torch.rand((count, 1), generator=generator) < 0.5
    rows = _reflect(torch.arange(height) + offsets[0], height)
    columns = _reflect(torch.arange(width) + offsets[1], width)
    if flip:
        columns = torch.where(mirrored, columns.flip(1), columns)
    rows, columns = rows.to(images.device), columns.to(images.device)
    each = torch.arange(count, device=images.device)
    picked = images.permute(0, 2, 3, 1)[each[:, None, None], rows[:, :, None], columns[:, None, :]]
    return picked.permute(0, 3, 1, 2)


def _reflect(positions: Tensor, size: int) -> Tensor:
    """Fold positions outside 0 to size - 1 back inside, the edge pixel not repeated."""
    return (size - 1) - ((size - 1) - positions.abs()).abs()
