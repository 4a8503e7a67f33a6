"""A Gaussian filter of spatial frequencies: a hemisphere that sees coarse form alone, or fine detail alone."""

import math
from functools import lru_cache
from typing import Annotated, ClassVar

import torch
from pydantic import model_validator
from torch import Tensor

from ...base.errors import ConfigError
from ...base.section import Section
from ..schedule import Schedule, Varying, between
from .base import Part

Cutoff = Annotated[Varying, between(0, above=True)]


class Filter(Part):
    """Keep the spatial frequencies of each channel between `above` and `below`. (B, C, H, W) -> the same.

    A low-pass is a Gaussian blur which halves the power of a grating of `below` cycles per image; a high-pass takes
    away what a blur of `above` leaves. Images go on as in a mirror at their edges. In humans the right hemisphere is
    said to prefer low frequencies, and the left high ones (Sergent 1982, 10.1037/0096-1523.8.2.253). A cut-off that
    rises over the epochs is a model of maturation: infants see blurred (Howard and Reggia 2007).

    >>> blur = Filter(Filter.Options(below=4), torch.Size([1, 32, 32]))
    >>> grating = torch.cos(math.pi * 8 * (torch.arange(32) + 0.5) / 32).expand(1, 1, 32, 32)  # 4 cycles
    >>> round((blur(grating) / grating).square().mean().item(), 2)
    0.5
    """

    class Options(Section):
        """The cut-offs, in cycles per image; at most half of its pixels, the Nyquist frequency."""

        below: Cutoff | None = None
        """Of a low-pass; None: no upper end."""
        above: Cutoff | None = None
        """Of a high-pass; None: no lower end."""
        match_contrast: bool = False
        """Give each image the standard deviation, over positions and channels, that it had before."""

        @model_validator(mode="after")
        def _check_band(self) -> "Filter.Options":
            if self.below is None and self.above is None:
                raise ValueError("give `below` (low-pass), `above` (high-pass) or both (band), in cycles per image")
            if self.below is not None and self.above is not None:
                above, below = max(_ends(self.above)), min(_ends(self.below))
                if above >= below:
                    raise ValueError(f"above: {above:g} is not below {below:g}, so no frequency is left")
            return self

    example: ClassVar = {"below": 1.5}
    needs_positions: ClassVar = True

    def __init__(self, options: Options, shape: torch.Size) -> None:
        super().__init__(options, shape)
        nyquist = min(shape[1:]) / 2
        for name in ("below", "above"):
            cutoff = getattr(options, name)
            if cutoff is not None and max(_ends(cutoff)) > nyquist:
                raise ConfigError(
                    f"{name}: {max(_ends(cutoff)):g} cycles is past the Nyquist frequency here, {nyquist:g}"
                )

    def forward(self, maps: Tensor) -> Tensor:
        """Filter maps (B, C, H, W)."""
        filtered = maps if self.options.below is None else self._blurred(maps, "below")
        if self.options.above is not None:
            filtered = filtered - self._blurred(filtered, "above")
        if self.options.match_contrast:
            before, after = (each.float().flatten(1).std(1).view(-1, 1, 1, 1) for each in (maps, filtered))
            filtered = filtered * (before / after.clamp(min=1e-6)).to(filtered.dtype)
        return filtered

    def _blurred(self, maps: Tensor, name: str) -> Tensor:
        rows, columns = (_blur(pixels, self.now(name), maps.device, maps.dtype) for pixels in maps.shape[2:])
        blurred: Tensor = rows @ maps @ columns.T
        return blurred


def _ends(cutoff: float | Schedule) -> tuple[float, float]:
    return (cutoff.start, cutoff.end) if isinstance(cutoff, Schedule) else (cutoff, cutoff)


@lru_cache(maxsize=64)
def _blur(pixels: int, cutoff: float, device: torch.device, dtype: torch.dtype) -> Tensor:
    """The matrix (pixels, pixels) of a Gaussian blur that halves the power of `cutoff` cycles in so many pixels.

    It is diagonal in the cosines that a mirrored image consists of: the discrete cosine transform.
    """
    with torch.inference_mode(False):  # a training may use it later
        number = torch.arange(pixels, dtype=torch.float64, device="cpu")
        cosines = torch.cos(math.pi * number[:, None] * (number + 0.5) / pixels)
        cosines /= cosines.norm(dim=1, keepdim=True)
        passed = 2 ** (-((number / 2 / cutoff) ** 2) / 2)  # a cosine of this number has half as many cycles
        return ((cosines.T * passed) @ cosines).to(device, dtype)
