"""Common corruptions of images, which no network was trained on, to test how robust it is.

Noise, blur and contrast are those of Hendrycks & Dietterich 2019 (arXiv 1903.12261), the filters those of Geirhos et
al. 2018 (arXiv 1808.08750), occlusion is Cutout (DeVries & Taylor 2017, arXiv 1708.04552) with grey.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import conv2d, pad

from ..base.errors import DataError
from ..base.streams import derive_seed

GREY = 0.5
Generators = Callable[[], list[torch.Generator]]
"""Gives one random stream an image, of this corruption."""


@dataclass(frozen=True)
class Corruption:
    """One kind of corruption.

    apply: floats (B, C, H, W), 0 to 1, a severity and the images' random streams -> floats of the same shape, of any
    range. unit: of the severities. severities: the default ones. most: the largest that makes sense.
    """

    apply: Callable[[Tensor, float, Generators], Tensor]
    unit: str
    severities: tuple[float, ...]
    most: float = math.inf


def corrupt(name: str, images: Tensor, severity: float, numbers: Tensor, seed: int = 0) -> Tensor:
    """Corrupt uint8 images (B, C, H, W) of any size: the same shape and type.

    name: of one of CORRUPTIONS, which says the unit of `severity`. numbers: int64 (B,), which image of its data set
    each one is: what is drawn by chance depends on it and `seed` alone, not on the batch. Raises DataError.
    """
    if name not in CORRUPTIONS:
        raise DataError(f"there is no corruption {name!r}; there are {', '.join(CORRUPTIONS)}")
    if images.dtype != torch.uint8 or images.ndim != 4:
        raise DataError(f"images to corrupt must be uint8 (B, C, H, W), not {images.dtype} {tuple(images.shape)}")
    if numbers.shape != images.shape[:1]:
        raise DataError(f"{len(images)} images to corrupt come with numbers of shape {tuple(numbers.shape)}")
    found = CORRUPTIONS[name]
    if not 0 < severity <= found.most or math.isinf(severity):
        raise DataError(f"{name}: its severity ({found.unit}) must be above 0 and at most {found.most}, not {severity}")

    def generators() -> list[torch.Generator]:
        return [torch.Generator().manual_seed(derive_seed(seed, name, number)) for number in numbers.tolist()]

    changed = found.apply(images.float() / 255, severity, generators)
    return (255 * changed.clamp(0, 1)).round().to(torch.uint8)


def _gaussian_noise(images: Tensor, deviation: float, generators: Generators) -> Tensor:
    noise = torch.stack([torch.randn(images.shape[1:], generator=generator) for generator in generators()])
    return images + deviation * noise.to(images.device)


def _gaussian_blur(images: Tensor, share: float, _: Generators) -> Tensor:
    """Blur to four deviations, beyond its edges the image going on as it ends there, as scikit-image does."""
    sigma = share * min(images.shape[2:])
    radius = math.ceil(4 * sigma)
    kernel = torch.exp(-0.5 * (torch.arange(-radius, radius + 1, device=images.device) / sigma) ** 2)
    kernel = (kernel / kernel.sum()).view(1, 1, -1, 1)
    planes = pad(images.flatten(0, 1)[:, None], (radius,) * 4, mode="replicate")
    return conv2d(conv2d(planes, kernel), kernel.transpose(2, 3)).view_as(images)


def _contrast(images: Tensor, factor: float, _: Generators) -> Tensor:
    """Bring every channel of an image nearer to its mean."""
    mean = images.mean((2, 3), keepdim=True)
    return mean + factor * (images - mean)


def _occlusion(images: Tensor, share: float, generators: Generators) -> Tensor:
    """Put a grey square, `share` of the shorter side wide, where it lies wholly in the image."""
    height, width = images.shape[2:]
    side = max(1, round(share * min(height, width)))
    changed = images.clone()
    for image, generator in zip(changed, generators()):
        top, left = (int(torch.randint(size - side + 1, (), generator=generator)) for size in (height, width))
        image[:, top : top + side, left : left + side] = GREY
    return changed


def _low_pass(images: Tensor, cutoff: float, _: Generators) -> Tensor:
    return _filtered(images, _gaussian_gain(images, cutoff))


def _high_pass(images: Tensor, cutoff: float, _: Generators) -> Tensor:
    """Take away what the low-pass filter leaves, but for the mean of each channel."""
    gain = 1 - _gaussian_gain(images, cutoff)
    gain[0, 0] = 1
    return _filtered(images, gain)


def _gaussian_gain(images: Tensor, cutoff: float) -> Tensor:
    """The filter's gain at each frequency, exp(-1/2) at `cutoff` cycles per shorter side: (H, W // 2 + 1)."""
    height, width = images.shape[2:]
    shorter = min(height, width)
    rows = shorter * torch.fft.fftfreq(height, device=images.device)
    columns = shorter * torch.fft.rfftfreq(width, device=images.device)
    return torch.exp(-(rows[:, None] ** 2 + columns**2) / (2 * cutoff**2))


def _filtered(images: Tensor, gain: Tensor) -> Tensor:
    return torch.fft.irfft2(torch.fft.rfft2(images) * gain, s=images.shape[2:])


CORRUPTIONS: dict[str, Corruption] = {
    "gaussian_noise": Corruption(_gaussian_noise, "of the range (deviation)", (0.08,)),
    "gaussian_blur": Corruption(_gaussian_blur, "of the side (sigma)", (0.03,), most=1),
    "contrast": Corruption(_contrast, "of the contrast", (0.3,), most=1),
    "occlusion": Corruption(_occlusion, "of the side", (0.5,), most=1),
    "low_pass": Corruption(_low_pass, "cycles per image (cut-off)", (3.0,)),
    "high_pass": Corruption(_high_pass, "cycles per image (cut-off)", (3.0,)),
}
"""By name. The first three are severities 3, 5 and 4 of CIFAR-10-C; a blur of 3 % of the side is 1 pixel in 32."""
